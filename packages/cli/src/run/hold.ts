import { heartbeat, type TaskReply } from '@writ/contract/tasks'
import { call, type Connection } from '../client.ts'
import { CommandFailure, EXIT } from '../exit.ts'

export type Hold = { readonly release: () => void }

/** Why the task is over. `ended`: the server has ended it, or is about to; what it says of the reason is the truth. */
export type Lost = { readonly why: string; readonly ended: boolean }

/** After these the task does not live any more; any other failure may pass. */
const OVER: readonly number[] = [EXIT.not_found, EXIT.conflict, EXIT.not_signed_in, EXIT.not_allowed]

/**
 * Says at a third of the heartbeat's length that the holder is alive, and calls `lost` once when the task is over: when the server says
 * so, at the deadline, or when it has not heard of us for so long that it ends the task by silence.
 */
export function holdTask(connection: Connection, task: TaskReply, lost: (lost: Lost) => void): Hold {
  const released = new AbortController()
  const silenceMs = task.heartbeat_seconds * 1000
  let heardAt = performance.now()
  let timer: NodeJS.Timeout
  const lose = (why: string, ended: boolean): void => {
    if (released.signal.aborted) return
    release()
    lost({ why, ended })
  }
  // Lengths, not instants: the two clocks need not agree.
  const deadline = setTimeout(() => lose('its deadline has come', true), Date.parse(task.deadline) - Date.parse(task.opened_at))
  const silence = (): number => heardAt + silenceMs - performance.now()

  async function beat(): Promise<void> {
    const askedAt = performance.now()
    try {
      const now = await call(connection, heartbeat, { parameters: { id: task.id }, body: {}, patient: true, timeoutMs: Math.max(1, silence()), signal: released.signal })
      heardAt = askedAt
      if (now.state !== 'open') return lose(`it ended (${now.end_reason ?? now.state})`, true)
    } catch (fault) {
      if (released.signal.aborted) return
      if (!(fault instanceof CommandFailure)) return lose(fault instanceof Error ? fault.message : String(fault), false)
      if (OVER.includes(fault.exit)) return lose(fault.message, true)
      if (silence() <= 0) return lose(`the server has not answered for ${task.heartbeat_seconds} s and ends it by silence: ${fault.message}`, false)
    }
    next()
  }
  function next(): void {
    if (!released.signal.aborted) timer = setTimeout(() => void beat(), Math.max(0, Math.min(silenceMs / 3, silence())))
  }
  function release(): void {
    released.abort()
    clearTimeout(timer)
    clearTimeout(deadline)
  }
  next()
  return { release }
}
