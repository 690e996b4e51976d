import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { covers, toAuthority, type Authority, type Permit } from './authority.ts'
import { IDENTITY_CLASSES, PROFILES, type Profile } from './profile.ts'
import { settleTerms, type AskedTerms, type OnBehalfOf, type TaskState, type TermsRefusal } from './task.ts'
import { epochMs, milliseconds, seconds, type EpochMs } from './time.ts'

/** One task of a random tree, with what it was asked with. */
type Node = {
  readonly parent: Node | null
  readonly profile: Profile
  readonly authority: Authority
  readonly openedAt: EpochMs
  readonly deadline: EpochMs
  readonly budgetCalls: number
  readonly callsUsed: number
  readonly depth: number
  readonly depthLeft: number
  readonly onBehalfOf: OnBehalfOf | null
  readonly purposeId: string | null
  readonly changeReference: string | null
  readonly state: TaskState
}

type Refused = {
  readonly parent: Node | null
  readonly asked: AskedTerms
  readonly mayDo: Authority
  readonly profile: Profile
  readonly endsAt: EpochMs
  readonly now: EpochMs
  readonly refusal: TermsRefusal
}
type Tree = { readonly opened: readonly Node[]; readonly refused: readonly Refused[] }

const START = 1_800_000_000_000
const TREES = 100_000
const USERS: readonly (OnBehalfOf | null)[] = [null, ...['maya', 'eve'].map((subject) => ({ issuer: 'https://idp.example', subject }))]
const NAMES: readonly (string | null)[] = [null, 'refunds', 'reports']
const CLASSES = [...IDENTITY_CLASSES, 'autonomous', 'autonomous', 'autonomous'] as const
const STATES: readonly TaskState[] = [...Array<TaskState>(8).fill('open'), 'ending', 'closed']
const ACTIONS = ['read', 'write', 'ddl']
const permit = (action: string, limits: Readonly<Record<string, number>>): Permit => ({ type: 'postgres', resource: 'shop', action, limits })
const EVERYTHING = toAuthority(ACTIONS.map((action) => permit(action, {})))

/** mulberry32: the whole tree from one number, so that 100,000 of them take seconds and a failing one is named by its number. */
function below(seed: number): (bound: number) => number {
  let state = seed
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound
  }
}

function growTree(seed: number): Tree {
  const pick = below(seed)
  const one = <T>(of: readonly T[]): T => of[pick(of.length)]!
  const some = (): Authority => toAuthority(ACTIONS.filter(() => pick(3) > 0).map((action) => permit(action, pick(2) === 0 ? {} : { rows: pick(4) })))
  const opened: Node[] = []
  const refused: Refused[] = []
  let now = START
  for (let i = 0; i < 6; i++) {
    now += pick(60_000)
    const parent = opened.length === 0 || pick(8) === 0 ? null : one(opened)
    const profile = PROFILES[one(CLASSES)]
    const mayDo = pick(5) === 0 ? some() : EVERYTHING
    const asked: AskedTerms = {
      authority: parent !== null && pick(3) > 0 ? parent.authority : some(),
      length: milliseconds(1 + pick(seconds(one([60, 600, 3600, 6000])))), budgetCalls: 1 + pick(parent === null ? 300 : one([3, 30, 300])),
      idleTimeout: seconds(60), heartbeat: seconds(30), onBehalfOf: parent === null ? one(USERS) : one([null, null, parent.onBehalfOf, one(USERS)]),
      purposeId: parent === null ? one(NAMES) : one([null, null, parent.purposeId, one(NAMES)]),
      changeReference: parent === null ? one(NAMES) : one([null, null, parent.changeReference, one(NAMES)]),
    }
    const endsAt = epochMs(START + pick(20_000_000))
    const settled = settleTerms(asked, { authority: mayDo, endsAt, profile }, parent, epochMs(now))
    if (!settled.ok) refused.push({ parent, asked, mayDo, profile, endsAt, now: epochMs(now), refusal: settled.refusal })
    else {
      const { deadline, budgetCalls, authority, depth, depthLeft, onBehalfOf, purposeId, changeReference } = settled.value
      const callsUsed = pick(3) > 0 ? 0 : pick(budgetCalls + 1)
      opened.push({ parent, profile, openedAt: epochMs(now), deadline, budgetCalls, authority, depth, depthLeft, onBehalfOf, purposeId, changeReference, callsUsed, state: one(STATES) })
    }
  }
  return { opened, refused }
}

const ancestorsOf = (node: Node): readonly Node[] => node.parent === null ? [] : [node.parent, ...ancestorsOf(node.parent)]
const sameUser = (a: OnBehalfOf | null, b: OnBehalfOf | null): boolean => a?.issuer === b?.issuer && a?.subject === b?.subject

/** Whether the bound that a refusal names was really overstepped. */
function isJust({ parent, asked, mayDo, profile, endsAt, now, refusal }: Refused): boolean {
  switch (refusal.kind) {
    case 'empty_grant': return asked.authority.length === 0
    case 'too_long': return asked.length > profile.longestTask
    case 'grant_not_covered': return !covers(refusal.by === 'identity' ? mayDo : parent!.authority, asked.authority)
    case 'parent_not_open': return parent!.state !== 'open'
    case 'no_time_left': return (refusal.of === 'identity' ? endsAt : parent!.deadline) <= now
    case 'too_deep': return [parent!, ...ancestorsOf(parent!)].some((above) => parent!.depth + 1 - above.depth > above.profile.delegationDepth)
    case 'budget_not_covered': return asked.budgetCalls > parent!.budgetCalls - parent!.callsUsed
    case 'other_purpose': return asked.purposeId !== null && asked.purposeId !== parent!.purposeId
    case 'other_change': return asked.changeReference !== null && asked.changeReference !== parent!.changeReference
    case 'other_user': return asked.onBehalfOf !== null && !sameUser(asked.onBehalfOf, parent!.onBehalfOf)
    case 'bad_number': return false // never asked here
  }
}

test('in 100,000 random trees no child outlives, outspends or outdoes any task above it, hangs deeper than its class allows, or acts for another user', (t: TestContext) => {
  let children = 0
  const refusals = new Map<TermsRefusal['kind'], number>()
  fc.assert(fc.property(fc.integer(), (seed) => {
    const { opened, refused } = growTree(seed)
    for (const node of opened) {
      for (const above of ancestorsOf(node)) {
        children += 1
        if (node.depth - above.depth > above.profile.delegationDepth) throw new Error('hangs too deep')
        if (node.deadline > above.deadline) throw new Error('outlives')
        if (!covers(above.authority, node.authority)) throw new Error('outdoes')
        if (!sameUser(node.onBehalfOf, above.onBehalfOf)) throw new Error('acts for another')
        if (node.purposeId !== above.purposeId || node.changeReference !== above.changeReference) throw new Error('has another purpose or change')
        if (node.budgetCalls > above.budgetCalls) throw new Error('outspends')
      }
      const { parent } = node
      if (parent === null) {
        if (node.depth !== 0) throw new Error('has a depth and no parent')
      } else if (parent.state !== 'open' || node.depth !== parent.depth + 1 || parent.deadline <= node.openedAt ||
        node.budgetCalls > parent.budgetCalls - parent.callsUsed) throw new Error('is not covered by its parent')
    }
    for (const one of refused) {
      refusals.set(one.refusal.kind, (refusals.get(one.refusal.kind) ?? 0) + 1)
      if (!isJust(one)) throw new Error(`refused without need: ${one.refusal.kind}`)
    }
  }), { numRuns: TREES })
  t.diagnostic(`${children} pairs of a task and one above it; refusals: ${JSON.stringify(Object.fromEntries(refusals))}`)
  assert.ok(children > TREES / 2 && refusals.size === 10 && [...refusals.values()].every((count) => count > TREES / 100))
})
