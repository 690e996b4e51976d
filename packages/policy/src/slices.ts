import { dropPolicies, keepPolicies, type Kept } from './cedar.ts'
import { keyOf } from './entity-key.ts'
import { sightOf, type Sight } from './expression.ts'
import type { Policy } from './policies.ts'
import type { EntityRef } from './question.ts'
import { scopeOf, type Place, type Scope } from './scope.ts'

/** Some of a bundle's policies, parsed together. */
export type Slice = Sight & { readonly kept: Kept; readonly policies: readonly Policy[] }

/** What of a question the heads of policies look at; entities by their keys, each with all that it is in. */
export type Asked = {
  readonly principalType: string
  readonly principalGroups: ReadonlySet<string>
  readonly actionGroups: ReadonlySet<string>
  readonly resourceType: string
  readonly resourceGroups: ReadonlySet<string>
}

export type Slices = {
  /** The policies that can apply, in one set or in two that are evaluated after each other. */
  for(asked: Asked): readonly Slice[]
  close(): void
}

type Scoped = { readonly index: number; readonly policy: Policy; readonly scope: Scope }
/** The policies of an action and two types: those that name no entity, and the others by the one that they name. */
type Drawer = { readonly loose: readonly number[]; readonly looseKey: string; readonly anchored: ReadonlyMap<string, readonly Scoped[]> }

/** Fewer than these are parsed together; more, and what is the same for everybody is parsed once. */
const MOST_TOGETHER = 64
/** How many parsed policies may be kept at a time; each costs some kB. */
const MOST_KEPT = 20_000
const MOST_DRAWERS = 4_096

/** `isKnown` tells which of the entities that policies name there is anything to say about. */
export function openSlices(policies: readonly Policy[], isKnown: (ref: EntityRef) => boolean, mostKept = MOST_KEPT): Slices {
  const all: readonly Scoped[] = policies.map((policy, index) => ({ index, policy, scope: scopeOf(policy.json) }))
  const drawers = new Map<string, Drawer>()
  /** In the order of their last use. */
  const kept = new Map<string, Slice>()
  let keptPolicies = 0

  const evict = (key: string, slice: Slice): void => {
    dropPolicies(slice.kept)
    keptPolicies -= slice.policies.length + 1
    kept.delete(key)
  }

  const sliceOf = (key: string, indices: readonly number[]): Slice => {
    const found = kept.get(key)
    if (found) {
      kept.delete(key)
      kept.set(key, found)
      return found
    }
    for (const [oldest, slice] of kept) {
      if (keptPolicies + indices.length + 1 <= mostKept) break
      evict(oldest, slice)
    }
    const slice = sliceFrom(indices.map((index) => policies[index]!), isKnown)
    kept.set(key, slice)
    keptPolicies += indices.length + 1
    return slice
  }

  const drawerOf = (asked: Asked): Drawer => {
    const key = `${asked.principalType} ${asked.resourceType} ${[...asked.actionGroups].join(' ')}`
    const found = drawers.get(key)
    if (found) return found
    if (drawers.size >= MOST_DRAWERS) drawers.clear()
    const drawer = fillDrawer(all, asked)
    drawers.set(key, drawer)
    return drawer
  }

  return {
    for: (asked) => {
      const { loose, looseKey, anchored } = drawerOf(asked)
      const named = anchored.size === 0 ? [] : [...asked.principalGroups].map(byPrincipal).concat([...asked.resourceGroups].map(byResource))
        .flatMap((anchor) => anchored.get(anchor) ?? [])
        .filter(({ scope }) => stands(scope.principal, asked.principalGroups) && stands(scope.resource, asked.resourceGroups))
        .map(({ index }) => index).toSorted((a, b) => a - b)
      if (named.length === 0) return [sliceOf(looseKey, loose)]
      const namedKey = named.join()
      if (loose.length === 0) return [sliceOf(namedKey, named)]
      if (loose.length + named.length > MOST_TOGETHER) return [sliceOf(looseKey, loose), sliceOf(namedKey, named)]
      return [sliceOf(`${looseKey},${namedKey}`, [...loose, ...named])]
    },
    close: () => {
      for (const [key, slice] of kept) evict(key, slice)
    },
  }
}

/** These policies parsed together, whatever they apply to. */
export function sliceFrom(policies: readonly Policy[], isKnown: (ref: EntityRef) => boolean): Slice {
  const sights = policies.map((policy) => sightOf(policy.json))
  return {
    kept: keepPolicies(policies.map((policy) => policy.text)), policies,
    hops: Math.max(0, ...sights.map((one) => one.hops)),
    named: [...new Map(sights.flatMap((one) => one.named).filter(isKnown).map((ref) => [keyOf(ref), ref] as const)).values()],
    context: together(sights.map((one) => one.context)), groups: together(sights.map((one) => one.groups)),
    attributes: new Set(sights.flatMap((one) => [...one.attributes])),
  }
}

const together = (sets: readonly (ReadonlySet<string> | 'all')[]): ReadonlySet<string> | 'all' =>
  sets.reduce((all, one) => (all === 'all' || one === 'all' ? 'all' : all.union(one)), new Set())

const byPrincipal = (key: string): string => `principal ${key}`
const byResource = (key: string): string => `resource ${key}`

function fillDrawer(all: readonly Scoped[], asked: Asked): Drawer {
  const loose: number[] = []
  const anchored = new Map<string, Scoped[]>()
  for (const one of all) {
    const { principal, resource, actions } = one.scope
    if (actions && asked.actionGroups.isDisjointFrom(actions)) continue
    if (!isOfType(principal, asked.principalType) || !isOfType(resource, asked.resourceType)) continue
    const anchor = anchorOf(principal, byPrincipal) ?? anchorOf(resource, byResource)
    if (anchor === undefined) loose.push(one.index)
    else anchored.set(anchor, [...anchored.get(anchor) ?? [], one])
  }
  return { loose, looseKey: loose.join(), anchored }
}

const isOfType = ({ is, equals }: Place, type: string): boolean => (is ?? type) === type && (equals?.type ?? type) === type

function anchorOf(place: Place, anchor: (key: string) => string): string | undefined {
  const ref = place.equals ?? place.in
  return ref && anchor(keyOf(ref))
}

/** An entity in one of its own type may pass for it here; one policy too many is no matter, for Cedar looks at each head again. */
const stands = (place: Place, groups: ReadonlySet<string>): boolean => {
  const ref = place.equals ?? place.in
  return ref === undefined || groups.has(keyOf(ref))
}
