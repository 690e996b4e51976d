import * as contract from '@writ/contract/registry'
import type { MatcherFault } from '@writ/domain/binding'
import { unreachable } from '@writ/domain/outcome'
import type { Clock } from '../../platform/clock.ts'
import type { Db, Store } from '../../record/tx.ts'
import { bindIdentity, unbindIdentity, type BadBinding, type BindRefusal } from '../../registry/bindings.ts'
import { findIdentity } from '../../store/identities.ts'
import { actorOf, route, type Answer, type Route } from '../call.ts'
import { problem, type ProblemAnswer } from '../problem.ts'

export type BindingRoutesNeeds = {
  readonly store: Store
  readonly clock: Clock
  /** The identity as the registry shows it. */
  readonly show: (db: Db, reference: string) => Promise<contract.IdentityReply | undefined>
}

const NO_IDENTITY = problem('not-found', { code: 'identity_not_found', detail: 'there is no such identity', hint: 'writ identity list' })
const KEY_REUSED = problem('idempotency-key-reused')

export function bindingRoutes({ store, clock, show }: BindingRoutesNeeds): readonly Route[] {
  return [
    route(contract.bindIdentity, async ({ caller, parameters, body, once }): Promise<Answer<typeof contract.bindIdentity>> => {
      const identity = await store.read((db) => findIdentity(db, parameters.id!))
      if (identity === undefined) return NO_IDENTITY
      const { replace, ...asked } = body
      const done = await store.changeOnce(bindIdentity, { identity: identity.id, asked, replace, by: actorOf(caller), now: clock.now() }, once)
      if (!done.ok) return done.refusal.kind === 'key_reused' ? KEY_REUSED : bindProblem(done.refusal)
      const bound = done.value.value
      if (bound.outcome === 'shared') {
        return problem('conflict', {
          code: 'identity_may_not_be_shared', detail: `an identity of class \`${identity.class}\` has one live key or binding; this is finding ${bound.finding}`,
          hint: 'register an identity for the second workload, or say `replace` to put this binding in the place of what was there',
        })
      }
      return { reply: (await store.read((db) => show(db, identity.id)))! }
    }),
    route(contract.unbindIdentity, async ({ caller, parameters, body, once }) => {
      const identity = await store.read((db) => findIdentity(db, parameters.id!))
      if (identity === undefined) return NO_IDENTITY
      const done = await store.changeOnce(unbindIdentity, { identity: identity.id, binding: parameters.binding!, reason: body.reason, by: actorOf(caller), now: clock.now() }, once)
      if (!done.ok) return done.refusal.kind === 'key_reused' ? KEY_REUSED : problem('not-found', { code: 'binding_not_found', hint: `writ identity show ${identity.spiffeId}` })
      return { reply: (await store.read((db) => show(db, identity.id)))! }
    }),
  ]
}

const FAULT_TEXT: Readonly<Record<MatcherFault, string>> = {
  no_claims: 'must name the subject: an empty binding would let everybody in',
  too_many_claims: 'names too many claims',
  bad_name: 'is no claim\'s name: give it as it stands in the token, or as a JSON Pointer such as `/kubernetes.io/namespace`',
  named_twice: 'is named twice',
  checked_anyway: 'is checked for every token: leave it out',
  empty: 'must not be empty',
  too_long: 'is too long',
  matches_anything: 'would let anybody in whom the issuer knows: name whom you mean',
  star_not_at_the_end: 'may end in one `*` behind `:` or `/`, and holds it nowhere else',
  star_in_a_list: 'may hold no `*` in a list',
  too_many_texts: 'names too many texts',
  subject_not_named: 'must name the subject by `sub`; for GitHub and GitLab a claim that names the owner, such as `repository` or `project_path`, does as well',
  not_of_the_trust_domain: 'must be a SPIFFE ID of this trust domain with a path, or end in `/*` behind one',
}

/** What is wrong with a binding, by the name of its field; `before` is where in the body the binding stands. */
export function bindingProblem(refusal: BadBinding, before = ''): ProblemAnswer {
  const [field, message] = refusal.kind === 'no_such_issuer'
    ? [`${before}issuer`, `\`${refusal.issuer}\` is not trusted: \`writ issuer trust\` comes first`]
    : [`${before}claims${refusal.claim === null ? '' : `.${refusal.claim}`}`, FAULT_TEXT[refusal.fault]]
  return problem('invalid-fields', { code: refusal.kind, detail: '1 field is missing or wrong; nothing was written', errors: [{ field, message }] })
}

function bindProblem(refusal: BindRefusal): ProblemAnswer {
  switch (refusal.kind) {
    case 'no_such_identity': return NO_IDENTITY
    case 'identity_retired': return problem('conflict', { code: refusal.kind, detail: 'the identity is retired, which is for ever', hint: 'register a new identity' })
    case 'no_such_issuer':
    case 'bad_matcher': return bindingProblem(refusal)
    default: return unreachable(refusal)
  }
}
