import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { authzenBundle } from '../authzen-estate.ts'
import { rawRequest } from '../raw-request.ts'
import { startWrit, type RunningWrit } from '../running-writ.ts'

const folder = process.env['WRIT_VECTORS'] ?? join(import.meta.dirname, '../../../../../shared/vectors')
const file = join(folder, 'authzen-certification', 'cases.json')

type Case = {
  readonly id: string
  readonly title: string
  readonly method: string
  readonly endpoint: string
  readonly headers?: Readonly<Record<string, string>>
  readonly request?: unknown
  readonly raw_body?: string
  readonly expected_status: number
  readonly expected_text?: string
  readonly expected_body?: unknown
}
type Answer = { readonly decision?: boolean; readonly context?: object; readonly evaluations?: readonly Answer[]; readonly results?: readonly object[]; readonly page?: { readonly next_token: string } }

describe('the certification of AuthZEN 1.0, asked through HTTP', { skip: existsSync(file) ? false : 'the vectors are not here' }, () => {
  const { cases } = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) as { readonly cases: readonly Case[] } : { cases: [] }
  let writ: RunningWrit
  before(async () => {
    writ = await startWrit()
    await authzenBundle(writ)
  })
  after(async () => { await writ.stop() })

  const ask = (one: Pick<Case, 'method' | 'endpoint' | 'headers'>, body: string) => rawRequest(writ.url, {
    method: one.method, path: one.endpoint, body,
    headers: [['authorization', `Bearer ${writ.operatorKey}`], ...Object.entries({ 'content-type': 'application/json', ...lowerCase(one.headers) })],
  })

  test('there are 53 cases', () => { assert.equal(cases.length, 53) })

  for (const one of cases) {
    test(`${one.id} ${one.title}`, async () => {
      const got = await ask(one, one.raw_body ?? JSON.stringify(one.request).replace('<next_token from previous response>', Buffer.from('alice').toString('base64url')))
      assert.equal(got.status, one.expected_status, got.text)
      if (one.expected_status !== 200) return
      assert.match(got.type ?? '', /^application\/json/)
      const answer = JSON.parse(got.text) as Answer
      const said = /"decision": (true|false)/.exec(one.expected_text ?? '')?.[1]
      if (typeof one.expected_body === 'object' && one.expected_body !== null) assertHolds(answer, one.expected_body as Answer)
      else if (typeof one.expected_body === 'string') assertShape(answer, one.expected_body)
      else if (said !== undefined && answer.evaluations === undefined) assert.equal(answer.decision, said === 'true', got.text)
      if (one.endpoint.includes('/search/')) {
        assert.ok(Array.isArray(answer.results))
        assert.equal(typeof answer.page?.next_token, 'string')
        if (/at least `alice` and `bob`/.test(one.expected_text ?? '')) assertHolds(answer, { results: [{ type: 'user', id: 'alice' }, { type: 'user', id: 'bob' }] })
        if (/at least `record-1`/.test(one.expected_text ?? '')) assertHolds(answer, { results: [{ type: 'record', id: 'record-1' }] })
      }
    })
  }

  test('c-2-5-1 the caller\'s X-Request-ID comes back, with an answer and with a refusal', async () => {
    for (const body of [JSON.stringify(ALICE_READS), '{']) {
      const got = await ask({ method: 'POST', endpoint: '/access/v1/evaluation', headers: { 'X-Request-ID': 'bfe9eb29-ab87-4ca3-be83-a1d5d8305716' } }, body)
      assert.equal(got.header('x-request-id'), 'bfe9eb29-ab87-4ca3-be83-a1d5d8305716')
    }
    assert.match((await ask({ method: 'POST', endpoint: '/access/v1/evaluation' }, JSON.stringify(ALICE_READS))).header('x-request-id') ?? '', /^[0-9a-f]{16}$/)
  })

  test('c-2-6 the same question has the same answer, however often it is asked', async () => {
    for (let i = 0; i < 5; i++) {
      const got = await ask({ method: 'POST', endpoint: '/access/v1/evaluation' }, JSON.stringify(ALICE_READS))
      assert.equal((JSON.parse(got.text) as Answer).decision, true)
    }
  })

  test('c-4-5 pages follow each other to the end, and hold what one page would', async () => {
    const search = { subject: { type: 'user' }, action: { name: 'read' }, resource: { type: 'record', id: 'record-1' } }
    const pages: (readonly object[])[] = []
    for (let token: string | undefined; ;) {
      const got = JSON.parse((await ask({ method: 'POST', endpoint: '/access/v1/search/subject' }, JSON.stringify({ ...search, page: { limit: 1, ...(token === undefined ? {} : { token }) } }))).text) as Required<Answer>
      pages.push(got.results)
      token = got.page.next_token
      if (token === '') break
    }
    assert.deepEqual(pages, [[{ type: 'user', id: 'alice' }], [{ type: 'user', id: 'bob' }]])
  })

  test('c-6-5 the metadata stands where it is looked for, and is open to anyone', async () => {
    const got = await rawRequest(writ.url, { path: '/.well-known/authzen-configuration' })
    assert.equal(got.status, 200)
    assert.match(got.type ?? '', /^application\/json/)
    assert.deepEqual(JSON.parse(got.text), {
      policy_decision_point: writ.issuer, access_evaluation_endpoint: `${writ.issuer}/access/v1/evaluation`, access_evaluations_endpoint: `${writ.issuer}/access/v1/evaluations`,
      search_subject_endpoint: `${writ.issuer}/access/v1/search/subject`, search_resource_endpoint: `${writ.issuer}/access/v1/search/resource`, search_action_endpoint: `${writ.issuer}/access/v1/search/action`,
    })
  })
})

const ALICE_READS = { subject: { type: 'user', id: 'alice' }, action: { name: 'read' }, resource: { type: 'record', id: 'record-1' } }

const lowerCase = (headers: Case['headers'] = {}) => Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))

/** What is expected is there; of results at least. */
function assertHolds(answer: Answer, expected: Answer): void {
  if (expected.decision !== undefined) assert.equal(answer.decision, expected.decision)
  if (expected.evaluations !== undefined) {
    assert.equal(answer.evaluations?.length, expected.evaluations.length)
    for (const [i, one] of expected.evaluations.entries()) assertHolds(answer.evaluations![i]!, one)
  }
  if (expected.results?.length === 0) assert.deepEqual(answer.results, [])
  for (const one of expected.results ?? []) assert.ok(answer.results?.some((result) => JSON.stringify(result) === JSON.stringify(one)), JSON.stringify(one))
}

/** The document's own notation: `{ "decision": <boolean> }`. */
function assertShape(answer: Answer, shape: string): void {
  const wanted = [...shape.matchAll(/"decision": (<boolean>|true|false)(, "context": <context>)?/g)]
  assert.equal(answer.evaluations?.length, wanted.length)
  for (const [i, [, decision, context]] of wanted.entries()) {
    const one: Answer = answer.evaluations![i]!
    if (decision === '<boolean>') assert.equal(typeof one.decision, 'boolean')
    else assert.equal(one.decision, decision === 'true')
    if (context !== undefined) assert.equal(typeof one.context, 'object')
  }
}
