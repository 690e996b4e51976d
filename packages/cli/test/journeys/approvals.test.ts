import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as policies from '@writ/contract/policies'
import { HOSTILE_TEXTS } from '../../../server/test/hostile-texts.ts'
import { accessTo, governServer, rawNewer, type Access } from '../../../server/test/mcp/estate.ts'
import { recordingHttp, type RecordingHttp } from '../../../server/test/mcp/recording-http.ts'
import { signInAs, type SignedInPerson } from '../../../server/test/people.ts'
import { startWrit as startServer, type RunningWrit, type TestIdentity } from '../../../server/test/running-writ.ts'
import { writeConfig } from '../../src/config.ts'
import { signedIn } from '../estate.ts'
import { emptyStage, startWrit, type Stage } from '../run-writ.ts'
import { warmWritForFile } from '../warm-writ.ts'

const input = { type: 'object', properties: { amount: { type: 'integer' }, order: { type: 'string' } } }
const TOOLS = [{ name: 'refund', description: 'Pays money back.', inputSchema: input }, { name: 'note', description: 'Writes a note.', inputSchema: input }]
const ASK_FIRST = `@id("notes-are-approved")
forbid (principal, action in Writ::Action::"call", resource == Writ::Tool::"shop/note")
unless { context.approved };
`

describe('approvals and stops at the command line', () => {
  const writ = warmWritForFile()
  let recording: RecordingHttp
  let server: RunningWrit
  let bot: TestIdentity
  let maya: SignedInPerson
  /** Of an operator's key, and of a person. */
  let keyed: Stage
  let stage: Stage
  const ends: (() => unknown)[] = []
  before(async () => {
    const ending = { after: (end: unknown) => ends.push(end as () => unknown) }
    ;[keyed, stage] = [await emptyStage(ending), await emptyStage(ending)]
    recording = await recordingHttp({ tools: TOOLS })
    server = await startServer({ env: { WRIT_OUTBOUND_ALLOW: recording.host, WRIT_LOG: 'warn' } })
    ends.push(() => recording.stop(), () => server.stop())
    await governServer(server, { name: 'shop', transport: 'http', url: recording.urlOf('newer') }, (tool) => (tool === 'refund' ? { effect: 'external', reversible: false } : { effect: 'write', reversible: true }))
    const { files } = (await server.operator(policies.showCurrentPolicies)).reply
    await server.operator(policies.applyPolicies, { body: { files: { ...files, 'policies/notes.cedar': ASK_FIRST }, reason: 'ask first' } })
    bot = await server.register('refunder', { authority: ['mcp:shop:refund', 'mcp:shop:note'], owners: { technical: 'person:li@acme.example', business: 'team:shop' } })
    maya = await signInAs(server, { roles: ['reviewer', 'responder'], email: 'maya@acme.example', name: 'Maya', kind: 'cli', passkey: false })
    await signedIn(keyed, server)
    await writeConfig(stage.environment, { url: server.url, sign_in: { id: maya.signIn, secret: maya.secret, person: maya.id, name: 'Maya', ends_at: '2099-01-01T00:00:00.000Z' }, identities: {} })
  })
  after(async () => { for (const end of ends.toReversed()) await end() })

  const exits = async (args: readonly string[], code: number, as = stage): Promise<{ readonly out: string; readonly err: string }> => {
    const ended = await writ(as, args)
    assert.equal(ended.code, code, `${args.join(' ')}: ${ended.err}`)
    return ended
  }
  const shown = async <T>(args: readonly string[]): Promise<T> => JSON.parse((await exits([...args, '--json'], 0)).out) as T
  type Card = { readonly id: string; readonly state: string; readonly envelope_sha256: string; readonly arguments: string }

  const asking = async (access: Access, tool: string, order: string): Promise<string> => {
    const got = await (await rawNewer(access, 'tools/call', { params: { name: tool, arguments: { amount: 42, order } } })).json() as { readonly error?: { readonly data: { readonly approval: string } } }
    if (got.error !== undefined && got.error.data?.approval === undefined) assert.fail(JSON.stringify(got).slice(0, 2000))
    return got.error?.data.approval ?? ''
  }
  const accessNow = (): Promise<Access> => accessTo(server, bot, { server: 'shop', tools: ['refund', 'note'] })

  test('what waits is listed, shown whole and inert, and approved by the hash of what was shown; then it runs once', async () => {
    const access = await accessNow()
    const order = `${HOSTILE_TEXTS.filter((text) => text.length < 200 && text.isWellFormed() && !text.includes('\0')).join('')}${'x'.repeat(3000)}the end`
    const id = await asking(access, 'note', order)
    const { out } = await exits(['approvals', 'list', '--plain'], 0)
    assert.match(out, new RegExp(`^${id}\tmedium\t${bot.spiffeId}\tcall shop/note\t${access.task}\twaiting\t.*\t0 of 1\tyes$`, 'm'))
    const human = (await exits(['approvals', 'show', id], 0)).out
    assert.match(human, /exactly what will run:\n.*the end"\}\n/)
    for (const hidden of ['\u001b', '\u202e', '\u200b']) assert.ok(!human.includes(hidden))
    assert.match(human, /says it is for: works with tools/)
    const card = await shown<Card>(['approvals', 'show', id])

    for (const [what, args] of Object.entries({ 'no --yes': ['--envelope', card.envelope_sha256], 'no envelope': ['--yes'] })) assert.match((await exits(['approvals', 'approve', id, ...args], 2)).err, /--yes and --envelope/, what)
    assert.match((await exits(['approvals', 'approve', id, '--yes', '--envelope', 'a'.repeat(64)], 6)).err, /not what you have looked at/)
    assert.match((await exits(['approvals', 'approve', id, '--yes', '--envelope', card.envelope_sha256], 4, keyed)).err, /people answer/)
    assert.equal(await asking(access, 'note', order), id, 'it waits still')
    const approved = await shown<Card>(['approvals', 'approve', id, '--yes', '--envelope', card.envelope_sha256, '--reason', 'looked at'])
    assert.equal(approved.state, 'approved')
    assert.equal(await asking(access, 'note', order), '', 'it runs')
    assert.equal((await shown<Card>(['approvals', 'show', id, '--wait'])).state, 'used')
    assert.match((await exits(['approvals', 'approve', id, '--yes', '--envelope', card.envelope_sha256], 6)).err, /used already/)
    await exits(['approvals', 'show', 'apr_none'], 5)
  })

  test('a no ends it; what is of high risk is signed in the console; and who waits for the answer gets it as an exit code', async () => {
    const access = await accessNow()
    const [note, refund] = [await asking(access, 'note', 'n1'), await asking(access, 'refund', 'r1')]
    assert.match((await exits(['approvals', 'deny', note, '--reason', 'not today'], 2)).err, /--yes is needed/)
    assert.match((await exits(['approvals', 'deny', note, '--reason', 'not today', '--yes', '--plain'], 0)).out, /denied/)
    await exits(['approvals', 'show', note, '--wait', '--json'], 12)
    const card = await shown<Card>(['approvals', 'show', refund])
    const { err } = await exits(['approvals', 'approve', refund, '--yes', '--envelope', card.envelope_sha256, '--json'], 4)
    const problem = JSON.parse(err) as { readonly code: string; readonly hint: string; readonly title: string }
    assert.deepEqual([problem.code, problem.hint.split(';')[0]], ['not_allowed', `answer at http://localhost:${new URL(server.url).port}/go/${refund}`])
    assert.match(problem.title, /a passkey has to sign/)
  })

  test('`writ approvals watch` shows what waits and what becomes of it, one line each', async () => {
    const access = await accessNow()
    const first = await asking(access, 'note', 'w1')
    const watching = startWrit(stage, ['approvals', 'watch', '--jsonl', '--limit', '40'])
    await watching.saw(first)
    const second = await asking(access, 'note', 'w2')
    await watching.saw(second)
    await exits(['approvals', 'deny', second, '--yes'], 0)
    await watching.saw('"state":"denied"')
    watching.child.kill('SIGINT')
    const { out } = await watching.ended
    const seen = out.trim().split('\n').map((line) => JSON.parse(line) as Card)
    for (const [id, state] of [[first, 'waiting'], [second, 'waiting'], [second, 'denied']]) assert.equal(seen.filter((one) => one.id === id && one.state === state).length, 1, `${id} ${state}`)
  })

  test('a stop says first what it would touch, then who has confirmed it; an identity is named as people say it', async () => {
    const access = await accessNow()
    const waiting = await asking(access, 'note', 's1')
    assert.match((await exits(['stop', 'task', access.task, '--dry-run'], 0)).err, /nothing was changed/)
    assert.match((await exits(['stop', 'task', access.task, '--dry-run', '--plain'], 0)).out, /^would stop\t1 task · 0 logins · 1 access token · 0 calls in flight · 1 approval$/m)
    assert.match((await exits(['stop', 'task', access.task], 2)).err, /--reason is needed/)
    const stopped = await shown<{ readonly id: string; readonly state: string; readonly confirmed: number; readonly of: number }>(['stop', 'task', access.task, '--reason', 'prompt injection', '--wait'])
    assert.deepEqual([stopped.state, stopped.confirmed, stopped.of], ['contained', 2, 2])
    assert.equal((await shown<Card>(['approvals', 'show', waiting])).state, 'cancelled')
    assert.match((await exits(['stop', 'show', stopped.id], 0)).out, /server .*acknowledged/i)
    assert.match((await exits(['stop', 'identity', 'refunder', '--reason', 'it goes on', '--wait', '--plain'], 0)).out, /state\tcontained/)
    assert.match((await exits(['stop', 'list', '--plain'], 0)).out, new RegExp(`${bot.spiffeId}\tcontained\t`))
    await exits(['stop', 'identity', 'refundr', '--reason', 'x'], 5)
    await exits(['stop', 'task', 'tsk_none', '--reason', 'x'], 5)
  })
})
