import { setTimeout as pause } from 'node:timers/promises'
import { Writ } from '../src/writ.ts'

/** A careless program: it opens a task, is busy for so many milliseconds, and never ends anything. */
const [busyMs = '0', heartbeat = '60'] = process.argv.slice(2)
const task = await new Writ({ patience: '1s' }).task({ purpose: 'forgets to end', grants: ['tickets:queue:read'], heartbeat: Number(heartbeat) })
task.called()
process.stdout.write(`opened ${task.id}\n`)
await pause(Number(busyMs))
process.stdout.write(`${task.signal.aborted ? (task.signal.reason as Error).name : 'alive'}\n`)
