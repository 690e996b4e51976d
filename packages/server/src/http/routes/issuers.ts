import * as contract from '@writ/contract/issuers'
import type { IssuerKind } from '@writ/domain/binding'
import { mintId } from '@writ/domain/id'
import { ok, refuse, unreachable, type Outcome } from '@writ/domain/outcome'
import { toIso } from '@writ/domain/time'
import type { z } from 'zod'
import { parseKeySet, type KeySetRefusal } from '../../authenticate/key-set.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Entropy } from '../../platform/entropy.ts'
import type { Outbound } from '../../platform/outbound.ts'
import type { Db, Store } from '../../record/tx.ts'
import { changeIssuer, removeIssuer, trustIssuer, type ChangeIssuerRefusal } from '../../registry/issuers.ts'
import { countBindings } from '../../store/bindings.ts'
import { findIssuer, listIssuers, type InlineKey, type Issuer, type KeySource } from '../../store/issuers.ts'
import { actorOf, route, type Route } from '../call.ts'
import { isCertificates } from '../certificates.ts'
import { badField, problem, urlFaultText, type ProblemAnswer } from '../problem.ts'

export type IssuerRoutesNeeds = { readonly store: Store; readonly clock: Clock; readonly entropy: Entropy; readonly outbound: Pick<Outbound, 'faultOf'>; readonly wake: () => void }

const KEY_REUSED = problem('idempotency-key-reused')

export function issuerRoutes(needs: IssuerRoutesNeeds): readonly Route[] {
  const { store, clock, entropy } = needs
  const show = async (reference: string): Promise<contract.IssuerReply | undefined> => store.read(async (db) => {
    const issuer = await findIssuer(db, reference)
    return issuer && replyOf(db, issuer)
  })
  return [
    route(contract.trustIssuer, async ({ caller, body, once }) => {
      const { url, kind } = body
      const fault = kind === 'oidc' ? needs.outbound.faultOf(url) : undefined
      if (fault !== undefined) return badField('url', urlFaultText(fault))
      const read = readSource(needs, kind, body)
      if (!read.ok) return read.refusal
      const now = clock.now()
      const input = { id: mintId('issuer', now, entropy.bytes(10)), url, kind, ...read.value, by: actorOf(caller), now }
      const trusted = await store.changeOnce(trustIssuer, input, once)
      if (!trusted.ok) return trusted.refusal.kind === 'key_reused' ? KEY_REUSED : issuerProblem(trusted.refusal)
      const { issuer, bindingsRevoked } = trusted.value.value
      return { reply: { ...(await show(issuer))!, bindings_revoked: bindingsRevoked } }
    }),
    route(contract.listIssuers, async () => ({
      reply: await store.read(async (db) => ({ issuers: await Promise.all((await listIssuers(db)).map((one) => replyOf(db, one))) })),
    })),
    route(contract.showIssuer, async ({ parameters }) => {
      const reply = await show(parameters.id!)
      return reply === undefined ? issuerProblem({ kind: 'no_such_thing' }) : { reply }
    }),
    route(contract.changeIssuer, async ({ caller, parameters, body, once }) => {
      const issuer = await store.read((db) => findIssuer(db, parameters.id!))
      if (issuer === undefined) return issuerProblem({ kind: 'no_such_thing' })
      const parsed = contract.trustIssuerBody.safeParse({ ...sourceOf(body), url: issuer.url, kind: issuer.kind })
      if (!parsed.success) return problem('invalid-fields', { errors: parsed.error.issues.map((issue) => ({ field: issue.path.map(String).join('.'), message: issue.message })) })
      const read = readSource(needs, issuer.kind, parsed.data)
      if (!read.ok) return read.refusal
      const done = await store.changeOnce(changeIssuer, { reference: issuer.id, ...read.value, reason: body.reason, by: actorOf(caller), now: clock.now() }, once)
      if (!done.ok) return done.refusal.kind === 'key_reused' ? KEY_REUSED : issuerProblem(done.refusal)
      return { reply: (await show(issuer.id))! }
    }),
    route(contract.removeIssuer, async ({ caller, parameters, body, once }) => {
      const removed = await store.changeOnce(removeIssuer, { reference: parameters.id!, reason: body.reason, by: actorOf(caller), now: clock.now() }, once)
      if (!removed.ok) return removed.refusal.kind === 'key_reused' ? KEY_REUSED : issuerProblem(removed.refusal)
      needs.wake()
      return { reply: (await show(removed.value.value))! }
    }),
  ]
}

async function replyOf(db: Db, issuer: Issuer): Promise<contract.IssuerReply> {
  const { source } = issuer
  return {
    id: issuer.id, url: issuer.url, kind: issuer.kind,
    keys: {
      source: source.kind, url: source.kind === 'url' ? source.url : null,
      inline: source.kind === 'inline' ? source.keys.map(({ kid, alg, thumbprint }) => ({ kid, alg, thumbprint })) : [],
    },
    own_ca: issuer.ca !== null, bindings: await countBindings(db, issuer.id), state: issuer.state, trusted_at: toIso(issuer.trustedAt),
    changed_at: issuer.changedAt === null ? null : toIso(issuer.changedAt),
  }
}

type Body = z.output<typeof contract.trustIssuerBody>
type Source = { readonly source: KeySource; readonly ca: string | null }

const sourceOf = ({ jwks_uri, jwks, bundle, bundle_url, ca }: Pick<Body, 'jwks_uri' | 'jwks' | 'bundle' | 'bundle_url' | 'ca'>) => ({ jwks_uri, jwks, bundle, bundle_url, ca })

/** The contract has seen to it that there is one source, and that it fits the kind. */
function readSource({ outbound }: IssuerRoutesNeeds, kind: IssuerKind, { jwks_uri: jwksUri, jwks, bundle, bundle_url: bundleUrl, ca }: Body): Outcome<Source, ProblemAnswer> {
  if (ca !== undefined && !isCertificates(ca)) return refuse(badField('ca', 'must be X.509 certificates in PEM'))
  const [field, set] = kind === 'spiffe' ? ['bundle', bundle] as const : ['jwks', jwks] as const
  if (set !== undefined) {
    if (ca !== undefined) return refuse(badField('ca', `is of no use with \`${field}\`: nothing is fetched`))
    const keys = readKeys(set, kind)
    return keys.ok ? ok({ source: { kind: 'inline', keys: keys.value }, ca: null }) : refuse(badField(field + keys.refusal.at, keys.refusal.message))
  }
  const url = kind === 'spiffe' ? bundleUrl : jwksUri
  if (url === undefined) return ok({ source: { kind: 'discovery' }, ca: ca ?? null })
  const fault = outbound.faultOf(url)
  return fault === undefined ? ok({ source: { kind: 'url', url }, ca: ca ?? null }) : refuse(badField(kind === 'spiffe' ? 'bundle_url' : 'jwks_uri', urlFaultText(fault)))
}

function readKeys(claimed: unknown, kind: IssuerKind): Outcome<readonly InlineKey[], { readonly at: string; readonly message: string }> {
  const set = parseKeySet(claimed, kind)
  if (!set.ok) return refuse({ at: set.refusal.kind === 'kid_missing' ? `.keys.${set.refusal.at}.kid` : '', message: setText(set.refusal) })
  const { keys, leftOut } = set.value
  // In a set that is fetched such a key is left out; whoever writes one here should learn of it.
  const leaked = leftOut.find(({ because }) => because === 'secret_member')
  if (leaked !== undefined) return refuse({ at: `.keys.${leaked.at}`, message: 'holds what nobody but its owner may know: give the public key alone' })
  if (keys.length === 0) return refuse({ at: '', message: `holds no key that can be used${leftOut[0] === undefined ? '' : `: the first is ${leftOut[0].because}`}` })
  return ok(keys.map(({ kid, alg, thumbprint, jwk }) => ({ kid, alg, thumbprint, jwk })))
}

function setText(refusal: KeySetRefusal): string {
  switch (refusal.kind) {
    case 'not_a_key_set': return 'must be a JWK Set'
    case 'too_many_keys': return `must hold at most ${refusal.most} keys`
    case 'kid_missing': return 'is missing: in a bundle every key for JWT-SVIDs has one'
    default: return unreachable(refusal)
  }
}

function issuerProblem(refusal: ChangeIssuerRefusal): ProblemAnswer {
  const code = refusal.kind
  switch (refusal.kind) {
    case 'no_such_thing': return problem('not-found', { code, detail: 'there is no such issuer', hint: 'writ issuer list' })
    case 'already_exists': return problem('already-exists', { code, detail: 'this issuer is trusted already', hint: 'where its keys come from is said by `writ issuer set-keys`' })
    case 'already_removed': return problem('conflict', { code, detail: 'it is removed already' })
    case 'leases_open':
    case 'changed_meanwhile': return problem('conflict', { code })
    case 'source_of_another_kind': return problem('conflict', { code, detail: `an issuer of kind \`${refusal.of}\` has no discovery` })
    default: return unreachable(refusal)
  }
}
