import { parentPort } from 'node:worker_threads'
import type { Engine } from '@writ/policy/engine'
import type { Answered, Job } from './aside.ts'
import { checkFiles } from './check.ts'
import { engineFor, explainDecision, type Unexplained } from './explain-decision.ts'

/** Of the version that was asked about last: whoever asks for one explanation asks for another. */
let kept: { readonly version: number; readonly engine: Engine } | undefined

function engineOf(order: Unexplained): Engine {
  if (kept?.version === order.version) return kept.engine
  kept?.engine.close()
  kept = undefined
  const engine = engineFor(order)
  kept = { version: order.version, engine }
  return engine
}

const answer = (job: Job): unknown => (job.kind === 'check' ? checkFiles(job.files) : explainDecision(engineOf(job.order), job.order))

parentPort!.on('message', ({ id, job }: { readonly id: number; readonly job: Job }) => {
  let answered: Answered
  try {
    answered = { id, value: answer(job) }
  } catch (error) {
    answered = { id, fault: error instanceof Error ? error.stack ?? error.message : String(error) }
  }
  parentPort!.postMessage(answered)
})
