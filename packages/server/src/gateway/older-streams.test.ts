import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seconds } from '@writ/domain/time'
import { begun, messagesOf, nextMessage, refusedWith, request } from '../../test/fakes/older-stage.ts'
import { eventsOf, gatewayCaller, type SaidEvent } from '../../test/fakes/pipeline.ts'
import type { Turn } from '../upstreams/upstream.ts'
import { Ended, Refused, RPC_CODES } from './refused.ts'

test('what the server says on its own goes to one stream, the newest that somebody hears', async () => {
  const { show, pipeline } = await begun()
  const lines = [new AbortController(), new AbortController()]
  const [older, newer] = [eventsOf(await show({ method: 'GET', signal: lines[0]!.signal })), eventsOf(await show({ method: 'GET', signal: lines[1]!.signal }))]
  await older.next()
  await newer.next()
  assert.equal(pipeline.listeners, 1)
  pipeline.say({ method: 'notifications/resources/updated', params: { uri: 'file:///a', more: 1n } })
  assert.deepEqual(await nextMessage(newer), { jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: 'file:///a' } })
  lines[1]!.abort(new Ended('client_gone'))
  assert.equal((await newer.next()).done, true)
  pipeline.say({ method: 'notifications/tools/list_changed', params: {} })
  assert.deepEqual(await nextMessage(older), { jsonrpc: '2.0', method: 'notifications/tools/list_changed' })
  await show({ method: 'DELETE' })
  assert.equal((await older.next()).done, true)
  assert.equal(pipeline.listeners, 0)
})

test('what the server asks while nothing is on its way is asked on the stream that somebody hears, and nobody is asked where there is none', async () => {
  const { show, pipeline } = await begun()
  const question = { method: 'elicitation/create', params: { message: 'who?', requestedSchema: { type: 'object', properties: {} } } }
  assert.equal(pipeline.ask(question), undefined)
  const line = new AbortController()
  const events = eventsOf(await show({ method: 'GET', signal: line.signal }))
  await events.next()
  const asking = pipeline.ask(question)
  const asked = await nextMessage(events)
  assert.deepEqual([asked['method'], asked['params']], [question.method, question.params])
  await show({ body: { jsonrpc: '2.0', id: asked['id'], result: { action: 'accept', content: { n: 1 } } } })
  assert.deepEqual(await asking, { kind: 'result', text: '{"action":"accept","content":{"n":1}}' })
  const unanswered = pipeline.ask(question)
  await show({ method: 'DELETE' })
  assert.equal((await unanswered)?.kind, 'error')
  line.abort(new Ended('client_gone'))
  assert.equal(pipeline.ask(question), undefined)
})

test('a client is told that its server wants no answer any more to what it asked while nothing was on its way', async () => {
  const { show, pipeline } = await begun()
  const events = eventsOf(await show({ method: 'GET' }))
  await events.next()
  const withdrawn = new AbortController()
  const asking = pipeline.ask({ method: 'roots/list', params: {} }, withdrawn.signal)
  const asked = await nextMessage(events)
  withdrawn.abort()
  assert.deepEqual(await nextMessage(events), { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: asked['id'] } })
  assert.equal((await asking)?.kind, 'error')
  assert.equal((await show({ body: { jsonrpc: '2.0', id: asked['id'], result: { roots: [] } } })).status, 202)
  await events.return()
})

test('a client that can not be asked something is not asked it on its stream either', async () => {
  const { show, pipeline } = await begun({ capabilities: {} })
  const events = eventsOf(await show({ method: 'GET' }))
  await events.next()
  assert.equal((await pipeline.ask({ method: 'roots/list', params: {} }))?.kind, 'error')
  await events.return()
})

test('a client may have a few streams that wait, and the oldest makes room', async () => {
  const { show } = await begun()
  const events: ReturnType<typeof eventsOf>[] = []
  for (let i = 0; i < 5; i++) {
    events.push(eventsOf(await show({ method: 'GET' })))
    await events[i]!.next()
  }
  assert.equal((await events[0]!.next()).done, true)
  await show({ method: 'DELETE' })
  for (const one of events) assert.equal((await one.next()).done, true)
})

test('what the server said between two connections is delivered by the second', async () => {
  const { show, pipeline } = await begun()
  const line = new AbortController()
  const first = eventsOf(await show({ method: 'GET', signal: line.signal }))
  const { id } = (await first.next()).value as SaidEvent
  line.abort(new Ended('client_gone'))
  await first.next()
  pipeline.say({ method: 'notifications/prompts/list_changed', params: {} })
  const second = eventsOf(await show({ method: 'GET', headers: { 'last-event-id': id! } }))
  assert.deepEqual(await nextMessage(second), { jsonrpc: '2.0', method: 'notifications/prompts/list_changed' })
  await second.return()
})

test('a connection does not outlive the token that opened it, and another token goes on with the stream', async () => {
  const { show } = await begun()
  const events = eventsOf(await show({ method: 'GET', caller: gatewayCaller({ lives: seconds(0) }) }))
  const { id } = (await events.next()).value as SaidEvent
  assert.equal(((await events.next()).value as SaidEvent).retry, '1000')
  assert.equal((await events.next()).done, true)
  const again = eventsOf(await show({ method: 'GET', headers: { 'last-event-id': id! }, caller: gatewayCaller({ token: 'renewed' }) }))
  const line = again.next()
  await show({ method: 'DELETE' })
  assert.equal((await line).done, true)
})

test('the end of a token ends the calls and the connections that came with it', async () => {
  const { show, pipeline, older } = await begun()
  const events = eventsOf(await show({ method: 'GET', caller: gatewayCaller({ token: 'ended' }) }))
  await events.next()
  const started = Promise.withResolvers<void>()
  pipeline.answer = ({ notify }) => {
    notify({ method: 'notifications/message', params: { level: 'info', data: 1n } })
    started.resolve()
    return Promise.withResolvers<Turn>().promise
  }
  const answer = show({ body: request(1), caller: gatewayCaller({ token: 'ended' }) })
  await started.promise
  older.endToken(gatewayCaller({ token: 'another' }).lease, new Ended('token_ended'))
  older.endToken(gatewayCaller({ token: 'ended' }).lease, new Ended('token_ended'))
  assert.equal(((await events.next()).value as SaidEvent).retry, '1000')
  const last = messagesOf(await Array.fromAsync(eventsOf(await answer))).at(-1) as { readonly error: { readonly data: { readonly code: string } } }
  assert.equal(last.error.data.code, 'token_ended')
})

test('the end of the task is told in the answers of its calls', async () => {
  const { show, pipeline, older } = await begun()
  const started = Promise.withResolvers<void>()
  pipeline.answer = ({ notify }) => {
    notify({ method: 'notifications/message', params: { level: 'info', data: 1n } })
    started.resolve()
    return Promise.withResolvers<Turn>().promise
  }
  const answer = show({ body: request(1) })
  await started.promise
  older.endWhere(({ task }) => task === gatewayCaller().task, new Ended('task_ended', 'killed'))
  const last = messagesOf(await Array.fromAsync(eventsOf(await answer))).at(-1) as { readonly error: { readonly data: object } }
  assert.deepEqual(last.error.data, { code: 'task_ended', end_reason: 'killed', retryable: false })
})

test('when the way to the server ends, so do the connections, and the next one listens anew', async () => {
  const { show, pipeline } = await begun()
  const first = eventsOf(await show({ method: 'GET' }))
  const { id } = (await first.next()).value as SaidEvent
  pipeline.breakOff(new Error('gone'))
  assert.equal(((await first.next()).value as SaidEvent).retry, '1000')
  assert.equal((await first.next()).done, true)
  assert.equal(pipeline.listeners, 0)
  const second = eventsOf(await show({ method: 'GET', headers: { 'last-event-id': id! } }))
  assert.equal(pipeline.listeners, 1)
  const next = nextMessage(second)
  pipeline.say({ method: 'notifications/tools/list_changed', params: {} })
  assert.deepEqual(await next, { jsonrpc: '2.0', method: 'notifications/tools/list_changed' })
  await show({ method: 'DELETE' })
})

for (const { code, status } of [{ code: RPC_CODES.denied, status: 403 }, { code: RPC_CODES.internal, status: 502 }]) {
  test(`where the server can not be listened to, for ${code}, no stream is opened and HTTP says ${status}`, async () => {
    const { show, pipeline } = await begun()
    pipeline.listen = async () => { throw new Refused(200, { code, message: 'no' }) }
    await assert.rejects(show({ method: 'GET' }), refusedWith(status, code))
    await assert.rejects(show({ method: 'GET' }), refusedWith(status, code))
  })
}
