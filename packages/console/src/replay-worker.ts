import init from '@cedar-policy/cedar-wasm/web'
import type { EvaluatedDecisionReply } from '@writ/contract/decisions'
import type { PolicyComplaint } from '@writ/contract/policies'
import { parseExactJson } from '@writ/contract/strict-json'
import { readBundle, type BundleFiles } from '@writ/policy/bundle'
import { openEngine } from '@writ/policy/engine'
import { recordOf } from '@writ/policy/recorded-decision'
import { openReplay, type Replay, type ReplayState } from '@writ/policy/replay'

/** First the files of the draft, then page after page of what was decided. */
export type ReplayOrder = { readonly files: BundleFiles; readonly mostListed: number } | { readonly page: readonly EvaluatedDecisionReply[] }
export type ReplayReport =
  | { readonly kind: 'ready' }
  | { readonly kind: 'unfit'; readonly complaints: readonly PolicyComplaint[] }
  | { readonly kind: 'replayed'; readonly state: ReplayState }
  | { readonly kind: 'fault'; readonly says: string }

const ready = init()
let replay: Replay | undefined

addEventListener('message', ({ data }: MessageEvent<ReplayOrder>) => {
  void ready.then(() => reportOn(data)).catch((fault: unknown): ReplayReport => ({ kind: 'fault', says: String(fault) })).then((report) => postMessage(report))
})

/** The engine that decides on the server, and that `writ policy simulate` replays by. */
function reportOn(order: ReplayOrder): ReplayReport {
  if ('files' in order) {
    const bundle = readBundle(order.files)
    if (!bundle.ok) return { kind: 'unfit', complaints: bundle.refusal }
    replay = openReplay(openEngine(bundle.value), order.mostListed)
    return { kind: 'ready' }
  }
  if (replay === undefined) return { kind: 'fault', says: 'there are no policies to replay by' }
  for (const one of order.page) replay.feed(recordOf(one, parseExactJson))
  return { kind: 'replayed', state: replay.state() }
}
