import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { listPeople, type PersonReply } from '@writ/contract/people'
import { comeByLink, signInAs, type SignedInPerson } from '../../../server/test/people.ts'
import { startWrit as startServer, type RunningWrit } from '../../../server/test/running-writ.ts'
import { writeConfig } from '../../src/config.ts'
import { signedIn } from '../estate.ts'
import { emptyStage, type Stage } from '../run-writ.ts'
import { warmWritForFile } from '../warm-writ.ts'

const writ = warmWritForFile()

let server: RunningWrit
let maya: SignedInPerson
let vera: SignedInPerson
const ends: (() => unknown)[] = []
const stage = (): Promise<Stage> => emptyStage({ after: (end: unknown) => ends.push(end as () => unknown) })
/** Where this person has signed in at the command line. */
async function terminalOf(person: SignedInPerson, name: string): Promise<Stage> {
  const made = await stage()
  await writeConfig(made.environment, { url: server.url, sign_in: { id: person.signIn, secret: person.secret, person: person.id, name, ends_at: '2099-01-01T00:00:00.000Z' }, identities: {} })
  return made
}
let admin: Stage
let viewer: Stage
before(async () => {
  server = await startServer()
  ends.push(() => server.stop())
  maya = await signInAs(server, { roles: ['admin'], name: 'Maya', email: 'maya@acme.example', kind: 'cli' })
  vera = await signInAs(server, { roles: ['viewer'], groups: ['finance'], name: 'Vera', email: 'vera@acme.example', kind: 'cli', passkey: false });
  [admin, viewer] = [await terminalOf(maya, 'Maya'), await terminalOf(vera, 'Vera')]
})
after(async () => {
  for (const end of ends.toReversed()) await end()
})

const exits = async (at: Stage, args: readonly string[], code: number): Promise<{ readonly out: string; readonly err: string }> => {
  const ended = await writ(at, ['people', ...args])
  assert.equal(ended.code, code, `${args.join(' ')}: ${ended.err}`)
  return ended
}
const shown = async (asked: string): Promise<PersonReply> => JSON.parse((await exits(admin, ['show', asked, '--json'], 0)).out) as PersonReply

test('an administrator sees who has signed in, and gives and takes roles by id or address', async () => {
  const { out } = await exits(admin, ['list', '--plain'], 0)
  assert.match(out, new RegExp(`^${vera.id}\tVera\tvera@acme\\.example\tviewer\tfinance\t0\t`, 'm'))
  await exits(admin, ['give', 'VERA@acme.example', 'reviewer', '--reason', 'covers for Dave'], 0)
  assert.deepEqual((await shown(vera.id)).roles, ['viewer', 'reviewer'])
  assert.match((await exits(admin, ['give', vera.id, 'reviewer', '--reason', 'again'], 6)).err, /given to them already/)
  await exits(admin, ['take', vera.id, 'reviewer', '--reason', 'Dave is back'], 0)
  assert.deepEqual((await shown('vera@acme.example')).given_roles, ['viewer'])
})

test('a group brings roles by a rule, at once, until the rule is removed', async () => {
  await exits(admin, ['rules', 'set', 'finance', '--roles', 'reviewer,auditor', '--reason', 'they answer for refunds'], 0)
  assert.match((await exits(admin, ['rules', '--plain'], 0)).out, /^finance\treviewer,auditor\t/m)
  assert.deepEqual([(await shown(vera.id)).roles, (await shown(vera.id)).given_roles], [['viewer', 'reviewer', 'auditor'], ['viewer']])
  assert.match((await exits(admin, ['take', vera.id, 'auditor', '--reason', 'no more'], 6)).err, /see the rules\nhint: writ people rules/)
  await exits(admin, ['rules', 'remove', 'finance', '--reason', 'it was a trial'], 0)
  assert.equal((await exits(admin, ['rules', 'list', '--json'], 0)).out.trim(), '[]')
})

test('somebody is invited by a link that is shown once, after a passkey has confirmed it', async () => {
  const words = ['invite', 'Rosa', '--roles', 'responder', '--reason', 'on call', '--json']
  const refused = await exits(admin, words.slice(0, -1), 4)
  assert.match(refused.err, /a passkey has to confirm an invitation.*\nhint: invite at http:\/\/localhost:\d+\/settings/)
  assert.equal((await maya.stepUp()).status, 200)
  const { out, err } = await exits(admin, words, 0)
  const { link } = JSON.parse(out) as { readonly link: string }
  assert.ok(!err.includes(link))
  const rosa = await comeByLink(server, link, 'Rosa')
  assert.deepEqual((await shown(rosa.id)).roles, ['responder'])
})

test('who is no administrator changes nothing, and hears who may', async () => {
  const before = (await server.operator(listPeople)).text
  assert.match((await exits(viewer, ['give', vera.id, 'admin', '--reason', 'me'], 4)).err, /this takes the role `admin`/)
  await exits(viewer, ['list'], 4)
  await exits(viewer, ['invite', 'Eve', '--roles', 'admin', '--reason', 'me'], 4)
  assert.equal((await server.operator(listPeople)).text, before)
})

test('an operator\'s key manages roles and invites nobody', async () => {
  const machine = await stage()
  await signedIn(machine, server)
  await exits(machine, ['list'], 0)
  assert.match((await exits(machine, ['invite', 'Eve', '--roles', 'viewer', '--reason', 'x'], 4)).err, /`writ login` signs you in/)
})

for (const { what, args, code } of [
  { what: 'a role that there is not', args: ['give', 'psn_x', 'king', '--reason', 'x'], code: 2 }, { what: 'roles that there are not', args: ['rules', 'set', 'finance', '--roles', 'viewer,king', '--reason', 'x'], code: 2 },
  { what: 'no reason', args: ['give', 'psn_x', 'viewer'], code: 2 }, { what: 'an address that nobody has', args: ['show', 'eve@acme.example'], code: 5 }, { what: 'an id that nobody has', args: ['show', 'psn_x'], code: 5 },
]) {
  test(`${what} is refused`, async () => { await exits(admin, args, code) })
}

test('passkeys are listed and removed: one\'s own by anybody, a person\'s by an administrator', async () => {
  type Key = { readonly id: string; readonly name: string; readonly person: string }
  const listed = async (at: Stage, ...asked: readonly string[]): Promise<readonly Key[]> => JSON.parse((await exits(at, ['passkeys', 'list', ...asked, '--json'], 0)).out) as readonly Key[]
  const [own] = await listed(admin)
  assert.deepEqual([own!.person, own!.name], [maya.id, 'of the test'])
  assert.match((await exits(admin, ['passkeys', '--plain'], 0)).out, new RegExp(`^${own!.id}\tof the test\t${maya.id}\t`, 'm'))
  assert.deepEqual(await listed(viewer), [])
  await exits(viewer, ['passkeys', 'list', maya.id], 4)
  await exits(viewer, ['passkeys', 'remove', own!.id, '--reason', 'not mine'], 5)
  assert.deepEqual(await listed(admin, 'maya@acme.example'), [own])
  await exits(admin, ['passkeys', 'remove', own!.id], 2)
  assert.match((await exits(admin, ['passkeys', 'remove', own!.id, '--reason', 'it is lost', '--plain'], 0)).out, new RegExp(`^passkey\t${own!.id}$`, 'm'))
  assert.deepEqual(await listed(admin), [])
  await exits(admin, ['passkeys', 'remove', own!.id, '--reason', 'again'], 6)
})

test('where somebody has signed in is listed, and a sign-in is refused from the moment that it is revoked', async () => {
  const rosa = await signInAs(server, { roles: ['viewer'], email: 'rosa@acme.example', kind: 'cli', passkey: false })
  const [terminal, machine] = [await terminalOf(rosa, 'Rosa'), await stage()]
  await signedIn(machine, server)
  assert.match((await exits(terminal, ['sign-ins', '--plain'], 0)).out, new RegExp(`^${rosa.signIn}\t${rosa.id}\tcli, this one\toidc\tlive\t`, 'm'))
  assert.match((await exits(machine, ['sign-ins'], 2)).err, /an operator's key is no person: say whose\nhint: `writ people list`/)
  assert.match((await exits(machine, ['sign-ins', 'list', 'rosa@acme.example', '--plain'], 0)).out, new RegExp(`^${rosa.signIn}\t`, 'm'))
  await exits(viewer, ['sign-ins', 'revoke', rosa.signIn, '--reason', 'not mine'], 5)
  const revoked = JSON.parse((await exits(admin, ['sign-ins', 'revoke', rosa.signIn, '--reason', 'the laptop is lost', '--json'], 0)).out) as { readonly state: string }
  assert.equal(revoked.state, 'revoked')
  assert.match((await exits(terminal, ['sign-ins'], 3)).err, /`writ login`/)
  await exits(admin, ['sign-ins', 'revoke', rosa.signIn, '--reason', 'again'], 6)
  assert.match((await exits(admin, ['sign-in'], 2)).err, /unknown command `sign-in`/)
})

test('who is blocked is let in nowhere any more, until somebody unblocks them', async () => {
  const leo = await signInAs(server, { roles: ['viewer'], name: 'Leo', email: 'leo@acme.example', kind: 'cli', passkey: false })
  const terminal = await terminalOf(leo, 'Leo')
  await exits(terminal, ['sign-ins'], 0)
  await exits(viewer, ['block', leo.id, '--reason', 'me'], 4)
  await exits(admin, ['block', 'leo@acme.example'], 2)
  assert.match((await exits(admin, ['block', 'leo@acme.example', '--reason', 'he left', '--plain'], 0)).out, /^blocked\t/m)
  assert.notEqual((await shown(leo.id)).blocked_at, null)
  await exits(terminal, ['sign-ins'], 3)
  await exits(admin, ['block', leo.id, '--reason', 'again'], 6)
  await exits(admin, ['block', maya.id, '--reason', 'by mistake'], 6)
  assert.equal((JSON.parse((await exits(admin, ['unblock', leo.id, '--reason', 'he is back', '--json'], 0)).out) as PersonReply).blocked_at, null)
})
