import assert from 'node:assert/strict'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { writeConfig } from '../src/config.ts'
import { emptyStage, startWrit, type Stage } from './run-writ.ts'

type Asked = { readonly lastId: string | undefined; readonly authorization: string | undefined }

/** A server whose streams say what they are told to, and then are silent, broken off or ended. */
async function streamsOf(t: TestContext, streams: readonly ((answer: ServerResponse) => void)[]): Promise<Stage & { readonly asked: readonly Asked[] }> {
  const asked: Asked[] = []
  const server = createServer((request, answer) => {
    asked.push({ lastId: request.headers['last-event-id'] as string | undefined, authorization: request.headers.authorization })
    const stream = streams[asked.length - 1]
    if (stream === undefined) return void answer.writeHead(401, { 'content-type': 'application/problem+json' }).end(JSON.stringify({ type: '/problems/unauthenticated', title: 'no', status: 401, code: 'unauthenticated', retryable: false, trace_id: 'x' }))
    answer.writeHead(200, { 'content-type': 'text/event-stream' })
    stream(answer)
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const stage = await emptyStage(t)
  await writeConfig(stage.environment, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, operator: { id: 'opr_1', key: 'writ_op_x' }, identities: {} })
  return { ...stage, asked }
}

const hello = (resumed: boolean, id: string) => `retry: 1\nid: ${id}\nevent: hello\ndata: ${JSON.stringify({ at: '2026-11-22T00:00:00.000Z', resumed, heartbeat_ms: 200 })}\n\n`
const event = (id: string, facts: Readonly<Record<string, unknown>> = {}) => `id: ${id}\nevent: event\ndata: ${JSON.stringify({
  id, type: 'task.opened', stream: 'non-human', at: '2026-11-22T00:00:00.000Z', actor: { kind: 'writ', id: 'writ' }, task: 'tsk_1', identity: null, lease: null, facts,
})}\n\n`

test('a stream that falls silent, breaks off or ends is taken up where it was, and nothing is shown twice', async (t) => {
  const stage = await streamsOf(t, [
    (answer) => { answer.write(hello(false, 'evt_0')) },
    (answer) => {
      answer.write(hello(true, 'evt_0') + event('evt_1'))
      setTimeout(() => { answer.destroy() }, 50)
    },
    (answer) => { answer.end(hello(true, 'evt_1') + event('evt_2').slice(0, -20)) },
    (answer) => { answer.write(hello(true, 'evt_1') + event('evt_2') + event('evt_3')) },
  ])
  const watching = startWrit(stage, ['watch', '--json', '--limit', '3'])
  const { code, out, err } = await watching.ended
  assert.equal(code, 0, err)
  assert.deepEqual(out.trim().split('\n').map((line) => (JSON.parse(line) as { id: string }).id), ['evt_1', 'evt_2', 'evt_3'])
  assert.deepEqual(stage.asked.map(({ lastId }) => lastId), [undefined, 'evt_0', 'evt_1', 'evt_1'])
  assert.match(err, /the stream was cut: .* silent/)
})

test('a line says when, what, who and to what; whatever stands in a fact stays on that line and does nothing', async (t) => {
  const stage = await streamsOf(t, [(answer) => { answer.write(hello(false, 'evt_0') + event('evt_1', { server: 'a\nb\u001b[31m\u202ex', n: 3 })) }])
  const { out } = await startWrit(stage, ['watch', '--plain', '--limit', '1']).ended
  assert.equal(out, '2026-11-22T00:00:00.000Z\tnon-human\ttask.opened\twrit:writ\ttsk_1\tserver=a\\u{a}b\\u{1b}[31m\\u{202e}x\tn=3\n')
})

test('a server that no longer knows who asks ends it, and one that has lost its place is said', async (t) => {
  const stage = await streamsOf(t, [(answer) => { answer.end(hello(false, 'evt_0')) }, (answer) => { answer.end(hello(false, 'evt_9')) }])
  const { code, err } = await startWrit(stage, ['watch']).ended
  assert.equal(code, 3)
  assert.match(err, /does not know the last event/)
})

for (const { where, environment, told } of [
  { where: 'over SSH', environment: { SSH_CONNECTION: '10.0.0.1 1 10.0.0.2 22', DISPLAY: ':0' }, told: /ssh -L 7400:127\.0\.0\.1:7400 \S+@\S+/ },
  { where: 'where a browser is', environment: { BROWSER: 'true' }, told: /^$/ },
  { where: 'where the browser named is none', environment: { BROWSER: '/nowhere/at-all' }, told: /no browser could be started/ },
]) {
  test(`writ open ${where} prints the address and what to do with it`, async (t) => {
    const stage = await emptyStage(t)
    const { code, out, err } = await startWrit(stage, ['open', 'tsk_01h455vb4pex5vsknk084sn02q'], { environment }).ended
    assert.equal(code, 0, err)
    assert.equal(out, 'http://localhost:7400/go/tsk_01h455vb4pex5vsknk084sn02q\n')
    assert.match(err.trim(), told)
  })
}

test('writ open takes ids and nothing else', async (t) => {
  const { code } = await startWrit(await emptyStage(t), ['open', '../first#x'], { environment: { BROWSER: 'true' } }).ended
  assert.equal(code, 2)
})
