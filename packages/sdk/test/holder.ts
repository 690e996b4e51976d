import { setTimeout as pause } from 'node:timers/promises'
import { workloadTokenEvidence, Writ } from '../src/writ.ts'

/** A careless program: it opens a task, is busy for as long as it is told, and never ends anything. */
const evidence = workloadTokenEvidence('a test', async () => 'a.small.token')
const task = await new Writ({ evidence, patience: '1s' }).task({ purpose: 'forgets to end', grants: ['tickets:queue:read'] })
task.called()
process.stdout.write(`opened ${task.id}\n`)
await pause(Number(process.argv[2]))
process.stdout.write(`${task.signal.aborted ? (task.signal.reason as Error).name : 'alive'}\n`)
