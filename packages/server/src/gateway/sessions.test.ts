import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mintId, type ServerInstanceId } from '@writ/domain/id'
import { fixedClock, type FixedClock } from '../../test/fakes/clock.ts'
import { countingEntropy } from '../../test/fakes/entropy.ts'
import { gatewayCaller } from '../../test/fakes/pipeline.ts'
import { Ended } from './refused.ts'
import { holderOf, homeOf, mintSessionId, sessions, type Session, type SessionBounds, type SessionHolder, type Sessions } from './sessions.ts'

const HOME = mintId('serverInstance', fixedClock().now(), new Uint8Array(10).fill(7)) as ServerInstanceId
const OWN = holderOf('files', gatewayCaller())
const GONE = new Ended('client_gone')

type Desk = { readonly open: Sessions; readonly clock: FixedClock; readonly begin: (holder?: SessionHolder) => Session }
function desk(bounds?: Partial<SessionBounds>): Desk {
  const clock = fixedClock()
  const open = sessions({ home: HOME, clock, entropy: countingEntropy() }, { ofTask: 3, inAll: 5, idleMs: 600_000, ...bounds })
  return {
    open, clock,
    begin(holder = OWN) {
      const opened = open.open({ holder, client: { name: 'client', version: '1', capabilities: {} }, version: '2025-11-25', behind: { generation: '2025-11-25', hasLog: true } })
      assert.ok(opened.ok, JSON.stringify(opened))
      return opened.value
    },
  }
}

test('the id of a session tells its home, and a scanner knows it from a look-alike', () => {
  const id = mintSessionId(HOME, countingEntropy(41))
  assert.match(id, /^writ_mcp_[!-~]{75}$/)
  assert.equal(homeOf(id), HOME)
  for (let i = 0; i < id.length; i++) {
    const other = id.slice(0, i) + (id[i] === 'a' ? 'b' : 'a') + id.slice(i + 1)
    assert.equal(homeOf(other), undefined, other)
  }
  for (const other of ['', 'writ_mcp_', `${id}a`, id.slice(1), id.toUpperCase(), ` ${id}`]) assert.equal(homeOf(other), undefined)
})

for (const { when, holder } of [
  { when: 'of another task', holder: holderOf('files', gatewayCaller({ task: 'another' })) },
  { when: 'of another identity', holder: holderOf('files', gatewayCaller({ identity: 'another' })) },
  { when: 'bound to another key', holder: holderOf('files', gatewayCaller({ key: 'another' })) },
  { when: 'bound to no key', holder: holderOf('files', gatewayCaller({ key: '' })) },
  { when: 'at the address of another MCP server', holder: holderOf('mails', gatewayCaller()) },
]) {
  test(`a session is not there for a token ${when}`, () => {
    const { open, begin } = desk()
    const { id } = begin()
    assert.equal(open.find(id, holder), undefined)
    assert.notEqual(open.find(id, OWN), undefined)
  })
}

test('a session is there for another token of the same task and key', () => {
  const { open, begin } = desk()
  const { id } = begin()
  assert.equal(open.find(id, holderOf('files', gatewayCaller({ token: 'renewed' })))?.id, id)
})

test('a session that nobody used for ten minutes is over, and one that is in use goes on', () => {
  const { open, clock, begin } = desk()
  const [idle, used, calling, hearing] = [begin(), begin(holderOf('files', gatewayCaller({ task: 'two' }))), begin(), begin()]
  calling.calls.set('1', { lease: gatewayCaller().lease, cancel: () => {} })
  hearing.streams.open().connect(undefined, new AbortController().signal)
  for (let i = 0; i < 3; i++) {
    clock.advance(300_000)
    open.find(used.id, used.holder)
    open.sweep()
  }
  assert.equal(open.find(idle.id, OWN), undefined)
  assert.equal(idle.ended.aborted, true)
  for (const one of [used, calling, hearing]) assert.equal(open.find(one.id, one.holder), one)
})

test('a session is over at its time also where nobody has swept', () => {
  const { open, clock, begin } = desk()
  const { id } = begin()
  clock.advance(599_999)
  assert.notEqual(open.find(id, OWN), undefined)
  clock.advance(600_000)
  assert.equal(open.find(id, OWN), undefined)
})

test('of a task with as many sessions as it may have, the one that was used longest ago makes room', () => {
  const { open, clock, begin } = desk()
  const all = [begin(), begin(), begin()]
  clock.advance(1)
  open.find(all[0]!.id, OWN)
  const fourth = begin()
  assert.deepEqual(all.map(({ id }) => open.find(id, OWN) !== undefined), [true, false, true])
  assert.equal(open.find(fourth.id, OWN), fourth)
})

test('a task whose sessions are all in use gets no more', () => {
  const { open, begin } = desk()
  for (let i = 0; i < 3; i++) begin().calls.set('1', { lease: gatewayCaller().lease, cancel: () => {} })
  const more = open.open({ holder: OWN, client: { name: 'client', version: '1', capabilities: {} }, version: '2025-11-25', behind: { generation: '2025-11-25', hasLog: true } })
  assert.deepEqual(more, { ok: false, refusal: { kind: 'too_many_of_task' } })
  assert.equal(open.size, 3)
})

test('a server that keeps as many sessions as it may takes no more, and ends nobody\'s for them', () => {
  const { open, begin, clock } = desk()
  const of = (task: string): SessionHolder => holderOf('files', gatewayCaller({ task }))
  const all = ['1', '2', '3', '4', '5'].map((task) => begin(of(task)))
  const more = (): ReturnType<Sessions['open']> => open.open({ holder: of('6'), client: { name: 'client', version: '1', capabilities: {} }, version: '2025-11-25', behind: { generation: '2025-11-25', hasLog: true } })
  assert.deepEqual(more(), { ok: false, refusal: { kind: 'too_many' } })
  for (const one of all) assert.equal(open.find(one.id, one.holder), one)
  clock.advance(600_000)
  assert.equal(more().ok, true)
})

test('the end of a task ends its sessions, their calls and their streams, and no others', async () => {
  const { open, begin } = desk()
  const [ours, theirs] = [begin(), begin(holderOf('files', gatewayCaller({ task: 'another' })))]
  const because = new Ended('task_ended', 'killed')
  let cancelled: Error | undefined
  ours.calls.set('1', { lease: gatewayCaller().lease, cancel: (reason) => { cancelled = reason } })
  ours.standing.push(ours.streams.open())
  const events = ours.standing[0]!.connect(undefined, new AbortController().signal)
  assert.equal((await events.next()).done, false)
  open.endWhere(({ task }) => task === OWN.task, because)
  assert.equal(cancelled, because)
  assert.equal((await events.next()).done, true)
  assert.equal(ours.ended.reason, because)
  assert.equal(open.find(ours.id, OWN), undefined)
  assert.equal(open.find(theirs.id, theirs.holder), theirs)
})

test('a session that has ended is not there any more', () => {
  const { open, begin } = desk()
  const session = begin()
  open.end(session, GONE)
  open.end(session, GONE)
  assert.equal(open.find(session.id, OWN), undefined)
  assert.equal(open.size, 0)
})

test('streams that are over are kept for a while, the youngest of them, and within their room', () => {
  const { begin, open } = desk()
  const { streams } = begin()
  const said = (text: string): string => {
    const stream = streams.open()
    stream.say(text)
    stream.end()
    return stream.id
  }
  const ids = Array.from({ length: 20 }, () => said('{}'))
  streams.trim()
  assert.deepEqual(ids.filter((id) => streams.find(id) !== undefined), ids.slice(4))
  const large = said('x'.repeat(2_000_000))
  streams.trim()
  assert.equal(streams.find(large), undefined)
  const open1 = streams.open()
  open.sweep()
  open.sweep()
  assert.deepEqual([...streams.all.keys()], [open1.id])
})
