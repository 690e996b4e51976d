import assert from 'node:assert/strict'
import type { Registration } from '@writ/contract/registry'
import type { Stream } from '@writ/domain/event'
import { install } from '../src/record/install.ts'
import { applyManifest } from '../src/registry/apply-manifest.ts'
import { toDraft, type IdentityDraft } from '../src/registry/draft.ts'
import { findLog } from '../src/store/logs.ts'
import { REGISTRATION } from './running-writ.ts'
import type { StoreOfWrit } from './store-of-writ.ts'

export const OPERATOR = { kind: 'operator', id: 'opr_of_the_test' } as const

/** So many events of the non-human stream, each in a transaction of its own. */
export async function recordStarts(writ: StoreOfWrit, times: number): Promise<void> {
  const input = { id: 'not used', keyCheck: writ.keys.keyCheck(), version: '0', now: writ.now() }
  for (let left = times; left > 0; left -= 20) await Promise.all(Array.from({ length: Math.min(left, 20) }, () => writ.store.change(install, input)))
}

/** So many events of the human stream in one transaction. */
export async function recordNos(writ: StoreOfWrit, many: number): Promise<void> {
  const entries = Array.from({ length: many }, (_, i) => {
    const draft = toDraft({ ...structuredClone(REGISTRATION) as unknown as Registration, spiffe_id: `spiffe://acme.example/${writ.newId('admission')}-${i}`, admission: { answer: 'delegated_token', reason: 'its caller has a token' } })
    if (!draft.ok) return assert.fail(draft.refusal.message)
    return { draft: draft.value, ids: { admission: writ.newId('admission'), identity: writ.newId('identity'), credential: writ.newId('credential') }, sealedHook: null }
  })
  const applied = await writ.store.change(applyManifest, { entries, dryRun: false, by: OPERATOR, now: writ.now() })
  assert.ok(applied.ok)
}

type Draft = Partial<Omit<IdentityDraft, 'spiffeId'>> & { readonly name: string }

/** What a registration that lacks nothing asks for. */
export function draftOf({ name, ...more }: Draft): IdentityDraft {
  const draft = toDraft({ ...structuredClone(REGISTRATION) as unknown as Registration, authority: ['postgres:shop:read', 'postgres:shop:write'], spiffe_id: `spiffe://acme.example/${name}` })
  return draft.ok ? { ...draft.value, ...more } : assert.fail(draft.refusal.message)
}

export const sizeOf = async (writ: StoreOfWrit, stream: Stream): Promise<number> => (await writ.store.read((db) => findLog(db, stream)))!.size
