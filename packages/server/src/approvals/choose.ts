import { parseExactJson } from '@writ/contract/strict-json'
import { callsOf, isWithin, narrows, routeFor, type ApprovalBound, type ApprovalChoice, type ApprovalRoute, type Routed } from '@writ/domain/approval'
import type { ExactRecord } from '@writ/domain/exact'
import { exactText } from '@writ/domain/exact'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { argumentsPlace, envelopeText, fieldsOf, sha256Hex } from '../decide/envelope.ts'
import type { Sealer } from '../keys/seal.ts'
import type { Approval } from '../store/approvals.ts'

/** What a person wants to say yes to, as it came. */
export type AskedChoice = { readonly scope: 'once' } | { readonly scope: 'edited'; readonly arguments: string } | { readonly scope: 'task'; readonly bound: ApprovalBound }

export type ChoiceRefusal =
  | { readonly kind: 'bad_arguments' }
  /** Something else than a lower whole number. */
  | { readonly kind: 'not_narrower' }
  /** The call that it is about would not be within it. */
  | { readonly kind: 'bound_too_narrow' }
  | { readonly kind: 'bound_too_long'; readonly most: EpochMs }
  /** Of as much as it allows, others are asked. */
  | { readonly kind: 'bound_of_another_route'; readonly route: string }
  | { readonly kind: 'erased' }

export type Choosing = {
  readonly questions: Pick<Sealer, 'unseal'>
  readonly deadline: EpochMs
  readonly routes: readonly ApprovalRoute[]
  readonly identityClass: Routed['class']
  readonly now: EpochMs
}

/** A choice, what it would run, and the envelope that it makes. */
export type Settled = { readonly choice: ApprovalChoice; readonly text: string; readonly isEdited: boolean; readonly envelope: string; readonly envelopeSha256: string; readonly calls: number }

export function settle(approval: Approval, asked: AskedChoice, about: Choosing): Outcome<Settled, ChoiceRefusal> {
  const text = keptArguments(approval, about.questions)
  if (text === undefined) return refuse({ kind: 'erased' })
  const kept = parseExactJson(text)
  if (!kept.ok) return refuse({ kind: 'bad_arguments' })
  const given = kept.value as ExactRecord
  switch (asked.scope) {
    case 'once': return ok(settled(approval, { scope: 'once' }, { text, isEdited: false }))
    case 'edited': {
      const read = parseExactJson(asked.arguments)
      if (!read.ok) return refuse({ kind: 'bad_arguments' })
      if (!narrows(read.value, given)) return refuse({ kind: 'not_narrower' })
      // Names in the order in which they were asked for: it is the same call with less.
      const edited = exactText(inOrderOf(read.value as ExactRecord, given))
      return ok(settled(approval, { scope: 'edited', argumentsSha256: sha256Hex(edited) }, { text: edited, isEdited: true }))
    }
    case 'task': {
      const fault = boundFault(approval, asked.bound, { ...about, given })
      return fault === undefined ? ok(settled(approval, { scope: 'task', bound: asked.bound }, { text, isEdited: false })) : refuse(fault)
    }
  }
}

function settled(approval: Approval, choice: ApprovalChoice, { text, isEdited }: { readonly text: string; readonly isEdited: boolean }): Settled {
  const envelope = envelopeText(fieldsOf(approval, choice))
  return { choice, text, isEdited, envelope, envelopeSha256: sha256Hex(envelope), calls: callsOf(choice) }
}

export function keptArguments({ id, arguments: sealed }: Pick<Approval, 'id' | 'arguments'>, questions: Pick<Sealer, 'unseal'>): string | undefined {
  return sealed === null ? undefined : questions.unseal(sealed, argumentsPlace(id))
}

function inOrderOf(edited: ExactRecord, given: ExactRecord): ExactRecord {
  return Object.fromEntries(Object.keys(given).map((name) => [name, edited[name]!]))
}

function boundFault({ route, labels, risk }: Approval, bound: ApprovalBound, { deadline, routes, identityClass, given, now }: Choosing & { readonly given: ExactRecord }): ChoiceRefusal | undefined {
  if (!isWithin(bound, given)) return { kind: 'bound_too_narrow' }
  if (bound.until > deadline || bound.until <= now) return { kind: 'bound_too_long', most: deadline }
  const most = { ...given, ...Object.fromEntries(Object.entries(bound.arguments).map(([name, one]) => [name, 'most' in one ? BigInt(one.most) : 'any' in one ? 'any' : given[name]!])) }
  const other = routeFor(routes, { class: identityClass, labels, arguments: most, risk })
  return other.name === route.name ? undefined : { kind: 'bound_of_another_route', route: other.name }
}
