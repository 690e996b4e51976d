import type { LeaseId } from '@writ/domain/id'
import type { ControlLogin, Probe, Reassigned } from '@writ/domain/lease'
import type { Outcome } from '@writ/domain/outcome'
import type { Template, TemplateGrant } from '@writ/domain/template'
import type { EpochMs } from '@writ/domain/time'

export type { Template, TemplateGrant }

export type MintOrder = {
  readonly lease: LeaseId
  readonly handle: string
  readonly secret: string
  readonly template: Template
  readonly expiresAt: EpochMs
}

/** What the holder of a lease needs to log in; the secret travels beside it, never in it. */
export type LeaseAddress = { readonly host: string; readonly port: number; readonly database: string; readonly user: string; readonly tls: boolean }

export type Minted = { readonly address: LeaseAddress; readonly control: ControlLogin }

export type Withdrawal = {
  /** False when there was nothing to withdraw: the back end did not know the handle. */
  readonly existed: boolean
  readonly sessionsEnded: number
  readonly reassigned: readonly Reassigned[]
}

/** A login at the back end that carries this installation's mark. */
export type FoundLease = { readonly handle: string }

export type AdmitRefusal =
  | { readonly kind: 'unreachable'; readonly why: string }
  | { readonly kind: 'administrator_refused'; readonly code: string }
  | { readonly kind: 'superuser'; readonly user: string; readonly rightsNeeded: readonly string[] }
  | { readonly kind: 'missing_rights'; readonly user: string; readonly rightsNeeded: readonly string[] }
  | { readonly kind: 'unsupported_version'; readonly version: string }
  | { readonly kind: 'accepts_any_secret' }
  | { readonly kind: 'bad_template'; readonly template: string; readonly why: string }
  | { readonly kind: 'cycle_failed'; readonly step: 'mint' | 'control' | 'withdraw' | 'probe' | 'list'; readonly why: string }

export type Admission = { readonly version: string; readonly cycleMs: number }

/**
 * The plug point of every back end that Writ governs. Methods throw a `BackendFault` when the back end could not be asked or did not
 * do as told; the caller retries. All of them are idempotent for one handle.
 */
export type Connector = {
  readonly kind: string
  /** False where a credential can only expire (R24): then `withdraw` is never called and the end is *not evaluated*. */
  readonly canRevoke: boolean
  /** Checks rights and templates, and runs mint, control, withdraw, probe and list on a test login. Leaves nothing behind. */
  admit(templates: readonly Template[], testHandle: string, testSecret: string, now: EpochMs): Promise<Outcome<Admission, AdmitRefusal>>
  mint(order: MintOrder): Promise<Minted>
  /** Makes the login unable to log in, ends its sessions, hands over what it made, drops it. `template` names the new owner. */
  /** `survey` is awaited with what was found before any of it is handed over, so that a crash in between loses no name. */
  withdraw(handle: string, template: Template, survey: (found: Omit<Withdrawal, 'existed'>) => Promise<void>): Promise<Withdrawal>
  /** Tries the dead secret. */
  probe(handle: string, secret: string, template: Template): Promise<Probe>
  /** Every login whose handle starts with `prefix`. */
  list(prefix: string): Promise<readonly FoundLease[]>
  /** Gives the administrator a new secret; resolves after the new one has logged in. */
  rotate(newSecret: string): Promise<void>
  close(): Promise<void>
}

/** The back end could not be asked, or answered with an error. The message never holds a secret. */
export class BackendFault extends Error {
  readonly code: string
  constructor(message: string, code: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'BackendFault'
    this.code = code
  }
}
