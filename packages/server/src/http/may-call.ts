import type { Endpoint } from '@writ/contract/endpoint'
import { ENDPOINTS } from '@writ/contract/endpoints'
import { MAY, reachOf } from '@writ/contract/roles'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { PersonCaller } from '@writ/domain/person'
import type { FastifyRequest } from 'fastify'
import type { Caller as IdentityCaller } from '../authenticate/authenticator.ts'
import type { OperatorCaller } from '../authenticate/operator-key.ts'
import { outsideTask, type AnyCaller, type PersonAtDoor } from './call.ts'
import { problem, type ProblemAnswer } from './problem.ts'
import { isFromOwnPage, isJson } from './sign-in-cookie.ts'

export type MayCallNeeds = {
  /** Where our own pages are. */
  readonly consoleOrigin: () => string
  /** The identities of which one of these is an owner, by id and by SPIFFE ID. */
  readonly ownedBy: (owners: readonly string[]) => Promise<ReadonlySet<string>>
}

const NAMES: ReadonlyMap<string, string> = new Map(ENDPOINTS.map(({ name, endpoint }) => [`${endpoint.method} ${endpoint.path}`, name]))

/** By which name the table of roles knows it. */
const nameOf = ({ method, path }: Endpoint): string => NAMES.get(`${method} ${path}`) ?? ''

/** A request that a browser was made to send by somebody else's page: undefined where it is not. */
export function crossSite(request: FastifyRequest, { consoleOrigin }: MayCallNeeds): ProblemAnswer | undefined {
  if (['GET', 'HEAD'].includes(request.method)) return undefined
  if (!isFromOwnPage(request.headers, consoleOrigin())) return problem('not-allowed', { code: 'cross_site', detail: 'what changes something comes with the cookie from our own pages alone', hint: `open ${consoleOrigin()}` })
  return isJson(request.headers) ? undefined : problem('not-allowed', { code: 'cross_site', detail: 'what comes with the cookie is JSON', hint: 'send `content-type: application/json`' })
}

type Asking = { readonly endpoint: Endpoint; readonly parameters: Readonly<Record<string, string>> }

/** The caller as the endpoint takes it; or why it may not come in here, well known as it is. */
export async function admitted(caller: IdentityCaller | OperatorCaller | PersonCaller, { endpoint, parameters }: Asking, needs: MayCallNeeds): Promise<Outcome<AnyCaller, ProblemAnswer>> {
  switch (caller.kind) {
    case 'identity': {
      if (endpoint.who !== 'identity' && endpoint.who !== 'identity_or_operator') return refuse(endpoint.who === 'person' ? FOR_PEOPLE : FOR_OPERATORS)
      const outside = outsideTask(caller, endpoint, parameters)
      return outside === undefined ? ok(caller) : refuse(outside)
    }
    case 'operator':
      if (endpoint.who === 'person') return refuse(FOR_PEOPLE)
      return endpoint.who === 'identity' ? refuse(FOR_IDENTITIES) : ok(caller)
    case 'person':
      return endpoint.who === 'identity' ? refuse(FOR_IDENTITIES) : inRole(caller, { endpoint, parameters }, needs)
  }
}

const FOR_OPERATORS = problem('not-allowed', { detail: 'this is for operators' })
const FOR_PEOPLE = problem('not-allowed', { code: 'people_only', detail: 'this is for people who have signed in: no key and no token stands for one', hint: 'writ login, or sign in with a browser' })
const FOR_IDENTITIES = problem('not-allowed', { detail: 'this is for identities: only the holder of a task acts in it' })
const NOT_YOURS = problem('not-found', { code: 'identity_not_found', detail: 'there is no such identity, or it is not yours' })

async function inRole(caller: PersonCaller, { endpoint, parameters }: Asking, { ownedBy }: MayCallNeeds): Promise<Outcome<PersonAtDoor, ProblemAnswer>> {
  const name = nameOf(endpoint)
  const reach = reachOf(name, caller.roles)
  if (reach === 'none') return refuse(roleNeeded(name))
  if (reach === 'all') return ok({ ...caller, own: null })
  const owners = [...caller.email === null ? [] : [`person:${caller.email}`], ...caller.groups.map((group) => `team:${group}`)]
  const identities = await ownedBy(owners)
  if (endpoint.path.startsWith('/v1/identities/{id}') && !identities.has(parameters.id!)) return refuse(NOT_YOURS)
  return ok({ ...caller, own: { owners, identities } })
}

function roleNeeded(name: string): ProblemAnswer {
  const may = Object.hasOwn(MAY, name) ? MAY[name]! : []
  const roles = may === 'everybody' ? [] : may.map((role) => `\`${role}\``)
  return problem('not-allowed', { code: 'role_needed', detail: `this takes the role ${roles.join(' or ')}`, hint: 'an administrator gives roles: writ people give' })
}
