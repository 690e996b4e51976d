import type { Mode } from '@writ/domain/decision'
import type { EventActor } from '@writ/domain/event'
import type { IdentityId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { plus, milliseconds, type EpochMs } from '@writ/domain/time'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { findBackend } from '../store/backends.ts'
import { lockIdentity } from '../store/identities.ts'
import { lockMode, modeAt, setMode, type ModeOf, type StoredMode } from '../store/modes.ts'
import { findPolicyFiles, findPolicyHead } from '../store/policies.ts'

const DAY = 86_400_000
/** Whoever still observes after a season has forgotten it. */
export const MOST_OBSERVED_DAYS = 92

/** `reference`: an identity by id or SPIFFE ID, a server by name. */
export type ModeReference = { readonly kind: ModeOf['kind']; readonly reference: string }

export type SetModeInput = {
  readonly of: ModeReference
  readonly mode: Mode
  readonly reason: string
  /** When it is enforced again; null exactly with `enforce`. */
  readonly until: EpochMs | null
  readonly by: EventActor
  readonly now: EpochMs
}

export type ModeRefusal =
  | { readonly kind: 'no_such_identity' }
  | { readonly kind: 'no_such_server' }
  | { readonly kind: 'bad_end'; readonly most: EpochMs }

/**
 * Observes an identity or a server until a day, or enforces again. While either of the two is observed, a denial by policy alone passes and
 * is recorded as one that would have denied; all other denials stand.
 */
export const setModeOf = change('mode.set', async (tx: Tx, input: SetModeInput) => {
  const { mode, reason, until, by, now } = input
  const most = plus(now, milliseconds(MOST_OBSERVED_DAYS * DAY))
  const endFits = mode === 'enforce' ? until === null : until !== null && until > now && until <= most
  if (!endFits) return refuse<ModeRefusal>({ kind: 'bad_end', most })
  const found = await subjectOf(tx, input.of)
  if (!found.ok) return found
  const { of, identity } = found.value
  const before = await lockMode(tx, of)
  const held = modeAt(before, now)
  // Nothing is enforced twice. To observe until another day is a change, and so is to observe for another reason.
  const set: StoredMode = { ...of, mode, reason, until, setBy: by.id, setAt: now }
  if (mode === held && (mode === 'enforce' || (before?.until === until && before.reason === reason))) return ok(before ?? set)
  await setMode(tx.db, set)
  await append(tx, now, {
    type: 'mode.changed', actor: by, ...(identity === null ? {} : { identity }),
    facts: { subject_kind: of.kind, subject: of.subject, mode, until, before: held }, said: { reason },
  })
  return ok(set)
})

type Subject = { readonly of: ModeOf; readonly identity: IdentityId | null }

/** Only what is there is observed: a name that is mistyped would leave the one that was meant enforced. */
async function subjectOf(tx: Tx, { kind, reference }: ModeReference): Promise<Outcome<Subject, ModeRefusal>> {
  if (kind === 'identity') {
    const identity = await lockIdentity(tx, reference)
    return identity === undefined ? refuse({ kind: 'no_such_identity' }) : ok({ of: { kind, subject: identity.id }, identity: identity.id })
  }
  const backend = await findBackend(tx.db, reference)
  if (backend !== undefined && backend.state === 'active') return ok({ of: { kind, subject: backend.name }, identity: null })
  // What is gone by now may be what is still observed.
  if (await lockMode(tx, { kind, subject: reference }) !== undefined) return ok({ of: { kind, subject: reference }, identity: null })
  const { version } = await findPolicyHead(tx.db)
  return await isToolServer(tx, version, reference) ? ok({ of: { kind, subject: reference }, identity: null }) : refuse({ kind: 'no_such_server' })
}

/** Whether the policies in force know tools of it. */
async function isToolServer(tx: Tx, version: number, name: string): Promise<boolean> {
  const { bundle } = await tx.context.engines.engineOf(version, () => findPolicyFiles(tx.db, version))
  return bundle.tools.some((tool) => tool.server === name)
}
