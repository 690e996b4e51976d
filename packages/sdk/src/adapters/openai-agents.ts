import { argumentsFrom, jsonOf } from '../arguments.ts'
import { Denied, Misconfigured } from '../errors.ts'
import { decided, governedIn, ungovernable, withMembers, type GovernOptions, type Governing } from './govern.ts'
import { withoutNulls } from './strict-mode.ts'

/** The part of a function tool of the OpenAI Agents SDK that matters here; its `tool()` makes them. */
type Invocable = {
  readonly type?: unknown
  readonly name?: unknown
  readonly invoke?: (context: unknown, input: string, details: unknown) => Promise<unknown>
  readonly outputSchema?: unknown
  readonly parameters?: unknown
  readonly strict?: unknown
}

/**
 * The same tools for an `Agent` of the OpenAI Agents SDK: each execution is decided by Writ on the arguments that the model gave, and happens
 * only when it is allowed. A denial is the tool's output, for the model to go on from; of a tool that has to answer in a form of its own it is
 * thrown, and so is the end of the task, which ends the run. What a schema adds by `default` or `transform` the policies do not see. A `null` that
 * strict mode made the model write for an argument that may be left out is left out, for the policies and for the tool.
 */
export function governTools<Tool extends object>(tools: readonly Tool[], task: Governing, options: GovernOptions): Tool[] {
  return tools.map((tool) => govern(tool, task, options))
}

function govern<Tool extends object>(tool: Tool, task: Governing, options: GovernOptions): Tool {
  const { type, name, invoke, outputSchema, parameters, strict } = tool as Invocable
  if (typeof name !== 'string') throw ungovernable(String(name), 'it has no name')
  if (type !== 'function' || typeof invoke !== 'function') throw ungovernable(name, 'it is no function tool: it runs elsewhere')
  return withMembers(tool, {
    async invoke(context: unknown, input: string, details: unknown): Promise<unknown> {
      const given = parsed(input, name)
      const args = strict === true ? withoutNulls(given, parameters) : given
      let runs: string
      try {
        const ran = jsonOf(await decided(governedIn(task, name, options), args))
        // As the model wrote it, unless something was left out of it or a person has lowered it.
        runs = args === given && ran === jsonOf(argumentsFrom(args)) ? input : ran
      } catch (fault) {
        if (outputSchema === undefined && fault instanceof Denied) return fault.explain()
        throw fault
      }
      return untilOver(task, invoke.call(tool, context, runs, details))
    },
  })
}

function parsed(input: string, name: string): unknown {
  try {
    return JSON.parse(input === '' ? '{}' : input)
  } catch (cause) {
    throw new Misconfigured(`the arguments of \`${name}\` are no JSON`, { code: 'malformed_arguments', cause })
  }
}

/** The end of the task ends the waiting; its tools hear of it by `task.signal`. */
function untilOver<Answer>({ signal }: Governing, answer: Promise<Answer>): Promise<Answer> {
  const { promise, reject } = Promise.withResolvers<never>()
  const stop = (): void => reject(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  return Promise.race([answer, promise]).finally(() => signal.removeEventListener('abort', stop))
}
