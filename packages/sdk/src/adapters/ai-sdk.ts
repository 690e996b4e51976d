import { decided, governedIn, ungovernable, withMembers, within, type Governed, type GovernOptions, type Governing } from './govern.ts'

/** The part of a tool of the AI SDK that matters here; its `tool()` makes them. */
type Executable = {
  readonly execute?: (input: unknown, options: Options) => unknown
  readonly isProviderExecuted?: boolean
}
type Options = { readonly abortSignal?: AbortSignal }

/**
 * The same tools for `generateText`, `streamText` or an agent of the AI SDK (`ai`), by their names in this map: each execution is decided by
 * Writ on the arguments that the tool is executed with, and happens only when it is allowed. A denial is thrown, which the AI SDK shows to the
 * model as the tool's error. Give `task.signal` as `abortSignal` too, so that the end of the task ends the run.
 */
export function governTools<Tools extends Readonly<Record<string, object>>>(tools: Tools, task: Governing, options: GovernOptions): Tools {
  return Object.fromEntries(Object.entries(tools).map(([name, tool]) => [name, govern(name, tool, governedIn(task, name, options))])) as unknown as Tools
}

function govern(name: string, tool: Executable, governed: Governed): Executable {
  const { execute } = tool
  if (tool.isProviderExecuted === true) throw ungovernable(name, 'its provider executes it')
  if (typeof execute !== 'function') throw ungovernable(name, 'it has no `execute`')
  const run = async (input: unknown, options: Options): Promise<unknown> =>
    lastOf(execute.call(tool, await decided(governed, input, options?.abortSignal), optionsWithin(governed, options)))
  async function* runInSteps(input: unknown, options: Options): AsyncGenerator<unknown> {
    const args = await decided(governed, input, options?.abortSignal)
    yield* execute!.call(tool, args, optionsWithin(governed, options)) as AsyncIterable<unknown>
  }
  return withMembers(tool, { execute: isGenerator(execute) ? runInSteps : run })
}

const optionsWithin = ({ task }: Governed, options: Options): Options => ({ ...options, abortSignal: within(task, options?.abortSignal) })

const isGenerator = (execute: object): boolean => Object.prototype.toString.call(execute) === '[object AsyncGeneratorFunction]'

/** Whether a function will answer in steps is not seen before it is called; of such a one the last step is the answer. */
async function lastOf(answer: unknown): Promise<unknown> {
  if (typeof answer !== 'object' || answer === null || !(Symbol.asyncIterator in answer)) return answer
  let last: unknown
  for await (const one of answer as AsyncIterable<unknown>) last = one
  return last
}
