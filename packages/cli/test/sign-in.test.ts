import assert from 'node:assert/strict'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test, type TestContext } from 'node:test'
import { confirmDeviceSignIn, showDeviceSignIn } from '@writ/contract/sign-in'
import { listSignIns } from '@writ/contract/people'
import { signInAs, type SignedInPerson } from '../../server/test/people.ts'
import { startWrit as startServer, type RunningWrit } from '../../server/test/running-writ.ts'
import { emptyStage, startWrit, writ, type Stage } from './run-writ.ts'
import { warmWritForFile } from './warm-writ.ts'

type Stored = { readonly url?: string; readonly operator?: object; readonly sign_in?: { readonly secret: string; readonly id: string }; readonly context?: string; readonly contexts?: Readonly<Record<string, { readonly url?: string }>> }
const pathIn = (stage: Stage): string => join(stage.folder, 'config', 'writ', 'config.json')
const storedIn = async (stage: Stage): Promise<Stored> => JSON.parse(await readFile(pathIn(stage), 'utf8')) as Stored

describe('signing in at the command line', () => {
  const warm = warmWritForFile()
  let server: RunningWrit
  let maya: SignedInPerson
  let stage: Stage
  const ends: (() => unknown)[] = []
  before(async () => {
    server = await startServer()
    maya = await signInAs(server, { roles: ['auditor'], email: 'maya@acme.example', name: 'Maya' })
    stage = await emptyStage({ after: (end: () => unknown) => { ends.push(end) } } as unknown as TestContext)
  })
  after(async () => {
    for (const end of ends) await end()
    await server.stop()
  })
  const codeIn = (text: string): string => /\b[B-Z]{4}-[B-Z]{4}\b/.exec(text)![0]

  test('`writ login` shows a page and a code, and is let in by whoever confirms them', async () => {
    const login = startWrit(stage, ['login', '--url', server.url, '--json'], { environment: { SSH_CONNECTION: '203.0.113.9 50000 203.0.113.7 22' } })
    await login.saw('waiting for that')
    const { err } = login.said()
    assert.match(err, new RegExp(`http://localhost:${new URL(server.url).port}/device\\n`))
    assert.match(err, new RegExp(`ssh -L ${new URL(server.url).port}:127\\.0\\.0\\.1:`))
    const code = codeIn(err)
    const shown = await maya.api(showDeviceSignIn, { body: { user_code: code.toLowerCase().replace('-', ' ') } })
    assert.deepEqual([shown.status, shown.reply.user_code, shown.reply.asked_from, shown.reply.roles], [200, code, '127.0.0.1', ['auditor']], shown.text)
    assert.match(shown.reply.claimed_device!, /@/)
    const confirmed = await maya.api(confirmDeviceSignIn, { body: { user_code: code, answer: 'allow' } })
    assert.equal(confirmed.status, 200, confirmed.text)
    const ended = await login.ended
    assert.equal(ended.code, 0, ended.err)
    const kept = await storedIn(stage)
    assert.match(kept.sign_in!.secret, /^writ_si_/)
    assert.ok(!ended.out.includes(kept.sign_in!.secret) && !ended.err.includes('writ_'), 'no secret is printed')
    assert.deepEqual([(JSON.parse(ended.out) as { readonly name: string }).name, kept.url, kept.operator, (await stat(pathIn(stage))).mode & 0o777], ['Maya', server.url, undefined, 0o600])
  })

  test('it says who that is and until when, and does what their roles allow and nothing else', async () => {
    const me = JSON.parse((await warm(stage, ['whoami', '--json'])).out) as Readonly<Record<string, unknown>>
    assert.deepEqual([me['kind'], me['id'], me['name'], me['email'], me['roles']], ['person', maya.id, 'Maya', 'maya@acme.example', ['auditor']])
    assert.ok(Date.parse(String(me['ends_at'])) > Date.parse(String(me['idle_until'])))
    assert.match((await warm(stage, ['whoami'])).out, /roles +auditor\nends +in 11 h; unused, in 29 min/)
    const listed = await warm(stage, ['operator', 'list', '--json'])
    assert.equal(listed.code, 0, listed.err)
    const refused = await warm(stage, ['operator', 'add', 'one more'])
    assert.deepEqual([refused.code, refused.out], [4, ''], refused.err)
    assert.match((await warm(stage, ['doctor'])).out, /Maya \(person /)
  })

  test('contexts keep what opens one server from the others', async () => {
    const begun = await warm(stage, ['context', 'use', 'prod', '--url', 'https://writ.acme.example', '--json'])
    assert.equal(begun.code, 0, begun.err)
    const listed = JSON.parse((await warm(stage, ['context', 'list', '--json'])).out) as readonly { readonly name: string; readonly current: boolean; readonly as: string | null }[]
    assert.deepEqual(listed.map(({ name, current, as }) => [name, current, as]), [['default', false, 'Maya'], ['prod', true, null]])
    const nobody = await warm(stage, ['operator', 'list'])
    assert.equal(nobody.code, 3)
    assert.match(nobody.err, /nobody is signed in to https:\/\/writ\.acme\.example here\nhint: `writ login`/)
    assert.equal((await warm(stage, ['whoami', '--in-context', 'default'])).code, 0, 'a flag chooses')
    assert.equal((await storedIn(stage)).context, 'prod', 'and changes nothing')
    assert.match((await warm(stage, ['whoami', '--in-context', 'else'])).err, /there is no context `else`/)
    assert.match((await warm(stage, ['context', 'show', 'default'])).out, /as +Maya/)
    assert.equal((await warm(stage, ['context', 'use', 'default'])).code, 0)
    assert.deepEqual([(await storedIn(stage)).context, (await storedIn(stage)).contexts!['prod']!.url], [undefined, 'https://writ.acme.example'])
    const moved = await warm(stage, ['context', 'use', 'copy', '--url', server.url])
    assert.equal(moved.code, 0)
    assert.equal((await warm(stage, ['whoami'])).code, 3, 'another context of the same server has a sign-in of its own')
    await warm(stage, ['context', 'use', 'default'])
  })

  test('`writ logout` ends it on the server and forgets it, and the sign-in that let it in lives on', async () => {
    const { id, secret } = (await storedIn(stage)).sign_in!
    const out = await warm(stage, ['logout'])
    assert.equal(out.code, 0, out.err)
    assert.equal((await storedIn(stage)).sign_in, undefined)
    const known = (await maya.api(listSignIns)).reply.sign_ins
    assert.deepEqual(Object.fromEntries(known.map(({ id: one, state }) => [one, state])), { [id]: 'revoked', [maya.signIn]: 'live' })
    assert.equal((await fetch(`${server.url}/v1/whoami`, { headers: { authorization: `Bearer ${secret}` } })).status, 401)
    assert.match((await warm(stage, ['logout'])).err, /nobody is signed in/)
  })

  test('a sign-in that was revoked elsewhere is said to be over, and is forgotten in peace', async () => {
    const dave = await signInAs(server, { roles: ['viewer'], name: 'Dave', kind: 'cli', passkey: false })
    await writeFile(pathIn(stage), JSON.stringify({ url: server.url, identities: {}, sign_in: { id: dave.signIn, secret: dave.secret, person: dave.id, name: 'Dave', ends_at: new Date(Date.now() + 3_600_000).toISOString() } }))
    assert.equal((await warm(stage, ['whoami'])).code, 0)
    assert.equal((await fetch(`${server.url}/v1/sign-out`, { method: 'POST', headers: { authorization: `Bearer ${dave.secret}`, 'content-type': 'application/json' }, body: '{}' })).status, 200)
    const over = await warm(stage, ['whoami'])
    assert.deepEqual([over.code, over.err], [3, 'error: your sign-in has ended, or was revoked\nhint: `writ login`\n'])
    assert.equal((await warm(stage, ['logout'])).code, 0)
    assert.equal((await storedIn(stage)).sign_in, undefined)
  })

  test('whoever says no is heard, and nothing is stored', async (t) => {
    const other = await emptyStage(t)
    const login = startWrit(other, ['login', '--url', server.url])
    await login.saw('waiting for that')
    await maya.api(confirmDeviceSignIn, { body: { user_code: codeIn(login.said().err), answer: 'deny' } })
    const ended = await login.ended
    assert.deepEqual([ended.code, ended.out], [4, ''])
    assert.match(ended.err, /whoever was asked said no/)
    await assert.rejects(readFile(pathIn(other)), { code: 'ENOENT' })
  })

  test('a key that an operator made is taken where people sign in too, when it is pasted', async (t) => {
    const other = await emptyStage(t)
    const done = await writ(other, ['login', '--paste', '--url', server.url], { input: server.operatorKey })
    assert.equal(done.code, 0, done.err)
    const out = await warm(other, ['logout'])
    assert.match(out.err, /is forgotten here; it still opens .*`writ operator remove opr_/)
  })

  test('nothing is forgotten while the server can not be reached, unless that is what is asked', async (t) => {
    const other = await emptyStage(t)
    await writ(other, ['context', 'use', 'default', '--url', 'http://127.0.0.1:1'])
    await writeFile(pathIn(other), JSON.stringify({ url: 'http://127.0.0.1:1', identities: {}, sign_in: { id: 'sgn_1', secret: 's', person: 'psn_1', name: 'Eve', ends_at: '2099-01-01T00:00:00.000Z' } }))
    const kept = await warm(other, ['logout'])
    assert.deepEqual([kept.code, (await storedIn(other)).sign_in?.id], [7, 'sgn_1'])
    assert.match(kept.err, /nothing was forgotten\nhint: `writ logout --forget`/)
    assert.equal((await warm(other, ['logout', '--forget'])).code, 0)
    assert.equal((await storedIn(other)).sign_in, undefined)
  })
})
