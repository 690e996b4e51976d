import * as contract from '@writ/contract/oauth'
import { authorizationDetail } from '@writ/contract/words'
import { parseStrictJson } from '@writ/contract/strict-json'
import { fromAuthorizationDetails, toAuthorizationDetails, type Authority } from '@writ/domain/authority'
import { parseId, type TaskId } from '@writ/domain/id'
import { ok, refuse, unreachable, type Outcome } from '@writ/domain/outcome'
import type { PersonCaller } from '@writ/domain/person'
import { DEFAULT_TASK_LENGTH } from '@writ/domain/profile'
import { seconds } from '@writ/domain/time'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { ShownAtTokenEndpoint } from '../../authenticate/authenticate.ts'
import type { AuthenticateRefusal, Caller } from '../../authenticate/authenticator.ts'
import { useOnce } from '../../authenticate/one-time.ts'
import type { SparingAuthentication } from '../../authenticate/refused-often.ts'
import type { OperatorCaller } from '../../authenticate/operator-key.ts'
import { claimsOf, issueAccessToken, type AskedToken, type TokenIssueRefusal, type TokenNeeds, type TokenTask } from '../../issue/access-token.ts'
import { tokenReader } from '../../issue/known-token.ts'
import { revokeToken } from '../../issue/revoke-token.ts'
import type { TokenKeys } from '../../keys/token-keys.ts'
import type { Store } from '../../record/tx.ts'
import { findTask } from '../../store/tasks.ts'
import { findToken, findTokenStanding } from '../../store/tokens.ts'
import { newTaskId } from '../../tasks/open-task.ts'
import { actorOf, isOf } from '../call.ts'
import { nonceChallenge, presentedIn } from '../evidence.ts'
import { formRoute, type FormRoute, type OauthRefusal } from '../serve-form.ts'

export type OauthNeeds = Omit<TokenNeeds, 'store' | 'keys'> & {
  readonly store: Store
  readonly keys: TokenKeys
  readonly authentication: Pick<SparingAuthentication, 'atDoor' | 'atTokenEndpoint'>
  /** Wakes whoever ends what is due. */
  readonly wake: () => void
}

/** A repeat of a request comes with evidence of its own. */
const EVIDENCE = ['client_assertion', 'assertion', 'subject_token']

export function oauthRoutes(needs: OauthNeeds): readonly FormRoute[] {
  const { store, clock, entropy } = needs
  const read = tokenReader(needs.keys)

  async function standingOf(text: string) {
    const known = await read(text)
    return known && store.read((db) => findTokenStanding(db, known, clock.now()))
  }

  /** Whoever comes with a token that has ended with its task, and with the proof of its key, is told why. */
  async function endReasonOf({ as, token }: Shown, { kind }: AuthenticateRefusal): Promise<Pick<OauthRefusal, 'endReason'>> {
    const known = as === 'access_token' && kind === 'token_not_live' ? await read(token) : undefined
    if (known === undefined) return {}
    const task = await store.read(async (db) => findTask(db, (await findToken(db, known.jti))?.task ?? ''))
    return task === undefined || task.endReason === null ? {} : { endReason: task.endReason }
  }

  return [
    formRoute(contract.issueToken, async ({ body, request, once }) => {
      const shown = evidenceIn(body, request)
      if (!shown.ok) return shown
      const wish = wishOf(body, needs.issuer())
      if (!wish.ok) return wish
      const client = body.client_id === undefined ? {} : { client: body.client_id }
      const proved = await needs.authentication.atTokenEndpoint({ ...shown.value, ...aboutOf(request), ...client })
      if (!proved.ok) return refuse({ ...evidenceRefusal(shown.value, proved.refusal), ...await endReasonOf(shown.value, proved.refusal) })
      const { caller, uses, jkt } = proved.value
      if (body.client_id !== undefined && body.client_id !== caller.spiffeId) return refuse(noClient({ kind: 'another_client_id' }))
      const inExchange = shown.value.as === 'access_token' ? (await read(shown.value.token))?.jti ?? null : null
      const task = taskOf(body, { caller, authority: wish.value.authority, id: () => newTaskId(clock.now(), entropy.bytes(10)) })
      if (!task.ok) return task
      const asked: AskedToken = {
        identity: caller.identity, evidence: caller.evidence, task: task.value, audience: wish.value.audience, jkt, inExchange,
        authority: task.value.kind === 'new' ? null : wish.value.authority,
      }
      const issued = await issueAccessToken(needs, { ...asked, holder: caller.spiffeId }, { uses, once: once(caller.identity, EVIDENCE, JSON.stringify([jkt, inExchange])) })
      if (!issued.ok) return refuse(issueRefusal(shown.value, issued.refusal))
      const { token, jwt, expiresIn } = issued.value
      return ok({
        access_token: jwt, token_type: token.jkt === null ? 'Bearer' as const : 'DPoP' as const, expires_in: expiresIn, task: token.task,
        authorization_details: detailsOf(token.authority),
        ...(body.grant_type === TOKEN_EXCHANGE ? { issued_token_type: contract.TOKEN_TYPES.accessToken } : {}),
      })
    }),
    formRoute(contract.introspect, async ({ body, request }) => {
      const client = await clientOf(needs, body, request)
      if (!client.ok) return client
      const standing = await standingOf(body.token)
      if (standing?.kind !== 'live') return ok({ active: false })
      const { token, identity } = standing
      return ok({ active: true, token_type: token.jkt === null ? 'Bearer' : 'DPoP', ...claimsOf(token, { issuer: needs.issuer(), holder: identity.spiffeId }) })
    }),
    formRoute(contract.revokeToken, async ({ body, request }) => {
      const client = await clientOf(needs, body, request)
      if (!client.ok) return client
      const known = await read(body.token)
      const token = known && await store.read((db) => findToken(db, known.jti))
      // RFC 7009 §2.2: what is no token of ours is as good as revoked.
      if (token === undefined) return ok(null)
      if (!isOf(client.value, token)) return refuse({ error: 'unauthorized_client', description: 'the token was issued to another client' })
      await store.change(revokeToken, { token: token.id, by: actorOf(client.value), now: clock.now() })
      needs.wake()
      return ok(null)
    }),
  ]
}

const [CLIENT_CREDENTIALS, JWT_BEARER, TOKEN_EXCHANGE] = contract.GRANT_TYPES

/** `isSubject`: it stands in `subject_token`, which has an error of its own (RFC 8693 §2.2.2). */
type Shown = Pick<ShownAtTokenEndpoint, 'token' | 'as'> & { readonly isSubject?: boolean }

/** RFC 7521 §4.1 needs no client beside a grant, and RFC 7523 §3.1 ignores none that is there: who shows two would have to be both. One is enough. */
function evidenceIn(body: contract.TokenBody, request: FastifyRequest): Outcome<Shown, OauthRefusal> {
  const unwelcome = unwelcomeIn(body)
  if (unwelcome !== undefined) return refuse(unwelcome)
  if (request.headers.authorization !== undefined) return refuse(noClient({ kind: 'authorization_header' }))
  if (body.grant_type === CLIENT_CREDENTIALS) return clientEvidenceIn(body)
  if (body.client_assertion !== undefined || body.client_assertion_type !== undefined) return refuse({ error: 'invalid_request', description: 'this grant brings its own evidence: leave out client_assertion' })
  if (body.grant_type === JWT_BEARER) return body.assertion === undefined ? refuse(missing('assertion')) : ok({ token: body.assertion, as: 'federated' })
  if (body.grant_type === TOKEN_EXCHANGE) return subjectIn(body)
  return refuse({ error: 'unsupported_grant_type' })
}

/** What another authorization server would read, and we would have to leave out of account: better no token than another than was meant. */
function unwelcomeIn(body: contract.TokenBody): OauthRefusal | undefined {
  if (body.scope !== undefined) return { error: 'invalid_scope', description: 'what a token may is said in authorization_details (RFC 9396)' }
  if (body.audience !== undefined) return { error: 'invalid_target', description: 'name whom the token is for by its URI, in resource (RFC 8707)' }
  if (body.actor_token !== undefined) return { error: 'invalid_request', description: 'to act for another is a task of its own: delegate one' }
  return undefined
}

function clientEvidenceIn({ client_assertion: token, client_assertion_type: type }: Pick<contract.TokenBody, 'client_assertion' | 'client_assertion_type'>): Outcome<Shown, OauthRefusal> {
  if (token === undefined) return refuse(noClient({ kind: 'no_evidence' }))
  if (type === contract.ASSERTION_TYPES.jwt) return ok({ token, as: 'client_assertion' })
  return type === contract.ASSERTION_TYPES.svid ? ok({ token, as: 'client_svid' }) : refuse(noClient({ kind: 'unknown_assertion_type' }))
}

function subjectIn({ subject_token: token, subject_token_type: type, requested_token_type: wanted }: contract.TokenBody): Outcome<Shown, OauthRefusal> {
  if (token === undefined) return refuse(missing('subject_token'))
  if (type === undefined) return refuse(missing('subject_token_type'))
  if (wanted !== undefined && wanted !== contract.TOKEN_TYPES.accessToken) return refuse({ error: 'invalid_request', description: 'requested_token_type: only access tokens are issued' })
  if (type === contract.TOKEN_TYPES.accessToken) return ok({ token, as: 'access_token', isSubject: true })
  if (type === contract.TOKEN_TYPES.jwt || type === contract.TOKEN_TYPES.idToken) return ok({ token, as: 'federated', isSubject: true })
  return refuse({ error: 'invalid_request', description: 'subject_token_type: is not known' })
}

type Wish = { readonly authority: Authority | null; readonly audience: string }

function wishOf(body: contract.TokenBody, issuer: string): Outcome<Wish, OauthRefusal> {
  const audience = body.resource ?? issuer
  if (body.authorization_details === undefined) return ok({ authority: null, audience })
  const json = parseStrictJson(body.authorization_details)
  const parsed = json.ok ? DETAILS.safeParse(json.value) : undefined
  const authority = parsed?.success ? fromAuthorizationDetails(parsed.data) : undefined
  if (authority?.ok !== true) return refuse({ error: 'invalid_authorization_details', description: 'must be a JSON array of objects with type, locations and actions' })
  return ok({ authority: authority.value, audience })
}

const DETAILS = z.array(authorizationDetail).min(1).max(100)
const detailsOf = (authority: Authority) => toAuthorizationDetails(authority).map(({ type, locations, actions, limits }) =>
  ({ type, locations: [...locations], actions: [...actions], ...(limits === undefined ? {} : { limits: { ...limits } }) }))

type TaskOrder = { readonly caller: Caller; readonly authority: Authority | null; readonly id: () => TaskId }

function taskOf(body: contract.TokenBody, { caller, authority, id }: TaskOrder): Outcome<TokenTask, OauthRefusal> {
  const terms = [body.purpose, body.purpose_id, body.change_reference, body.ttl_seconds, body.budget_calls, body.idle_timeout_seconds, body.heartbeat_seconds]
  const named = body.task ?? caller.task
  if (named !== null) {
    if (terms.some((one) => one !== undefined)) return refuse({ error: 'invalid_request', description: 'an open task has its purpose and its bounds already' })
    const open = parseId('task', named)
    const isElsewhere = caller.task !== null && caller.task !== open
    return open === undefined || isElsewhere ? refuse(NO_TASK) : ok({ kind: 'open', id: open })
  }
  if (authority === null) return refuse({ error: 'invalid_request', description: 'task or authorization_details: one of them is needed' })
  if (body.purpose === undefined) return refuse({ error: 'invalid_request', description: 'purpose: is missing; a task that is opened says what it is for' })
  const length = body.ttl_seconds === undefined ? DEFAULT_TASK_LENGTH : seconds(body.ttl_seconds)
  const orLength = (given: number | undefined) => (given === undefined ? length : seconds(given))
  return ok({
    kind: 'new', id: id(), purpose: body.purpose,
    asked: {
      authority, length, budgetCalls: body.budget_calls ?? DEFAULT_BUDGET_CALLS, onBehalfOf: null,
      purposeId: body.purpose_id ?? null, changeReference: body.change_reference ?? null,
      // A plain OAuth client knows of no heartbeat: its silence is no sign of its end.
      idleTimeout: orLength(body.idle_timeout_seconds), heartbeat: orLength(body.heartbeat_seconds),
    },
  })
}

/** As on `/v1/tasks`. */
const DEFAULT_BUDGET_CALLS = 100

type ClientBody = Pick<contract.TokenBody, 'client_id' | 'client_assertion' | 'client_assertion_type'>

/** Whoever asks about a token: an operator or any identity of ours, in the header or, as OAuth clients do, in the body. */
async function clientOf(needs: OauthNeeds, body: ClientBody, request: FastifyRequest): Promise<Outcome<Caller | OperatorCaller, OauthRefusal>> {
  if (request.headers.authorization !== undefined) {
    const presented = body.client_assertion === undefined ? presentedIn(request) : undefined
    const found = presented && await needs.authentication.atDoor(presented)
    if (found?.ok) return isClient(found.value) ? ok(found.value) : refuse(noClient({ kind: 'no_evidence' }))
    return refuse(found === undefined ? noClient({ kind: 'no_evidence' }) : doorRefusal(found.refusal))
  }
  const shown = clientEvidenceIn(body)
  if (!shown.ok) return shown
  const proved = await needs.authentication.atTokenEndpoint({ ...shown.value, ...aboutOf(request), proof: undefined })
  if (!proved.ok) return refuse(noClient(proved.refusal))
  const { caller, uses } = proved.value
  if (body.client_id !== undefined && body.client_id !== caller.spiffeId) return refuse(noClient({ kind: 'another_client_id' }))
  const used = await needs.store.change(useOnce, { uses })
  return used.ok ? ok(caller) : refuse(noClient(used.refusal))
}

/** A person is none: their sign-in asks about no token. */
const isClient = (caller: Caller | OperatorCaller | PersonCaller): caller is Caller | OperatorCaller => caller.kind !== 'person'

const aboutOf = (request: FastifyRequest) => ({ proof: proofIn(request), from: request.from, method: request.method, path: request.raw.url ?? '' })

function proofIn({ headers: { dpop } }: FastifyRequest): string | undefined {
  return Array.isArray(dpop) ? dpop.join(', ') : dpop
}

/** RFC 6749 §5.2: one answer for every reason. RFC 9110 §15.5.2 wants a challenge with every 401. */
const noClient = (why: unknown): OauthRefusal => ({ error: 'invalid_client', status: 401, headers: { 'www-authenticate': 'Bearer' }, why })
const missing = (name: string): OauthRefusal => ({ error: 'invalid_request', description: `${name}: is missing` })
const NO_TASK: OauthRefusal = { error: 'invalid_grant', description: 'there is no such task, or it is not yours' }

function doorRefusal(refusal: { readonly kind: string } & Partial<{ readonly nonce: string }>): OauthRefusal {
  return refusal.kind === 'use_dpop_nonce' && refusal.nonce !== undefined ? nonceNeeded(refusal.nonce, 401) : noClient(refusal)
}

/** RFC 9449 §8 at the token endpoint; with 401 a challenge too, as at any resource (§9, RFC 9110 §15.5.2). */
const nonceNeeded = (nonce: string, status: 400 | 401): OauthRefusal =>
  ({ error: 'use_dpop_nonce', status, headers: status === 401 ? nonceChallenge(nonce) : { 'dpop-nonce': nonce } })

/** RFC 9449 §5, §8 for a proof; RFC 6749 §5.2, RFC 7523 §3.1 and RFC 8693 §2.2.2 say what each kind of evidence is told. */
function evidenceRefusal(shown: Shown, refusal: AuthenticateRefusal): OauthRefusal {
  if (refusal.kind === 'use_dpop_nonce') return nonceNeeded(refusal.nonce, 400)
  if (refusal.kind === 'bad_proof') return { error: 'invalid_dpop_proof', why: refusal }
  if (refusal.kind === 'proof_needed') return NO_PROOF
  return badEvidence(shown, refusal)
}

const NO_PROOF: OauthRefusal = { error: 'invalid_dpop_proof', description: 'a DPoP proof is needed: the token has to be bound to a key' }

function badEvidence({ as, isSubject }: Shown, why: unknown): OauthRefusal {
  if (as === 'client_assertion' || as === 'client_svid') return noClient(why)
  return isSubject ? { error: 'invalid_request', description: 'subject_token: is not good', why } : { error: 'invalid_grant', why }
}

function issueRefusal(shown: Shown, refusal: TokenIssueRefusal): OauthRefusal {
  const of = (error: contract.OauthErrorCode, description: string): OauthRefusal => ({ error, description, why: refusal })
  switch (refusal.kind) {
    case 'replayed': return refusal.of === 'proof' ? { error: 'invalid_dpop_proof', why: refusal } : badEvidence(shown, refusal)
    case 'proof_needed': return NO_PROOF
    case 'key_reused': return of('invalid_request', 'this Idempotency-Key came before with another request')
    case 'no_such_task': return NO_TASK
    case 'task_not_open': return { ...of('invalid_grant', `the task is over: ${refusal.reason}`), endReason: refusal.reason }
    case 'token_not_live': return of('invalid_grant', 'the token has ended: ask anew, with a new Idempotency-Key')
    case 'no_such_identity':
    case 'identity_not_active': return of('invalid_grant', 'the identity is not active')
    case 'token_not_covered': return of('invalid_authorization_details', 'they go beyond what the task, or the token, may')
    case 'empty_grant': return of('invalid_authorization_details', 'the grant is empty')
    case 'grant_not_covered': return of('invalid_authorization_details', `they go beyond what the ${refusal.by} may`)
    case 'too_long': return of('invalid_request', `ttl_seconds: must be at most ${refusal.most / 1000}`)
    case 'bad_number': return of('invalid_request', `${refusal.field}: must be a whole number above zero`)
    case 'too_short': return of('invalid_grant', 'less than a second is left')
    case 'no_time_left': return of('invalid_grant', `the time of its ${refusal.of} is over`)
    case 'too_many_leases': return of('invalid_request', `one task has ${refusal.most} leases and children at most`)
    case 'too_many_tasks': return { ...of('temporarily_unavailable', `this identity may open ${refusal.most} tasks in an hour`), status: 429, headers: { 'retry-after': '60' } }
    case 'parent_not_open':
    case 'no_such_parent':
    case 'too_deep':
    case 'budget_not_covered':
    case 'other_user':
    case 'other_purpose':
    case 'other_change': return of('invalid_grant', 'the task above does not allow it')
    default: return unreachable(refusal)
  }
}
