import { bareOf } from './bare-policy.ts'
import { dropPolicies, keepPolicies, type Kept } from './cedar.ts'
import { keyOf } from './entity-key.ts'
import { sightOf, type Sight } from './expression.ts'
import type { Policy } from './policies.ts'
import type { EntityRef } from './question.ts'
import { scopeOf, type Place, type Scope } from './scope.ts'

/** Some of a bundle's policies, parsed together. */
export type Slice = Sight & {
  readonly kept: Kept
  readonly policies: readonly Policy[]
  /** No other slice has it. */
  readonly number: number
  /** How much of what they see of a question is the same in other questions. */
  readonly repeats: 'mostly' | 'often' | 'hardly'
  /** Those that look at whether it was approved. */
  readonly approvals: readonly Policy[]
}

/** What of a question the heads of policies look at; entities by their keys, each with all that it is in. */
export type Asked = {
  readonly principalType: string
  readonly principalGroups: ReadonlySet<string>
  readonly actionGroups: ReadonlySet<string>
  readonly resourceType: string
  readonly resourceGroups: ReadonlySet<string>
}

export type Slices = {
  /** The policies that can apply, in sets that are evaluated after each other: none where no policy can. */
  for(asked: Asked): readonly Slice[]
  close(): void
}

type Scoped = { readonly index: number; readonly policy: Policy; readonly scope: Scope }
/** The policies of an action and two types: those that name no entity, and the others by the one that they name. */
type Drawer = { readonly loose: readonly Lot[]; readonly anchored: ReadonlyMap<string, readonly Scoped[]> }
/** Policies of which all see what is the same in many questions, or all something that is not. */
type Lot = { readonly indices: readonly number[]; readonly key: string; readonly isSteady: boolean }

/** Fewer than these are parsed together; more, and what is the same for everybody is parsed once. */
const MOST_TOGETHER = 64
/** How many parsed policies may be kept at a time; each costs some kB. */
const MOST_KEPT = 20_000
const MOST_DRAWERS = 4_096

/** What of the context is in no other question, and what a caller has said: that is kept by nobody. */
const NEVER_THE_SAME = ['task', 'at', 'arguments', 'claimed']
/** What differs from one use of a task to the next. */
const FLEETING = [...NEVER_THE_SAME, 'budget_left']
let lastNumber = 0

/** `isKnown` tells which of the entities that policies name there is anything to say about. */
export function openSlices(policies: readonly Policy[], isKnown: (ref: EntityRef) => boolean, mostKept = MOST_KEPT): Slices {
  const all: readonly Scoped[] = policies.map((policy, index) => ({ index, policy, scope: scopeOf(policy.json) }))
  const steady: boolean[] = []
  const drawers = new Map<string, Drawer>()
  /** In the order of their last use. */
  const kept = new Map<string, Slice>()
  let keptPolicies = 0

  const evict = (key: string, slice: Slice): void => {
    dropPolicies(slice.kept)
    keptPolicies -= slice.policies.length + 1
    kept.delete(key)
  }

  const isSteady = (index: number): boolean => (steady[index] ??= isSteadySight(sightOf(bareOf(policies[index]!).json)))
  const lotsOf = (indices: readonly number[]): readonly Lot[] => [true, false].flatMap((wanted) => {
    const chosen = indices.filter((index) => isSteady(index) === wanted)
    return chosen.length === 0 ? [] : [{ indices: chosen, key: chosen.join(), isSteady: wanted }]
  })

  const slicesOf = (lots: readonly Lot[]): readonly Slice[] => {
    const needed = new Set(lots.map(({ key }) => key))
    return lots.map((lot) => sliceOf(lot, needed))
  }

  /** INVARIANT: what the same question `needed` stays, however much is kept: once another one has its place, it would be evaluated as that one. */
  const sliceOf = ({ key, indices }: Lot, needed: ReadonlySet<string>): Slice => {
    const found = kept.get(key)
    if (found) {
      kept.delete(key)
      kept.set(key, found)
      return found
    }
    for (const [oldest, slice] of kept) {
      if (keptPolicies + indices.length + 1 <= mostKept) break
      if (!needed.has(oldest)) evict(oldest, slice)
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
    const { loose, anchored } = fillDrawer(all, asked)
    const drawer: Drawer = { loose: lotsOf(loose), anchored }
    drawers.set(key, drawer)
    return drawer
  }

  return {
    for: (asked) => {
      const { loose, anchored } = drawerOf(asked)
      if (anchored.size === 0) return slicesOf(loose)
      const named: number[] = []
      const look = (anchor: string): void => {
        for (const { index, scope } of anchored.get(anchor) ?? []) {
          if (stands(scope.principal, asked.principalGroups) && stands(scope.resource, asked.resourceGroups)) named.push(index)
        }
      }
      for (const key of asked.principalGroups) look(byPrincipal(key))
      for (const key of asked.resourceGroups) look(byResource(key))
      return slicesOf(named.length === 0 ? loose : joined(loose, lotsOf(named.toSorted((a, b) => a - b))))
    },
    close: () => {
      for (const [key, slice] of kept) evict(key, slice)
    },
  }
}

/** These policies parsed together; for questions about actions that the heads of all of them name. */
export function sliceFrom(policies: readonly Policy[], isKnown: (ref: EntityRef) => boolean): Slice {
  const bare = policies.map(bareOf)
  const sights = bare.map(({ json }) => sightOf(json))
  return {
    kept: keepPolicies(bare.map(({ text }) => text)), policies,
    hops: Math.max(0, ...sights.map((one) => one.hops)),
    named: [...new Map(sights.flatMap((one) => one.named).filter(isKnown).map((ref) => [keyOf(ref), ref] as const)).values()],
    context: together(sights.map((one) => one.context)), groups: together(sights.map((one) => one.groups)),
    attributes: new Set(sights.flatMap((one) => [...one.attributes])),
    tellsApart: new Set(sights.flatMap((one) => [...one.tellsApart])),
    number: ++lastNumber,
    repeats: sights.every(isSteadySight) ? 'mostly' : sights.some((one) => NEVER_THE_SAME.some((name) => sees(one, name))) ? 'hardly' : 'often',
    approvals: policies.filter((_, i) => sees(sights[i]!, 'approved')),
  }
}

const together = (sets: readonly (ReadonlySet<string> | 'all')[]): ReadonlySet<string> | 'all' =>
  sets.reduce((all, one) => (all === 'all' || one === 'all' ? 'all' : all.union(one)), new Set())

const byPrincipal = (key: string): string => `principal ${key}`
const byResource = (key: string): string => `resource ${key}`

/** Few of them are parsed together, those of a kind. */
const joined = (loose: readonly Lot[], named: readonly Lot[]): readonly Lot[] => [true, false].flatMap((wanted) => {
  const ofKind = [...loose, ...named].filter(({ isSteady }) => isSteady === wanted)
  const [first, second] = ofKind
  if (!first || !second || first.indices.length + second.indices.length > MOST_TOGETHER) return ofKind
  return [{ indices: [...first.indices, ...second.indices], key: `${first.key},${second.key}`, isSteady: wanted }]
})

const sees = ({ context: seen }: Sight, name: string): boolean => seen === 'all' || seen.has(name)
const isSteadySight = (sight: Sight): boolean => !FLEETING.some((name) => sees(sight, name))

function fillDrawer(all: readonly Scoped[], asked: Asked): { readonly loose: readonly number[]; readonly anchored: ReadonlyMap<string, readonly Scoped[]> } {
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
  return { loose, anchored }
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
