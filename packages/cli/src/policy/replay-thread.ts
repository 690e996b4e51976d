import { parentPort, workerData } from 'node:worker_threads'
import type { EvaluatedDecisionReply } from '@writ/contract/decisions'
import { parseExactJson } from '@writ/contract/strict-json'
import { readCheckedBundle, type BundleFiles } from '@writ/policy/bundle'
import { openEngine } from '@writ/policy/engine'
import { recordOf } from '@writ/policy/recorded-decision'
import { openReplay, type ReplayState } from '@writ/policy/replay'

/** What a thread begins with: files that were found fit before. */
export type ReplayOrder = { readonly files: BundleFiles; readonly mostListed: number }
/** A page for a thread; `last` once there is none any more. */
export type ReplayPage = readonly EvaluatedDecisionReply[] | 'last'
/** How many of a page have another answer now; at the end, all that the thread knows. */
export type ReplayReport = { readonly kind: 'replayed'; readonly changed: number } | { readonly kind: 'ended'; readonly state: ReplayState }

const { files, mostListed } = workerData as ReplayOrder
const bundle = readCheckedBundle(files)
if (!bundle.ok) throw new Error('policies that could be read can not be read any more')
const replay = openReplay(openEngine(bundle.value), mostListed)
const port = parentPort!

port.on('message', (page: ReplayPage) => port.postMessage(reportOn(page)))

function reportOn(page: ReplayPage): ReplayReport {
  if (page === 'last') return { kind: 'ended', state: replay.state() }
  const before = replay.state().changed
  for (const one of page) replay.feed(recordOf(one, parseExactJson))
  return { kind: 'replayed', changed: replay.state().changed - before }
}
