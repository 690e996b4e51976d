import { decided, governedIn, ungovernable, withMembers, within, type GovernOptions, type Governing } from './govern.ts'

/** The part of a `StructuredTool` of LangChain.js that matters here: every way to run one leads to `_call`, with arguments that fit its schema. */
type Callable = {
  readonly name?: unknown
  readonly _call?: (input: unknown, runManager: unknown, config: Config | undefined) => unknown
}
type Config = { readonly signal?: AbortSignal }

/**
 * The same tools for an agent of LangChain.js: each execution is decided by Writ on the arguments that the tool is executed with, and happens
 * only when it is allowed. A denial is thrown, as a tool of LangChain throws. Give `task.signal` as `signal` to the run too.
 */
export function governTools<Tool extends object>(tools: readonly Tool[], task: Governing, options: GovernOptions): Tool[] {
  return tools.map((tool) => govern(tool, task, options))
}

function govern<Tool extends object>(tool: Tool, task: Governing, options: GovernOptions): Tool {
  const { name, _call: call } = tool as Callable
  if (typeof name !== 'string') throw ungovernable(String(name), 'it has no name')
  if (typeof call !== 'function') throw ungovernable(name, 'it is no `StructuredTool`')
  const governed = governedIn(task, name, options)
  return withMembers(tool, {
    async _call(input: unknown, runManager: unknown, config: Config | undefined): Promise<unknown> {
      // A tool that takes one text has it as `input` in its schema.
      const args = await decided(governed, typeof input === 'string' || input === undefined ? { input } : input, config?.signal)
      return call.call(tool, typeof input === 'object' ? args : input, runManager, { ...config, signal: within(task, config?.signal) })
    },
  })
}
