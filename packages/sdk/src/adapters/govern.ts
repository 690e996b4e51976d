import type { Arguments } from '../arguments.ts'
import type { Duration } from '../duration.ts'
import { Misconfigured } from '../errors.ts'
import type { Task } from '../task.ts'

/** What an adapter needs of a task. */
export type Governing = Pick<Task, 'attempt' | 'signal'>

export type GovernOptions = {
  /** The name under which the policies know these tools: `SERVER/TOOL`. */
  readonly server: string
  /** How long a person is waited for, where one has to approve a call; then it is executed once. */
  readonly waitForApproval?: Duration | false
}

/** One tool in its task. */
export type Governed = { readonly task: Governing; readonly id: string; readonly waitForApproval: Duration | false }

export const governedIn = (task: Governing, name: string, { server, waitForApproval = false }: GovernOptions): Governed => ({ task, id: `${server}/${name}`, waitForApproval })

/** Answers what the tool is to be called with: the very arguments that were decided on. Throws `Denied`, or why the task is over. */
export async function decided({ task, id, waitForApproval }: Governed, args: unknown, signal?: AbortSignal): Promise<Arguments> {
  task.signal.throwIfAborted()
  return (await task.attempt(id, args as object, { waitForApproval, ...(signal === undefined ? {} : { signal }) })).arguments
}

/** The task's end stops what runs in it. */
export const within = (task: Governing, signal: AbortSignal | undefined): AbortSignal => (signal === undefined ? task.signal : AbortSignal.any([task.signal, signal]))

/** The same tool in everything, own and inherited, but for these members. The one that was given is left as it is. */
export function withMembers<Tool extends object>(tool: Tool, members: Readonly<Record<string, unknown>>): Tool {
  const changed = Object.entries(members).map(([name, value]) => [name, { value, enumerable: true, configurable: true, writable: true }] as const)
  return Object.create(Object.getPrototypeOf(tool) as object, { ...Object.getOwnPropertyDescriptors(tool), ...Object.fromEntries(changed) }) as Tool
}

export const ungovernable = (name: string, why: string): Misconfigured => new Misconfigured(`the tool \`${name}\` can not be governed: ${why}`, {
  code: 'ungovernable_tool', hint: 'leave it out; where your own code does its work, ask `task.attempt` before',
})
