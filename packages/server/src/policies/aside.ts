import { Worker } from 'node:worker_threads'
import type { Outcome } from '@writ/domain/outcome'
import type { BundleFiles } from '@writ/policy/bundle'
import type { Complaint } from '@writ/policy/complaint'
import type { Explanation } from '@writ/policy/explanation'
import type { CheckedFiles } from './check.ts'
import type { Unexplained } from './explain-decision.ts'

export type Job = { readonly kind: 'check'; readonly files: BundleFiles } | { readonly kind: 'explain'; readonly order: Unexplained }
export type Answered = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly fault: string }

/**
 * What takes the policies long, done in a thread of its own: a thousand policies are type-checked in about a second, and meanwhile everybody
 * else is answered. One thing after the other; it starts when it is first asked.
 */
export type PoliciesAside = {
  check(files: BundleFiles): Promise<Outcome<CheckedFiles, readonly Complaint[]>>
  explain(order: Unexplained): Promise<Explanation>
  close(): Promise<void>
}

export function policiesAside(): PoliciesAside {
  const waiting = new Map<number, PromiseWithResolvers<unknown>>()
  let worker: Worker | undefined
  let asked = 0

  const failAll = (cause: Error): void => {
    worker = undefined
    for (const one of waiting.values()) one.reject(new Error('the thread beside ended', { cause }))
    waiting.clear()
  }
  const start = (): Worker => {
    const begun = new Worker(new URL('./aside-thread.ts', import.meta.url))
    begun.on('message', (answered: Answered) => {
      const one = waiting.get(answered.id)
      waiting.delete(answered.id)
      if ('fault' in answered) one?.reject(new Error(answered.fault))
      else one?.resolve(answered.value)
    })
    begun.on('error', (error) => { failAll(error as Error) })
    begun.on('exit', (code) => { if (worker === begun) failAll(new Error(`exit code ${code}`)) })
    // Nobody who waits for it keeps the program from ending.
    begun.unref()
    return begun
  }
  const ask = (job: Job): Promise<unknown> => {
    worker ??= start()
    const answer = Promise.withResolvers<unknown>()
    const id = asked++
    waiting.set(id, answer)
    worker.postMessage({ id, job })
    return answer.promise
  }
  return {
    check: async (files) => (await ask({ kind: 'check', files })) as Outcome<CheckedFiles, readonly Complaint[]>,
    explain: async (order) => (await ask({ kind: 'explain', order })) as Explanation,
    async close() {
      await worker?.terminate()
    },
  }
}
