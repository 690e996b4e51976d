import { setImmediate as breathe } from 'node:timers/promises'
import type { Permit } from '@writ/domain/authority'
import type { EpochMs } from '@writ/domain/time'
import type { Engine } from '@writ/policy/engine'
import type { Entity } from '@writ/policy/question'
import { adviceQuestion } from '../decide/advise.ts'
import { BACKEND, identityEntity, resourceOf } from '../decide/question.ts'
import type { Db, Engines, Store } from '../record/tx.ts'
import { listBackends } from '../store/backends.ts'
import { findIdentity, listActiveOfKind } from '../store/identities.ts'
import { findPolicyFiles, findVersionInForce } from '../store/policies.ts'
import { isNamed, kindOf, readExact, registryIn, supposedIn, typeOf, type Asker, type ExactText, type Said } from './supposed.ts'
import { TOOL } from './use.ts'

export type SearchNeeds = { readonly store: Pick<Store, 'read'>; readonly engines: Engines }

export type Search = {
  readonly sought: 'subject' | 'resource' | 'action'
  /** Of what is sought, the type and what is supposed of all of them; its id is not looked at. */
  readonly subject: Said
  readonly resource: Said
  /** Not looked at where actions are sought. */
  readonly action: { readonly name: string; readonly arguments: ExactText }
  readonly claimed: ExactText
  readonly by: Asker
  readonly now: EpochMs
  readonly page: { readonly limit: number; /** Found before. */ readonly after: string }
}

/** `next`: where to go on; null at the end. */
export type Found = { readonly found: readonly string[]; readonly next: string | null }

/** No request keeps the server busy for longer than these take; the page that ends there may be short. */
const MOST_LOOKED_AT = 1000
/** Others have their turn in between. */
const AT_ONCE = 20

/**
 * Who, to what or what: every one of them that the policies alone would allow, as advice. Nothing is recorded, for nothing happens. In the
 * order of their ids, so that a page begins behind any id, and needs nothing to be kept.
 */
export async function search({ store, engines }: SearchNeeds, asked: Search): Promise<Found> {
  const { engine, subject, resource, candidates } = await store.read(async (db) => {
    const version = await findVersionInForce(db)
    const opened = await engines.engineOf(version, () => findPolicyFiles(db, version))
    const isOpen = await mayAsk(db, opened, asked)
    const registry = registryIn(db)
    return {
      engine: opened, subject: await supposedIn(registry, opened, asked.subject, asked.by), resource: await supposedIn(registry, opened, asked.resource, asked.by),
      candidates: isOpen ? await candidatesIn(db, opened, asked) : [],
    }
  })
  const [claimed, args] = [readExact(asked.claimed), readExact(asked.action.arguments)]
  const isAllowed = ({ id, entity }: Candidate): boolean => engine.decide(adviceQuestion({
    claimed, principal: asked.sought === 'subject' ? supposing(entity!, subject) : subject, resource: asked.sought === 'resource' ? supposing(entity!, resource) : resource,
    ...(asked.sought === 'action' ? { action: id, arguments: {} } : { action: asked.action.name, arguments: args }),
  }, asked.now)).answer === 'allow'

  const found: string[] = []
  for (const [i, candidate] of candidates.slice(0, MOST_LOOKED_AT).entries()) {
    if (i > 0 && i % AT_ONCE === 0) await breathe()
    if (isAllowed(candidate)) found.push(candidate.id)
    if (found.length === asked.page.limit) return { found, next: i + 1 < candidates.length ? candidate.id : null }
  }
  return { found, next: candidates.length > MOST_LOOKED_AT ? candidates[MOST_LOOKED_AT - 1]!.id : null }
}

/** Of the registry's own things those that are there now, of all others those that the policies' files name; to an identity those that its own authority names. `entity`: null of an action. */
type Candidate = { readonly id: string; readonly entity: Entity | null }

/** One of those that are sought, with what is supposed of all of them. */
const supposing = (entity: Entity, { attributes }: Entity): Entity => ({ ...entity, attributes: { ...entity.attributes, ...attributes } })

/** An identity is told nothing of what other identities may. */
async function mayAsk(db: Db, engine: Engine, { sought, subject, by }: Search): Promise<boolean> {
  if (by.kind !== 'identity' || kindOf(typeOf(engine, subject)) === undefined || sought === 'subject') return true
  const identity = await findIdentity(db, by.id)
  return identity !== undefined && isNamed(subject, engine, identity)
}

/** In the order of their ids, beyond those that were found before; one more than are looked at, where there are more. */
async function candidatesIn(db: Db, engine: Engine, asked: Search): Promise<readonly Candidate[]> {
  const { sought, by, page: { after } } = asked
  if (sought === 'action') return inOrder([...new Set(engine.actionsFor(typeOf(engine, asked.subject), typeOf(engine, asked.resource)))].map((id) => ({ id, entity: null })), after)
  const type = typeOf(engine, asked[sought])
  const own = by.kind === 'identity' ? await findIdentity(db, by.id) : undefined
  const kind = kindOf(type)
  if (kind !== undefined) {
    const identities = by.kind !== 'identity' ? await listActiveOfKind(db, kind, { limit: MOST_LOOKED_AT + 1, after }) : own?.kind === kind && own.spiffeId > after ? [own] : []
    return identities.map((one) => ({ id: one.spiffeId, entity: identityEntity(one) }))
  }
  const isOpen = (isGranted: (permit: Permit) => boolean): boolean => by.kind !== 'identity' || own?.authority.some(isGranted) === true
  if (type === BACKEND) {
    const backends = (await listBackends(db)).filter(({ state, kind: of, name }) => state === 'active' && isOpen((permit) => permit.type === of && permit.resource === name))
    return inOrder(backends.map(({ name, kind: of }) => ({ id: name, entity: resourceOf(engine, { type, id: name }, { kind: of }) })), after)
  }
  const named = engine.entitiesOf(type).map((entity) => ({ id: entity.uid.id, entity }))
  return inOrder(type === TOOL ? named.filter(({ id }) => isOpen((permit) => permit.type === 'mcp' && `${permit.resource}/${permit.action}` === id)) : named, after)
}

const inOrder = (all: readonly Candidate[], after: string): readonly Candidate[] =>
  all.filter(({ id }) => id > after).toSorted((a, b) => (a.id < b.id ? -1 : 1)).slice(0, MOST_LOOKED_AT + 1)
