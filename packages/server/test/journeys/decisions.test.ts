import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as contract from '@writ/contract/decisions'
import type { Endpoint } from '@writ/contract/endpoint'
import { parseExactJson } from '@writ/contract/strict-json'
import type { IdentityId, TaskId } from '@writ/domain/id'
import { commit } from '@writ/ledger/commitment'
import type { z } from 'zod'
import { evaluate, type Asked } from '../../src/evaluate/evaluate.ts'
import type { AnyCaller } from '../../src/http/call.ts'
import type { ProblemAnswer } from '../../src/http/problem.ts'
import { decisionRoutes } from '../../src/http/routes/decisions.ts'
import { intendLease } from '../../src/issue/issue-lease.ts'
import { sealerOf } from '../../src/keys/seal.ts'
import { hostEntropy } from '../../src/platform/entropy.ts'
import { policiesAside, type PoliciesAside } from '../../src/policies/aside.ts'
import { sha256 } from '../../src/record/append.ts'
import { addIdentity, addShop, done, openOne, permits } from '../laws/estate.ts'
import { storeForSuite, STORES, type StoreOfWrit } from '../store-of-writ.ts'

const OPERATOR = { kind: 'operator', operator: 'opr_of_the_test', name: 'a test' } as unknown as AnyCaller
const holderOf = (identity: IdentityId, task: TaskId | null = null) => ({ kind: 'identity', identity, task }) as unknown as AnyCaller

type Asking = { readonly caller?: AnyCaller; readonly parameters?: object; readonly query?: object; readonly body?: object }

/** Asks the route of the endpoint as `serve` does, without a socket. */
async function asked<Reply extends z.ZodType>(writ: StoreOfWrit, aside: PoliciesAside, of: Endpoint<z.ZodType, z.ZodType, Reply>, ask: Asking = {}): Promise<z.output<Reply> | ProblemAnswer> {
  const questions = sealerOf(writ.keys.forChanges.question, hostEntropy)
  const found = decisionRoutes({ store: writ.store, clock: writ.clock, questions, aside }).find(({ endpoint }) => endpoint === of)!
  const once = { caller: 'a test', key: null, requestHash: '', now: writ.now() }
  const query = of.query?.parse(ask.query ?? {})
  const answer = await found.handle({ caller: OPERATOR, parameters: {}, body: {}, once, ...ask, query } as never)
  return 'reply' in answer ? of.reply.parse(answer.reply) as z.output<Reply> : answer as ProblemAnswer
}

const advice = (writ: StoreOfWrit, amount: bigint, text: string): Asked => ({
  id: writ.newId('decision'), task: null, action: 'call', arguments: `{"amount":${amount},"text":"${text}"}`, claimed: '{}',
  subject: { type: 'agent', id: 'spiffe://acme.example/refund', properties: '{"class":"autonomous","environment":"test","system_scope":[]}' },
  resource: { type: 'tool', id: 'shop/refund', properties: '{"effect":"external","reversible":false,"labels":[]}' },
})

for (const name of STORES) {
  describe(`decisions on ${name}`, () => {
    const opened = storeForSuite(name)
    let aside: PoliciesAside
    before(() => { aside = policiesAside() })
    after(() => aside.close())
    const ask = <Reply extends z.ZodType>(of: Endpoint<z.ZodType, z.ZodType, Reply>, more: Asking = {}) => asked(opened(), aside, of, more)
    const got = async <Reply extends z.ZodType>(of: Endpoint<z.ZodType, z.ZodType, Reply>, more: Asking = {}): Promise<z.output<Reply>> => {
      const answer = await ask(of, more)
      if (typeof answer === 'object' && answer !== null && 'problem' in answer) assert.fail(JSON.stringify(answer))
      return answer as z.output<Reply>
    }
    const refusedAs = async (of: Endpoint, more: Asking): Promise<string | undefined> => ((await ask(of, more)) as Partial<ProblemAnswer>).details?.code ?? ((await ask(of, more)) as Partial<ProblemAnswer>).problem

    /** Each a moment after the one before. */
    const advise = async (amount = 9_007_199_254_740_993n, text = ''): Promise<string> => {
      const writ = opened()
      writ.clock.advance(10)
      const one = advice(writ, amount, text)
      await done(writ.store.change(evaluate, { asked: [one], stopAt: 'never', by: { kind: 'operator', id: 'opr_of_the_test' }, uses: [], traceId: 'trace of it', now: writ.now() }))
      return one.id
    }
    const attempt = async (action: string) => {
      const writ = opened()
      writ.clock.advance(10)
      const identity = await addIdentity(writ)
      const task = await openOne(writ, { identity })
      const [id, decision] = [writ.newId('lease'), writ.newId('decision')]
      const shop = (await writ.sql('select id from backend'))[0]?.['id'] ?? await addShop(writ)
      await done(writ.store.change(intendLease, {
        task: task.id, identity, permit: permits(action)[0]!, id, backend: shop as never, template: action, handle: `writ_${id.slice(4)}`, sealedSecret: 'sealed', now: writ.now(), decision,
        workload: null, traceId: 'trace of it',
      }))
      return { identity, task: task.id, decision }
    }
    const shown = (id: string, caller = OPERATOR) => got(contract.showDecision, { caller, parameters: { id } })

    test('one is shown with what decided it, and its entry in the log is there', async () => {
      const { decision, task, identity } = await attempt('read')
      const reply = await shown(decision)
      assert.deepEqual([reply.answer, reply.cause, reply.task, reply.identity, reply.action, reply.resource, reply.advisory, reply.policy_version, reply.evaluated, reply.trace_id],
        ['allow', 'policy', task, identity, 'connect', { type: 'Writ::Backend', id: 'shop' }, false, 1, 'kept', 'trace of it'])
      const [event] = await opened().sql('select type, leaf from event where id = $1', [reply.event])
      assert.deepEqual([event?.['type'], JSON.parse(String(event?.['leaf'])).facts.decision], ['decision.made', decision])
    })

    test('an identity sees those of its own tasks alone, and with an access token those of that task', async () => {
      const { decision, task, identity } = await attempt('read')
      const advised = await advise()
      assert.equal((await shown(decision, holderOf(identity))).id, decision)
      assert.equal((await shown(decision, holderOf(identity, task))).id, decision)
      for (const [caller, id] of [
        [holderOf(opened().newId('identity')), decision], [holderOf(identity, opened().newId('task')), decision], [holderOf(identity), advised], [OPERATOR, opened().newId('decision')],
      ] as const) {
        for (const endpoint of [contract.showDecision, contract.explainDecision]) assert.equal(await refusedAs(endpoint, { caller, parameters: { id } }), 'decision_not_found')
      }
    })

    test('they are listed newest first, by task, identity, answer and time', async () => {
      const [first, second] = [await attempt('read'), await attempt('drop')]
      const list = async (query: object) => (await got(contract.listDecisions, { query })).decisions.map(({ id }) => id)
      assert.deepEqual((await list({})).slice(0, 2), [second.decision, first.decision])
      assert.deepEqual(await list({ task: first.task }), [first.decision])
      assert.deepEqual(await list({ identity: second.identity }), [second.decision])
      assert.deepEqual(await list({ identity: second.identity, answer: 'allow' }), [])
      const { at } = await shown(second.decision)
      assert.deepEqual(await list({ since: at }), [second.decision])
      assert.equal((await list({ until: at }))[0], first.decision)
      const page = await got(contract.listDecisions, { query: { limit: 1 } })
      assert.deepEqual(await list({ limit: 1, cursor: page.next }), [first.decision])
      assert.equal(await refusedAs(contract.listDecisions, { query: { cursor: 'the next' } }), 'invalid-fields')
      assert.deepEqual((await list({ since: '1969-01-01' })).length, (await list({})).length)
    })

    test('what was asked comes back for a replay with every digit, oldest first, and is what the log committed to', async () => {
      const [first, second] = [await advise(), await advise(-1n)]
      const { at } = await shown(first)
      const page = await got(contract.listEvaluated, { query: { since: at, limit: 1 } })
      const rest = await got(contract.listEvaluated, { query: { since: at, cursor: page.next } })
      assert.deepEqual([...page.decisions, ...rest.decisions].map(({ id }) => id), [first, second])
      assert.deepEqual([page.total, rest.total, rest.next], [2, null, null])
      const { question, answer, approvable } = page.decisions[0]!
      assert.match(question!, /"amount":9007199254740993,/)
      assert.deepEqual([answer, typeof approvable], ['deny', 'boolean'])
      const parsed = parseExactJson(question!)
      assert.ok(parsed.ok && (parsed.value as { action: string }).action === 'call')
      const [row] = await opened().sql('select evaluated, evaluated_salt, event_id from decision where id = $1', [first])
      assert.ok(!String(row!['evaluated']).includes('amount'))
      const [event] = await opened().sql('select leaf from event where id = $1', [row!['event_id']])
      assert.equal(JSON.parse(String(event!['leaf'])).facts.evaluated, commit(sha256, new Uint8Array(row!['evaluated_salt'] as Uint8Array), question!))
    })

    test('a page ends where it holds much, and the next one goes on behind it', async () => {
      const large: string[] = []
      for (let i = 0; i < 7; i++) large.push(await advise(BigInt(i), 'x'.repeat(900_000)))
      const { at } = await shown(large[0]!)
      const pages: string[][] = []
      for (let cursor: string | null = ''; cursor !== null;) {
        const page: z.output<typeof contract.listEvaluated.reply> = await got(contract.listEvaluated, { query: { since: at, ...(cursor === '' ? {} : { cursor }) } })
        pages.push(page.decisions.map(({ id }) => id))
        cursor = page.next
      }
      assert.deepEqual(pages, [large.slice(0, 5), large.slice(5)])
    })

    test('a denial is explained by the policies of its time, as often as somebody asks', async () => {
      const advised = await advise()
      const first = await got(contract.explainDecision, { parameters: { id: advised } })
      assert.deepEqual([first.decision, first.verdict === 'allow', first.trace_id], [advised, false, 'trace of it'])
      assert.match(first.asked, /refund call Tool shop\/refund/)
      assert.deepEqual(await got(contract.explainDecision, { parameters: { id: advised } }), first)
      const { decision, identity } = await attempt('drop')
      const { cause, grant, would_allow: wouldAllow } = await got(contract.explainDecision, { caller: holderOf(identity), parameters: { id: decision } })
      assert.deepEqual([cause, grant], ['grant', { asked: 'postgres:shop:drop', nearest: 'postgres:shop:read', failed: 'action is read', actual: 'drop' }])
      assert.ok(wouldAllow !== null)
    })

    test('what was asked is erased once and for good: its decision stays, and is not evaluated any more', async () => {
      const advised = await advise()
      const { event: _event, ...before } = await shown(advised)
      const erase = (id: string) => ask(contract.eraseDecision, { parameters: { id }, body: { reason: 'it named a customer' } })
      for (const _ of [1, 2]) {
        const { event: _, ...after } = await erase(advised) as contract.DecisionReply
        assert.deepEqual(after, { ...before, evaluated: 'erased' })
      }
      const told = await opened().sql('select leaf from event where type = $1', ['decision.erased'])
      assert.deepEqual(told.map((row) => JSON.parse(String(row['leaf'])).facts), [{ decision: advised }])
      assert.equal(await refusedAs(contract.explainDecision, { parameters: { id: advised } }), 'not_evaluated')
      const page = await got(contract.listEvaluated, { query: { since: before.at } })
      assert.deepEqual(page.decisions.map(({ id, question }) => [id, question]), [[advised, null]])
      assert.equal(await refusedAs(contract.eraseDecision, { parameters: { id: opened().newId('decision') }, body: { reason: 'it named a customer' } }), 'decision_not_found')
    })
  })
}
