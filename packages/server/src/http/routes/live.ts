import * as contract from '@writ/contract/live'
import { earliest, epochMs, type EpochMs } from '@writ/domain/time'
import { findSignIn } from '../../store/sign-ins.ts'
import { route, seesEvent, type Answer, type HumanCaller, type Route } from '../call.ts'
import { liveStreams, type LiveNeeds } from '../live.ts'
import { problem } from '../problem.ts'

const TOO_MANY = { ...problem('too-many-requests', { code: 'too_many_streams', detail: 'no more streams can be opened on this server right now' }), headers: { 'retry-after': '1' } }

/** A proxy that gathers an answer before it hands it on would keep all of this one (nginx's word). */
const HEADERS = { 'x-accel-buffering': 'no' }

export function liveRoutes(needs: LiveNeeds): readonly Route[] {
  const live = liveStreams(needs)
  return [
    route(contract.liveStream, async ({ caller, query, headers }): Promise<Answer<typeof contract.liveStream>> => {
      const lastId = headers['last-event-id']
      const isAsked = (event: contract.LiveEvent): boolean => (query.stream === undefined || event.stream === query.stream) && (query.task === undefined || event.task === query.task)
      const stream = await live.listen({
        lastId: typeof lastId === 'string' && lastId !== '' ? lastId : undefined,
        sees: (event) => isAsked(event) && seesEvent(caller, event),
        standsUntil: () => standsUntil(needs, caller),
        unsettles: (event) => unsettles(caller, event),
      })
      return stream === undefined ? TOO_MANY : { raw: stream, type: 'text/event-stream; charset=utf-8', headers: HEADERS }
    }),
  ]
}

/** A sign-in ends when it idles, and when its time is over; whoever uses it elsewhere keeps it. */
async function standsUntil({ store }: Pick<LiveNeeds, 'store'>, caller: HumanCaller): Promise<EpochMs | undefined> {
  if (caller.kind === 'operator') return undefined
  const signIn = await store.read((db) => findSignIn(db, caller.signIn))
  return signIn === undefined || signIn.revokedAt !== null ? ENDED : earliest(signIn.idleUntil, signIn.endsAt)
}

const ENDED = epochMs(0)

/** After these, what a person may see can be another thing than when the stream began: it begins anew. */
const OF_THIS_PERSON: ReadonlySet<string> = new Set(['person.changed', 'person.signed_out', 'sign_in.revoked', 'role.given', 'role.taken'])
const OF_ANY_PERSON: ReadonlySet<string> = new Set(['role_rule.set', 'role_rule.removed'])
const OF_AN_OWNER: ReadonlySet<string> = new Set(['identity.registered', 'identity.transferred'])

function unsettles(caller: HumanCaller, { type, actor, facts }: contract.LiveEvent): boolean {
  if (caller.kind === 'operator') return type === 'operator.removed' && facts['operator'] === caller.operator
  if (OF_THIS_PERSON.has(type)) return actor.id === caller.person || facts['person'] === caller.person
  return OF_ANY_PERSON.has(type) || (caller.own !== null && OF_AN_OWNER.has(type))
}
