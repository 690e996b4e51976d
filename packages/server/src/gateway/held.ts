import type { TaskId } from '@writ/domain/id'
import type { Gateway } from './open-gateway.ts'

export type Held = {
  /** The tasks that have a way to an MCP server, or a session, on this server. */
  readonly heldTasks: () => ReadonlySet<TaskId>
  /** How many of each these tasks have. */
  readonly mcpOf: (tasks: ReadonlySet<TaskId>) => { readonly sessions: number; readonly links: number }
}

/** Undefined before the gateway is open, when nothing has come through it. */
export function heldBy(gateway: () => Pick<Gateway, 'held'> | undefined): Held {
  const held = (): ReturnType<Gateway['held']> => gateway()?.held() ?? { links: [], sessions: [] }
  return {
    heldTasks() {
      const { links, sessions } = held()
      return new Set([...links, ...sessions])
    },
    mcpOf(tasks) {
      const { links, sessions } = held()
      const ofThese = (all: readonly TaskId[]): number => all.filter((task) => tasks.has(task)).length
      return { sessions: ofThese(sessions), links: ofThese(links) }
    },
  }
}
