import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { listDecisions } from '@writ/contract/decisions'
import { listPolicies } from '@writ/contract/policies'
import { DEFAULT_BUNDLE } from '@writ/policy/defaults'
import { keptIn } from '../../../server/test/kept.ts'
import { startWrit as startServer, type RunningWrit, type TestIdentity } from '../../../server/test/running-writ.ts'
import { signedIn } from '../estate.ts'
import { put, REFUND_SET } from '../policy-set.ts'
import { emptyStage, writ as writAlone, type Stage } from '../run-writ.ts'
import { warmWritForFile, type Ended } from '../warm-writ.ts'

const writ = warmWritForFile()

let server: RunningWrit
let stage: Stage
let refunder: TestIdentity
const ends: (() => unknown)[] = []
before(async () => {
  stage = await emptyStage({ after: (end: unknown) => ends.push(end as () => unknown) })
  server = await startServer()
  ends.push(() => server.stop())
  refunder = await server.register('refund-agent', { authority: ['mcp:stripe:refunds.create', 'postgres:shop:read'] })
  const keyFile = join(stage.folder, 'refunder.jwk')
  writeFileSync(keyFile, JSON.stringify(refunder.privateKey.export({ format: 'jwk' })), { mode: 0o600 })
  await signedIn(stage, server, { [refunder.spiffeId]: { key_file: keyFile } })
  put(join(stage.folder, 'shipped'), DEFAULT_BUNDLE)
  put(join(stage.folder, 'refunds'), REFUND_SET)
})
after(async () => {
  for (const end of ends.toReversed()) await end()
})

const policy = (...args: readonly string[]): Promise<Ended> => writ(stage, ['policy', ...args])
const can = (...args: readonly string[]): Promise<Ended> => writ(stage, ['can', ...args])
const refund = (...args: readonly string[]): Promise<Ended> => can('refund-agent', 'call', 'tool:stripe/refunds.create', ...args)
const versionInForce = async (): Promise<number> => (await server.operator(listPolicies)).reply.versions.find((one) => one.in_force)!.version

/** The command answers this code, and the store holds what it held before. */
async function refused(done: () => Promise<Ended>, code: number): Promise<Ended> {
  const before = await keptIn(server)
  const ended = await done()
  assert.deepEqual([ended.code, ended.out], [code, ''], ended.err)
  assert.deepEqual(await keptIn(server), before)
  return ended
}

test('the set that ships is in force, and to apply it again is nothing to do', async () => {
  const before = await keptIn(server)
  const compared = await writAlone(stage, ['policy', 'diff', 'shipped'])
  assert.deepEqual([compared.code, compared.out], [0, ''], compared.err)
  assert.match(compared.err, /^against version 1: nothing differs$/m)
  const applied = await policy('apply', 'shipped', '--reason', 'x')
  assert.deepEqual([applied.code, applied.out], [0, '1\n'], applied.err)
  assert.match(applied.err, /nothing to do: version 1 is in force/)
  assert.deepEqual(await keptIn(server), before)
})

test('what a directory would change is shown line by line, and a dry run changes nothing', async () => {
  const compared = await policy('diff', 'refunds')
  assert.equal(compared.code, 0, compared.err)
  assert.match(compared.out, /^\+ permit refunds-small {2}added {2}refunds\.cedar:1\n {4}\+ @id\("refunds-small"\)$/m)
  assert.match(compared.out, /^\+ tool stripe\/refunds\.create {2}added$/m)
  assert.match(compared.err, /^against version 1: 2 policies added, .*1 tool added, 2 cases added$/m)
  const json = JSON.parse((await policy('diff', 'refunds', '--json')).out) as { readonly against: number; readonly policies: readonly { readonly policy: string }[] }
  assert.deepEqual([json.against, json.policies.map((one) => one.policy)], [1, ['refunds-odd', 'refunds-small']])
  const before = await keptIn(server)
  const dry = await policy('apply', 'refunds', '--dry-run')
  assert.equal(dry.code, 0, dry.err)
  assert.match(dry.err, /to do against version 1: .*; nothing was done/)
  assert.deepEqual(await keptIn(server), before)
})

test('policies that are wrong, fail their cases, have no reason or come too late are not applied', async () => {
  put(join(stage.folder, 'wrong'), { ...REFUND_SET, 'refunds.cedar': REFUND_SET['refunds.cedar']!.replace('amount <= 1000', 'amont <= 1000') })
  const wrong = await refused(() => policy('apply', 'wrong', '--reason', 'x'), 1)
  assert.match(wrong.err, / {2}wrong\/refunds\.cedar:7:\d+: .*did you mean `amount`\?/)
  put(join(stage.folder, 'failing'), { ...REFUND_SET, 'refunds.cedar': REFUND_SET['refunds.cedar']!.replace('amount <= 1000', 'amount <= 100') })
  const failing = await refused(() => policy('apply', 'failing', '--reason', 'x'), 1)
  assert.match(failing.err, / {2}failing\/tests\/refunds\.json:2:1: case `a small refund` expects allowed by refunds-small/)
  assert.match((await refused(() => policy('apply', 'refunds'), 2)).err, /--reason is needed/)
  assert.match((await refused(() => policy('apply', 'refunds', '--reason', 'x', '--expect', '7'), 6)).err, /version 1 is in force, and not 7; nothing was applied/)
  assert.equal(await versionInForce(), 1)
})

test('applied policies decide at once, and every answer comes with its four lines', async () => {
  assert.equal((await refund('-c', 'amount=900')).code, 10)
  const applied = await policy('apply', 'refunds', '--reason', 'refunds\u001b[2J go by themselves')
  assert.deepEqual([applied.code, applied.out.split('\n').at(-2)], [0, '2'], applied.err)
  assert.match(applied.err, /version 2 is in force on every server, in place of version 1: 2 policies added/)

  const allowed = await refund('-c', 'amount=900')
  assert.deepEqual([allowed.code, allowed.out.split('\n').length], [0, 5], allowed.err)
  assert.match(allowed.out, /^allowed: spiffe:\/\/acme\.example\/refund-agent call Tool stripe\/refunds\.create {2}dec_\w{26}\n {2}why: permitted by refunds-small \(refunds\.cedar:1\)$/m)
  const asks = await refund('-c', 'amount=4200', '-c', 'note=order 551')
  assert.equal(asks.code, 11, asks.err)
  assert.match(asks.out, /^needs approval: .*\n {2}why: .*nearest is refunds-small \(refunds\.cedar:7\): context\.arguments\.amount <= 1000 \(is 4200\)\n {2}would allow it: other-writes-approved/m)
  const listed = await policy('list', '--plain')
  assert.match(listed.out, /^2\tin force\t\S+\topr_\w+\trefunds\\u\{1b\}\[2J go by themselves\t-\t[0-9a-f]{64}$/m)
})

test('an integer is asked about digit for digit, and what can not be read exactly is denied and says why', async () => {
  assert.equal((await refund('-c', 'amount=9007199254740992')).code, 11)
  const odd = await refund('-c', 'amount=9007199254740993')
  assert.equal(odd.code, 10, odd.err)
  assert.match(odd.out, /^denied: .*\n {2}why: forbidden by refunds-odd \(refunds\.cedar:\d+\): context\.arguments\.amount == 9007199254740993 \(is 9007199254740993\)$/m)
  for (const value of ['1.5', 'null', '99999999999999999999', 'lots']) {
    const done = await refund('-c', `amount=${value}`)
    assert.deepEqual([done.code, /why: it could not be evaluated: context\.arguments\.amount|why: it could not be evaluated: arguments\.amount/.test(done.out)], [10, true], value + done.out + done.err)
  }
  assert.equal((await refund('-c', 'amount=900', '-c', 'extra=1')).code, 10)
  assert.equal((await refund('-c', 'amount=900', '--claim', 'urgent=true')).code, 10)
})

test('a question that can not be asked is refused, and nothing is decided', async () => {
  for (const { args, code, says } of [
    { args: ['refund-agnet', 'call', 'tool:stripe/refunds.create'], code: 5, says: /there is no identity `refund-agnet`\nhint: did you mean `refund-agent`\?/ },
    { args: ['refund-agent', 'call', 'stripe'], code: 2, says: /`stripe` says no type\nhint: SERVER\/TOOL is wanted/ },
    { args: ['refund-agent', 'call', 'tool:a/b', '-c', 'amount'], code: 2, says: /it must be NAME=VALUE/ },
    { args: ['refund-agent', 'call', 'tool:a/b', '-c', 'a=1', '-c', 'a=2'], code: 2, says: /`a` stands twice/ },
    { args: ['refund-agent', 'call', 'tool:a/b', '-c', 'a={"b":1,"b":2}'], code: 2, says: /is not JSON that every reader takes for the same value/ },
    { args: ['refund-agent', 'call', 'tool:a/b', '--claim', 'approved=true'], code: 2, says: /context\.approved: is known by Writ, and taken from nobody/ },
    { args: ['refund-agent', 'call', 'tool:a/b', '--task', 'tsk_1'], code: 2, says: /must be the id of a task/ },
    { args: ['refund-agent', 'call', 'tool:a/b', '--as', 'refund-agent'], code: 2, says: /says what kind it is/ },
  ]) assert.match((await refused(() => can(...args), code)).err, says)
})

test('an identity asks about itself, in its task too, where its grant and budget count', async () => {
  const own = ['agent:spiffe://acme.example/refund-agent', 'call', 'tool:stripe/refunds.create', '--as', 'refund-agent', '-c']
  const advice = await can(...own, 'amount=4200')
  assert.equal(advice.code, 11, advice.err)
  assert.match(advice.out, /^needs approval: spiffe:\/\/acme\.example\/refund-agent call tool stripe\/refunds\.create/)
  const opened = await writ(stage, ['task', 'open', '--for', 'refunds', '--grant', 'mcp:stripe:refunds.create', '--budget', '3', '--purpose-id', 'refunds', '--change', 'CHG-17'])
  assert.equal(opened.code, 0, opened.err)
  const task = opened.out.trim()
  assert.match((await writ(stage, ['task', 'show', task])).out, /^purpose id +refunds\nchange +CHG-17$/m)
  const within = await can(...own, 'amount=900', '--task', task)
  assert.deepEqual([within.code, within.out.startsWith('allowed: ')], [0, true], within.out + within.err)
  const beyond = await can('agent:spiffe://acme.example/refund-agent', 'read', 'tool:stripe/other', '--task', task, '--as', 'refund-agent')
  assert.equal(beyond.code, 10, beyond.out + beyond.err)
  assert.match(beyond.out, /why: the task's grant does not hold/)
})

test('a decision is explained by its id, and whatever else was meant is said', async () => {
  const asked = await refund('-c', 'amount=4200')
  const id = /dec_\w{26}/.exec(asked.out)![0]
  const explained = await writ(stage, ['explain', id])
  assert.deepEqual([explained.code, explained.out], [0, asked.out], explained.err)
  const json = JSON.parse((await writ(stage, ['explain', id, '--json'])).out) as { readonly decision: string; readonly verdict: string; readonly nearest: { readonly actual: object } }
  assert.deepEqual([json.decision, json.verdict, json.nearest.actual], [id, 'approval_required', { 'context.arguments.amount': '4200' }])
  for (const { asked: what, code, says } of [
    { asked: id.slice(0, -1), code: 2, says: /is not a whole id of a decision/ },
    { asked: id.replace('dec_', 'dce_'), code: 2, says: new RegExp(`did you mean \`${id}\``) },
    { asked: 'tsk_00000000000000000000000000', code: 2, says: /is the id of a task, and decisions are explained\nhint: writ task show tsk_0/ },
    { asked: 'refunds-small', code: 2, says: /is no id of a decision/ },
    { asked: 'dec_00000000000000000000000000', code: 5, says: /there is no such decision/ },
  ]) assert.match((await refused(() => writ(stage, ['explain', what]), code)).err, says)
})

test('recorded decisions are asked of a draft, and what would change is counted and listed', async () => {
  put(join(stage.folder, 'draft'), { ...REFUND_SET, 'refunds.cedar': REFUND_SET['refunds.cedar']!.replace('amount <= 1000', 'amount <= 5000'), 'tests/refunds.json': '[]' })
  const before = await keptIn(server)
  const shown = await policy('simulate', 'draft', '--since', '1h')
  assert.equal(shown.code, 0, shown.err)
  const json = JSON.parse((await policy('simulate', 'draft', '--since', '1h', '--json')).out) as {
    readonly recorded: number; readonly replayed: number; readonly not_by_policy: number; readonly changed: number; readonly matrix: Readonly<Record<string, Readonly<Record<string, number>>>>
    readonly changes: readonly { readonly was: string; readonly now: string; readonly by: readonly { readonly policy: string }[] }[]
  }
  const { decisions } = (await server.operator(listDecisions, { query: { limit: '1000' } })).reply
  assert.equal(json.recorded, decisions.length)
  assert.equal(json.replayed + json.not_by_policy, json.recorded)
  const raised = json.changes.filter(({ was, now }) => was === 'approval_required' && now === 'allow')
  assert.ok(raised.length >= 3)
  assert.deepEqual([json.matrix['approval_required']!['allow'], [...new Set(raised.flatMap(({ by }) => by.map((one) => one.policy)))]], [raised.length, ['refunds-small']])
  assert.match(shown.out, new RegExp(`^\\d+ decisions replayed in [\\d.]+ s: ${json.changed} changes?   .*approval→allow ${raised.length}`, 'm'))
  assert.match(shown.out, /^ +now allow +now approval +now deny\nwas allow +\d+ +0 +0$/m)
  assert.match(shown.err, /1 decision left out: denied by grant, budget or state/)
  assert.deepEqual(await keptIn(server), before)
  const none = await policy('simulate', 'draft', '--since', '2001-01-01', '--until', '2001-01-02')
  assert.deepEqual([none.code, none.out], [0, ''])
  assert.match(none.err, /no decision was recorded .*: not evaluated/)
})

test('an older version comes back as a new one, and its files can be had', async () => {
  assert.equal((await refused(() => policy('rollback', '9', '--reason', 'x'), 5)).err.includes('no such version'), true)
  const done = await policy('rollback', '1', '--reason', 'refunds went wrong')
  assert.deepEqual([done.code, done.out], [0, '3\n'], done.err)
  assert.match(done.err, /version 3 is in force on every server, in place of version 2; it brings back version 1/)
  assert.equal((await refund('-c', 'amount=900')).code, 10)
  const out = join(stage.folder, 'out')
  assert.equal((await policy('show', '2', '--out', out)).code, 0)
  for (const [file, text] of Object.entries(REFUND_SET)) assert.equal(readFileSync(join(out, file), 'utf8'), text)
  assert.equal((await policy('show', '2', '--out', out)).code, 6)
  assert.match((await policy('show')).out, /^version +3\nstate +in force\n[\s\S]*^brings back +1\n[\s\S]*^\/\/ forbids\.cedar\n/m)
  assert.match((await policy('diff', 'out', '--against', '2')).err, /against version 2: nothing differs/)
  rmSync(out, { recursive: true })
  assert.ok(!readdirSync(stage.folder).includes('out'))
})

test('an identity is observed until a day, and enforced again by one command', async () => {
  const observed = await writ(stage, ['mode', 'observe', 'refund-agent', '--reason', 'see what it would hit', '--until', '2d'])
  assert.equal(observed.code, 0, observed.err)
  assert.match(observed.out, /^mode +observe$/m)
  assert.match(observed.err, /back again: writ mode enforce refund-agent --reason TEXT/)
  const listed = await writ(stage, ['mode', 'list'])
  assert.match(listed.out, /^identity +\S+ +observe +in (1|47|2) (d|h) +see what it would hit/m)
  assert.equal((await writ(stage, ['mode', 'enforce', refunder.spiffeId, '--reason', 'seen'])).code, 0)
  assert.match((await writ(stage, ['mode', 'list', '--plain'])).out, /^identity\t\S+\tenforce\t-\tseen\t/m)
  for (const { args, code, says } of [
    { args: ['observe', '--reason', 'x'], code: 2, says: /an identity or --server is needed, and not both/ },
    { args: ['observe', 'refund-agent', '--server', 'shop', '--reason', 'x'], code: 2, says: /not both/ },
    { args: ['observe', '--server', 'shop', '--reason', 'x'], code: 5, says: /no back end of this name/ },
    { args: ['observe', 'refund-agent', '--reason', 'x', '--until', '400d'], code: 2, says: /until: / },
    { args: ['observe', 'refund-agent'], code: 2, says: /--reason is needed/ },
    { args: ['enforce', 'refund-agnt', '--reason', 'x'], code: 5, says: /did you mean `refund-agent`/ },
  ]) assert.match((await refused(() => writ(stage, ['mode', ...args]), code)).err, says)
})
