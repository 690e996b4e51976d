import type { whoAmI as whoAmIContract } from '@writ/contract/registry'
import { reachOf } from '@writ/contract/roles'
import type { ReplyOf } from './api.ts'
import { whoAmI } from './endpoints.ts'
import { asking } from './queries.ts'
import { useQuery } from '@tanstack/react-query'

export type Who = ReplyOf<typeof whoAmIContract>

const WHO_IS_FRESH_MS = 60_000

export const askingWho = { ...asking(whoAmI, {}), staleTime: WHO_IS_FRESH_MS }

/** Who is signed in; undefined until that is known. */
export const useWho = (): Who | undefined => useQuery(askingWho).data

/** How far whoever is signed in may call an endpoint, by its name: the server has the last word, and says why not. */
export function reach(who: Who | undefined, endpoint: string): 'none' | 'own' | 'all' {
  if (who === undefined) return 'none'
  return who.kind === 'operator' ? 'all' : reachOf(endpoint, who.roles ?? [])
}

export const useReach = (endpoint: string): 'none' | 'own' | 'all' => reach(useWho(), endpoint)
