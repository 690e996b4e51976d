import assert from 'node:assert/strict'
import { test } from 'node:test'
import { along } from '../../test/mcp/asking.ts'
import { UpstreamFault, type Turn, type Upstream } from '../upstreams/upstream.ts'
import { listDefinitions } from './tool-lists.ts'

/** An upstream that lists these pages. */
function listing(...pages: readonly string[]): Upstream {
  return {
    description: { generation: '2025-11-25', capabilities: { tools: {} }, info: {}, instructions: null },
    request: async ({ params }): Promise<Turn> => ({ kind: 'result', text: pages[Number(params['cursor'] ?? 0)]! }),
    resume: async () => ({ kind: 'result', text: '{}' }),
    tell: async () => undefined,
    listen: () => () => undefined,
    close: async () => undefined,
  }
}
const { client, signal } = along()
const list = (...pages: readonly string[]) => listDefinitions(listing(...pages), { server: 'mail', client, signal })

test('each definition of every page is answered as it was written', async () => {
  assert.deepEqual(await list('{"tools":[ {"name" : "a", "n":1.0} , {"name":"b"}],"nextCursor":"1"}', '{"tools":[],"nextCursor":""}'), ['{"name" : "a", "n":1.0}', '{"name":"b"}'])
})

for (const odd of ['{"name":"x","inputSchema":{"properties":{"constructor":{}}}}', '{"name":"x","prototype":1}', '{"__proto__":{}}', '{"name":"x","a":{"b":1,"b":2}}', '"\\ud800"', '5']) {
  test(`\`${odd}\` keeps no other tool of its list from being heard`, async () => {
    assert.deepEqual(await list(`{"tools":[{"name":"a"},${odd},{"name":"b"}]}`), ['{"name":"a"}', odd, '{"name":"b"}'])
  })
}

for (const page of ['{}', '{"tools":{}}', '{"tools":null}', '{"tools":[],"tools":[]}', `{"tools":[${'['.repeat(200)}${']'.repeat(200)}]}`]) {
  test(`a page such as \`${page.slice(0, 30)}\` is no list`, async () => {
    await assert.rejects(list(page), (error) => error instanceof UpstreamFault && error.code === 'bad_tool_list')
  })
}
