import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { DynamicTool, StructuredTool, tool as langchainTool } from '@langchain/core/tools'
import { Agent, Runner, setTracingDisabled, tool as agentsTool } from '@openai/agents-core'
import { assistantMessage, functionCall, ScriptedModel } from '@openai/agents-core/testing'
import { generateText, stepCountIs, tool as aiTool, streamText } from 'ai'
import { MockLanguageModelV4 } from 'ai/test'
import * as tasks from '@writ/contract/tasks'
import { z } from 'zod'
import { governTools as governAiTools } from '../src/adapters/ai-sdk.ts'
import { governTools as governLangchainTools } from '../src/adapters/langchain.ts'
import { governTools as governAgentsTools } from '../src/adapters/openai-agents.ts'
import { Denied, Killed, Misconfigured, type TaskOptions } from '../src/writ.ts'
import type { RunningWrit, TestIdentity } from '../../server/test/running-writ.ts'
import { GRANTS, writWithTools } from './governed-tools.ts'
import { workload } from './workload.ts'

const WORK: TaskOptions = { purpose: 'answers a customer', grants: [...GRANTS] }
const REFUND = z.object({ amount: z.number().int().default(5000), note: z.string().optional() })
const USAGE = { inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 }, outputTokens: { total: 1, text: 1, reasoning: 0 } }

describe('the tools of an agent are governed as they are', { concurrency: 1 }, () => {
  let writ: RunningWrit
  let agent: TestIdentity
  before(async () => {
    ({ writ, agent } = await writWithTools())
    setTracingDisabled(true)
  })
  after(() => writ.stop())
  const SHOP = { server: 'shop' }
  const end = (id: string) => writ.operator(tasks.endTask, { parameters: { id }, body: { reason: 'it looked wrong' } })

  describe('of the AI SDK', () => {
    const calls = (...inputs: readonly object[]) => new MockLanguageModelV4({
      doGenerate: [
        ...inputs.map((input, i) => ({
          content: [{ type: 'tool-call' as const, toolCallId: `c${i}`, toolName: 'refund', input: JSON.stringify(input) }],
          finishReason: { unified: 'tool-calls' as const, raw: undefined }, usage: USAGE, warnings: [],
        })),
        { content: [{ type: 'text' as const, text: 'done' }], finishReason: { unified: 'stop' as const, raw: undefined }, usage: USAGE, warnings: [] },
      ],
    })

    test('what is allowed is executed with the arguments that were decided on; a denial is shown to the model, and nothing is executed', async (t) => {
      await using task = await workload(t, writ, agent).task(WORK)
      const executed: object[] = []
      const tools = { refund: aiTool({ description: 'pays back', inputSchema: REFUND, execute: async (input) => { executed.push(input); return { paid: input.amount } } }) }
      const model = calls({ amount: 7 }, { amount: 4200 }, {})
      const { steps, text } = await generateText({ model, tools: governAiTools(tools, task, SHOP), prompt: 'pay', stopWhen: stepCountIs(5), abortSignal: task.signal })
      assert.deepEqual([executed, text], [[{ amount: 7 }], 'done'])
      const outcomes = steps.flatMap(({ content }) => content.filter(({ type }) => type === 'tool-result' || type === 'tool-error'))
      assert.deepEqual(outcomes.map(({ type }) => type), ['tool-result', 'tool-error', 'tool-error'], 'also of a default that the model has not said')
      assert.ok(outcomes.slice(1).every((one) => 'error' in one && one.error instanceof Denied && one.error.decision !== undefined))
      assert.match(JSON.stringify(model.doGenerateCalls[2]!.prompt), /denied: .*shop\/refund/)
    })

    test('a tool that answers in steps is decided on before its first', async (t) => {
      await using task = await workload(t, writ, agent).task(WORK)
      const seen: unknown[] = []
      const tools = governAiTools({
        refund: aiTool({
          inputSchema: REFUND,
          async *execute({ amount }) {
            seen.push(amount)
            yield { state: 'asked' }
            yield { state: 'paid' }
          },
        }),
      }, task, SHOP)
      const model = calls({ amount: 8 }, { amount: 4200 })
      const { steps } = await generateText({ model, tools, prompt: 'pay', stopWhen: stepCountIs(5) })
      assert.deepEqual(seen, [8])
      assert.deepEqual(steps[0]!.toolResults.map(({ output }) => output), [{ state: 'paid' }])
    })

    test('the end of the task is heard of in a tool that runs', async (t) => {
      const task = await workload(t, writ, agent).task(WORK)
      const tools = governAiTools({
        refund: aiTool({
          inputSchema: REFUND,
          execute: async (_, { abortSignal }) => {
            await end(task.id)
            await Promise.all([task.attempt('shop/search').catch(() => undefined), new Promise((stopped) => abortSignal!.addEventListener('abort', stopped))])
            return 'stopped'
          },
        }),
      }, task, SHOP)
      await assert.rejects(generateText({ model: calls({ amount: 1 }, { amount: 2 }), tools, prompt: 'pay', stopWhen: stepCountIs(5), abortSignal: task.signal }), Killed)
    })

    test('a stream is governed like a text', async (t) => {
      await using task = await workload(t, writ, agent).task(WORK)
      const finish = (unified: 'tool-calls' | 'stop') => ({ type: 'finish' as const, finishReason: { unified, raw: undefined }, usage: USAGE })
      const streamed = (...parts: readonly object[]) => ({ stream: ReadableStream.from(parts) as ReadableStream<never> })
      const model = new MockLanguageModelV4({
        doStream: [streamed({ type: 'tool-call', toolCallId: 'c', toolName: 'refund', input: '{"amount":4200}' }, finish('tool-calls')), streamed(finish('stop'))],
      })
      let executed = 0
      const tools = governAiTools({ refund: aiTool({ inputSchema: REFUND, execute: async () => { executed += 1 } }) }, task, SHOP)
      const result = streamText({ model, tools, prompt: 'pay', stopWhen: stepCountIs(3) })
      const types: string[] = []
      for await (const { type } of result.fullStream) types.push(type)
      assert.ok(types.includes('tool-error') && !types.includes('tool-result'), types.join())
      assert.equal(executed, 0)
    })

    test('what this process does not execute is refused, and nothing of the tool but its execution is changed', async (t) => {
      await using task = await workload(t, writ, agent).task(WORK)
      const original = aiTool({ description: 'pays back', inputSchema: REFUND, execute: async () => 1 })
      const { refund } = governAiTools({ refund: original }, task, SHOP)
      assert.deepEqual([refund.description, refund.inputSchema, refund.execute === original.execute], ['pays back', REFUND, false])
      assert.throws(() => governAiTools({ shown: { inputSchema: REFUND } }, task, SHOP), Misconfigured)
      assert.throws(() => governAiTools({ web: { type: 'provider', isProviderExecuted: true, execute: async () => 1 } }, task, SHOP), Misconfigured)
    })
  })

  describe('of LangChain.js', () => {
    const refunding = (executed: unknown[]) => langchainTool(async (input, config) => {
      executed.push([input, config.signal !== undefined])
      return `paid ${input.amount}`
    }, { name: 'refund', description: 'pays back', schema: REFUND })

    test('what is allowed is executed with the arguments that its schema made, and these were decided on', async (t) => {
      await using task = await workload(t, writ, agent).task(WORK)
      const executed: unknown[] = []
      const [refund] = governLangchainTools([refunding(executed)], task, SHOP)
      assert.equal(await refund!.invoke({ amount: 7 }), 'paid 7')
      const message = await refund!.invoke({ type: 'tool_call', id: 'c1', name: 'refund', args: { amount: 8 } }) as { readonly content: unknown; readonly tool_call_id: string }
      assert.deepEqual([message.content, message.tool_call_id], ['paid 8', 'c1'])
      assert.deepEqual(await refund!.batch([{ amount: 9 }]), ['paid 9'])
      for (const input of [{ amount: 4200 }, {}]) await assert.rejects(refund!.invoke(input), Denied)
      assert.deepEqual(executed, [[{ amount: 7 }, true], [{ amount: 8 }, true], [{ amount: 9 }, true]])
      assert.ok(refund instanceof StructuredTool)
      assert.deepEqual([refund.name, refund.description], ['refund', 'pays back'])
    })

    test('a tool of one text, and one of a class of its own, are governed too', async (t) => {
      await using task = await workload(t, writ, agent).task(WORK)
      class Refund extends StructuredTool {
        readonly #till = 'till 1'
        name = 'refund'
        description = 'pays back'
        schema = REFUND
        async _call({ amount }: z.infer<typeof REFUND>) {
          return `${this.#till}: ${amount}`
        }
      }
      const search = new DynamicTool({ name: 'search', description: 'finds', func: async (text) => `found ${text}` })
      const [refund, found] = governLangchainTools<StructuredTool>([new Refund() as unknown as StructuredTool, search as unknown as StructuredTool], task, SHOP)
      assert.equal(await refund!.invoke({ amount: 7 }), 'till 1: 7')
      await assert.rejects(refund!.invoke({ amount: 4200 }), Denied)
      assert.equal(await found!.invoke('order 7'), 'found order 7')
    })

    test('once the task is over nothing is executed', async (t) => {
      const task = await workload(t, writ, agent).task(WORK)
      const executed: unknown[] = []
      const [refund] = governLangchainTools([refunding(executed)], task, SHOP)
      await end(task.id)
      await assert.rejects(refund!.invoke({ amount: 7 }), Killed)
      assert.deepEqual(executed, [])
    })

    test('what does not run by `_call` is refused', async (t) => {
      await using task = await workload(t, writ, agent).task(WORK)
      assert.throws(() => governLangchainTools([{ name: 'x', invoke: async () => 1 }], task, SHOP), Misconfigured)
    })
  })

  describe('of the OpenAI Agents SDK', () => {
    const PARAMETERS = z.object({ amount: z.number().int(), note: z.string().nullable() })
    const run = async (model: ScriptedModel, tools: readonly object[]) =>
      new Runner({ tracingDisabled: true }).run(new Agent({ name: 'shop', model, tools: tools as never }), 'pay')
    const paying = (executed: unknown[]) => agentsTool({
      name: 'refund', description: 'pays back', parameters: PARAMETERS, execute: async (input) => { executed.push(input); return `paid ${input.amount}` },
    })

    test('what strict mode writes as null for an argument that may be left out is left out for the policies and for the tool', async (t) => {
      await using task = await workload(t, writ, agent).task(WORK)
      const executed: unknown[] = []
      const refund = agentsTool({
        name: 'refund', description: 'pays back', parameters: z.object({ amount: z.number().int(), note: z.string().nullish() }), execute: async (input) => { executed.push(input); return 'paid' },
      })
      const model = new ScriptedModel([[functionCall('refund', { amount: 7, note: null }, { callId: 'c1' })], [functionCall('refund', { amount: 4200, note: null }, { callId: 'c2' })], [assistantMessage('done')]])
      await run(model, governAgentsTools([refund], task, SHOP))
      assert.deepEqual(executed, [{ amount: 7 }])
    })

    test('what is allowed is executed; a denial is the tool\'s output, and nothing is executed', async (t) => {
      await using task = await workload(t, writ, agent).task(WORK)
      const executed: unknown[] = []
      const model = new ScriptedModel([
        [functionCall('refund', { amount: 7, note: 'late' }, { callId: 'c1' })], [functionCall('refund', { amount: 4200, note: 'late' }, { callId: 'c2' })], [assistantMessage('done')],
      ])
      const result = await run(model, governAgentsTools([paying(executed)], task, SHOP))
      assert.deepEqual([executed, result.finalOutput], [[{ amount: 7, note: 'late' }], 'done'])
      assert.match(JSON.stringify(model.calls[1]!.request.input), /paid 7/)
      assert.match(JSON.stringify(model.calls[2]!.request.input), /denied: .*shop\/refund/)
    })

    test('the end of the task ends the run', async (t) => {
      const task = await workload(t, writ, agent).task(WORK)
      const executed: unknown[] = []
      await end(task.id)
      await assert.rejects(run(new ScriptedModel([[functionCall('refund', { amount: 7, note: 'late' }, { callId: 'c1' })]]), governAgentsTools([paying(executed)], task, SHOP)))
      assert.ok(task.signal.reason instanceof Killed)
      assert.deepEqual(executed, [])
    })

    test('what is no JSON, and what does not run here, is refused', async (t) => {
      await using task = await workload(t, writ, agent).task(WORK)
      const [refund] = governAgentsTools([paying([])], task, SHOP) as unknown as [{ invoke(context: unknown, input: string): Promise<unknown> }]
      await assert.rejects(refund.invoke({}, '{"amount":'), Misconfigured)
      assert.throws(() => governAgentsTools([{ type: 'hosted_tool', name: 'web_search' }], task, SHOP), Misconfigured)
    })
  })
})
