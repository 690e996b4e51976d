import { createHash } from 'node:crypto'
import { UNATTENDED, type Endpoint } from '@writ/contract/endpoint'
import { parseExactJson, parseStrictJson } from '@writ/contract/strict-json'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import type { Outcome } from '@writ/domain/outcome'
import { ok, refuse } from '@writ/domain/outcome'
import type { Clock } from '../platform/clock.ts'
import type { Entropy } from '../platform/entropy.ts'
import type { EventMac } from '../keys/mac.ts'
import type { Once } from '../store/store.ts'
import type { Presented, ProvedAtDoor } from '../authenticate/authenticate.ts'
import type { OneTimeUse } from '../authenticate/authenticator.ts'
import type { From } from '../authenticate/refused-often.ts'
import { actorOf, type AnyCaller, type Answer, type Call, type Redirect, type Route } from './call.ts'
import { challenge, nonceChallenge, presentedIn } from './evidence.ts'
import { admitted, crossSite, type MayCallNeeds } from './may-call.ts'
import { problem, toProblem, type ProblemAnswer } from './problem.ts'

/** `uses`: whether what works once is used up at the door, or left to the route. */
export type AboutProof = { readonly traceId: string; readonly uses: 'taken' | 'left' }

export type ServeNeeds = MayCallNeeds & {
  /** Who presents this. There is one kind of no, but for a proof that lacks nothing except the nonce to put into the next one. */
  readonly authenticate: (presented: Presented & From, about: AboutProof) => Promise<Outcome<ProvedAtDoor, { readonly nonce: string | undefined }>>
  /** For a request that comes to nothing before its route could take them. */
  readonly useUp: (uses: readonly OneTimeUse[]) => Promise<void>
  /** RFC 9449 §8.2: the nonce for a client's next proof, where proofs need one. */
  readonly nextNonce: () => string | undefined
  readonly eventMac: EventMac
  readonly clock: Clock
  readonly entropy: Entropy
}

const IDEMPOTENCY_KEY = /^[\x21-\x7e]{8,200}$/

/** Serves a route: parse once, authenticate, answer once. */
export function serve(app: FastifyInstance, needs: ServeNeeds, { endpoint, handle, takesUses }: Route): void {
  app.route({
    method: endpoint.method,
    url: endpoint.path.replaceAll(/\{(\w+)\}/g, ':$1'),
    ...(endpoint.mostBytes === undefined ? {} : { bodyLimit: endpoint.mostBytes }),
    config: { authzen: endpoint.authzen === true },
    handler: async (request, reply) => {
      const nonce = request.headers.dpop === undefined ? undefined : needs.nextNonce()
      if (nonce !== undefined) void reply.header('dpop-nonce', nonce)
      const call = await readCall(needs, { endpoint, uses: takesUses === true ? 'left' : 'taken' }, request)
      const answer = call.ok ? await handle(call.value as never) : call.refusal
      return send(reply, endpoint, answer)
    },
  })
}

type Served = { readonly endpoint: Endpoint; readonly uses: AboutProof['uses'] }

async function readCall(needs: ServeNeeds, served: Served, request: FastifyRequest): Promise<Outcome<Call<Endpoint>, ProblemAnswer>> {
  const { endpoint } = served
  const proved = await readProved(needs, served, request)
  if (!proved.ok) return proved
  const { caller, uses } = proved.value ?? { caller: null, uses: [] }
  const parameters = request.params as Record<string, string>
  const admission = caller === null ? ok(null) : await admitted(caller, { endpoint, parameters }, needs)
  const call = admission.ok ? readFor(needs, endpoint, request, admission.value) : admission
  if (call.ok) return ok({ ...call.value, uses })
  // What works once has been shown, whatever became of the request.
  if (uses.length > 0) await needs.useUp(uses)
  return call
}

function readFor(needs: ServeNeeds, endpoint: Endpoint, request: FastifyRequest, caller: AnyCaller | null): Outcome<Call<Endpoint>, ProblemAnswer> {
  // No text of ours holds U+0000, and a database can not be asked about it.
  const isUnsafe = [request.params, request.query].flatMap((texts) => Object.values(texts as object)).some((text) => String(text).includes('\0'))
  if (isUnsafe) return refuse(problem('malformed-request', { code: 'unsafe_text', detail: 'the address holds U+0000' }))
  const query = endpoint.query === undefined ? ok(undefined) : checked(endpoint.query, request.query, 'query')
  if (!query.ok) return query
  const rawBody = typeof request.body === 'string' ? request.body : ''
  const body = endpoint.body === undefined ? ok(undefined) : readBody(endpoint.body, rawBody, endpoint.authzen === true ? parseExactJson : parseStrictJson)
  if (!body.ok) return body
  const once = readOnce(needs, request, caller, rawBody)
  if (!once.ok) return once
  return ok({
    caller: caller as never, parameters: request.params as Record<string, string>, query: query.value as never, body: body.value as never,
    rawBody, headers: request.headers, from: request.from, traceId: request.id, once: once.value, uses: [],
  })
}

async function readProved(needs: ServeNeeds, { endpoint, uses }: Served, request: FastifyRequest): Promise<Outcome<ProvedAtDoor | null, ProblemAnswer>> {
  if (endpoint.who === 'anyone' || endpoint.who === 'webhook') return ok(null)
  const presented = presentedIn(request)
  const foreign = presented?.scheme === 'Cookie' ? crossSite(request, needs) : undefined
  if (foreign !== undefined) return refuse(foreign)
  const found = presented === undefined ? refuse({ nonce: undefined }) : await needs.authenticate({ ...presented, unattended: isUnattended(endpoint, request) }, { traceId: request.id, uses })
  return found.ok ? found : refuse(unauthenticated(presented?.scheme, found.refusal.nonce))
}

/** A page says so of what it asks while nobody touches it; whoever does not say so is there. */
const isUnattended = (endpoint: Endpoint, request: FastifyRequest): boolean => endpoint.unattended === true || request.headers[UNATTENDED] !== undefined

const EVIDENCE_HINT = 'send a fresh client assertion of a registered key, or an operator key, as `Authorization: Bearer`, sign in, '
  + 'or an access token as `Authorization: DPoP` with a fresh proof'

/** One answer for every reason there is. */
export function unauthenticated(scheme: Presented['scheme'] | undefined, nonce?: string): ProblemAnswer {
  const headers = nonce === undefined ? { 'www-authenticate': challenge(scheme) } : nonceChallenge(nonce)
  return { ...problem('unauthenticated', { hint: EVIDENCE_HINT }), headers }
}

function readBody(schema: z.ZodType, rawBody: string, parse: typeof parseStrictJson): Outcome<unknown, ProblemAnswer> {
  if (rawBody === '') return checked(schema, {}, 'body')
  const parsed = parse(rawBody)
  if (!parsed.ok) return refuse(problem('malformed-request', { code: parsed.refusal.kind, detail: 'the body is not JSON that has one meaning', hint: hintOf(parsed.refusal) }))
  return checked(schema, parsed.value, 'body')
}

const hintOf = (refusal: object): string => Object.entries(refusal).filter(([name]) => name !== 'kind').map(([name, value]) => `${name}: \`${String(value)}\``).join(', ') || 'check its syntax'

/** All faults at once, each by the name of its field. */
export function checked<Schema extends z.ZodType>(schema: Schema, value: unknown, where: string): Outcome<z.output<Schema>, ProblemAnswer> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return ok(parsed.data)
  const errors = parsed.error.issues.flatMap((issue) => {
    const at = issue.path.map(String).join('.')
    if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => ({ field: at === '' ? key : `${at}.${key}`, message: 'is not a known field' }))
    return [{ field: at === '' ? where : at, message: isAbsent(value, issue.path) ? 'is missing' : issue.message }]
  })
  return refuse(problem('invalid-fields', { detail: `${errors.length} ${errors.length === 1 ? 'field is' : 'fields are'} missing or wrong; nothing was written`, errors }))
}

function isAbsent(value: unknown, path: readonly PropertyKey[]): boolean {
  let at = value
  for (const step of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return true
    at = (at as Record<PropertyKey, unknown>)[step]
  }
  return at === undefined
}

/** The request's hash is keyed: a body may hold a secret that somebody could guess. */
function readOnce(needs: ServeNeeds, request: FastifyRequest, caller: AnyCaller | null, rawBody: string): Outcome<Once, ProblemAnswer> {
  const given = request.headers['idempotency-key']
  if (given !== undefined && (typeof given !== 'string' || !IDEMPOTENCY_KEY.test(given))) {
    return refuse(problem('malformed-request', { code: 'bad_idempotency_key', detail: 'the `Idempotency-Key` header must be 8 to 200 visible characters' }))
  }
  const hashOf = (): string => {
    const hash = createHash('sha256').update(JSON.stringify([request.method, request.url, rawBody])).digest()
    return Buffer.from(needs.eventMac.macOf(Buffer.concat([Buffer.from('request\0'), hash]))).toString('base64url')
  }
  return ok({
    caller: callerName(caller),
    key: given ?? null,
    // Without a key no repeat is looked for, and nothing is hashed.
    requestHash: given === undefined ? '' : hashOf(),
    now: needs.clock.now(),
  })
}

function callerName(caller: AnyCaller | null): string {
  if (caller === null) return 'anyone'
  return actorOf(caller).id
}

function send(reply: FastifyReply, endpoint: Endpoint, answer: Answer<Endpoint>): FastifyReply {
  if ('problem' in answer) return sendProblem(reply, answer)
  if ('redirect' in answer) return sendElsewhere(reply, answer)
  void reply.headers({ 'cache-control': 'no-store', ...answer.headers })
  if ('raw' in answer) return reply.type(answer.type).send(isText(answer.raw) ? answer.raw : streamOf(answer.raw))
  return reply.status(endpoint.status ?? 200).type('application/json; charset=utf-8').send(JSON.stringify(answer.reply))
}

/** RFC 9110 §15.4.4. What stood in the address is told to nobody (RFC 9700 §4.2.4). */
function sendElsewhere(reply: FastifyReply, { redirect, cookies = [] }: Redirect): FastifyReply {
  if (cookies.length > 0) void reply.header('set-cookie', [...cookies])
  return reply.headers({ 'cache-control': 'no-store', 'referrer-policy': 'no-referrer', location: redirect }).status(303).send()
}

const isText = (raw: string | Uint8Array | AsyncIterable<string | Uint8Array>): raw is string => typeof raw === 'string'
const streamOf = (raw: Uint8Array | AsyncIterable<string | Uint8Array>): Uint8Array | ReadableStream => (raw instanceof Uint8Array ? Buffer.from(raw) : ReadableStream.from(raw))

export function sendProblem(reply: FastifyReply, answer: ProblemAnswer): FastifyReply {
  const body = toProblem(answer, reply.request.id)
  void reply.header('cache-control', 'no-store')
  if (body.status === 401) void reply.header('www-authenticate', challenge())
  if (body.status === 503 || body.status === 502) void reply.header('retry-after', '1')
  void reply.headers({ ...answer.headers })
  return reply.status(body.status).type('application/problem+json; charset=utf-8').send(JSON.stringify(body))
}
