import { openApiOf, type OpenApiDocument } from '@writ/contract/openapi'
import * as contract from '@writ/contract/surface'
import { route, type Answer, type Route } from '../call.ts'
import type { Metrics } from '../metrics.ts'
import { REFERENCE_CSP, referencePage } from '../reference.ts'

export type SurfaceRoutesNeeds = {
  readonly version: string
  /** What clients call this server. */
  readonly origin: () => string
  readonly metrics: Pick<Metrics, 'page' | 'type'>
  /** Whether anyone who can connect may read the metrics; else operators. */
  readonly metricsOpen: boolean
}

/** The same for everybody until another release takes its place. */
const FOR_A_WHILE = { 'cache-control': 'public, max-age=300' }

export function surfaceRoutes(needs: SurfaceRoutesNeeds): readonly Route[] {
  let made: { readonly document: OpenApiDocument; readonly text: string; readonly page: string } | undefined
  /** Made when somebody asks: it takes a tenth of a second. */
  const surface = () => {
    if (made !== undefined) return made
    const document = openApiOf({ version: needs.version, origin: needs.origin() })
    return made = { document, text: JSON.stringify(document), page: referencePage(document) }
  }
  return [
    route(contract.openApiDocument, async (): Promise<Answer<typeof contract.openApiDocument>> => ({ raw: surface().text, type: 'application/json; charset=utf-8', headers: FOR_A_WHILE })),
    route(contract.referencePage, async (): Promise<Answer<typeof contract.referencePage>> => ({
      raw: surface().page, type: 'text/html; charset=utf-8',
      headers: { ...FOR_A_WHILE, 'content-security-policy': REFERENCE_CSP, 'referrer-policy': 'no-referrer', 'cross-origin-opener-policy': 'same-origin', 'cross-origin-resource-policy': 'same-origin' },
    })),
    route(needs.metricsOpen ? { ...contract.metrics, who: 'anyone' as const } : contract.metrics, async () => ({ raw: await needs.metrics.page(), type: needs.metrics.type })),
  ]
}
