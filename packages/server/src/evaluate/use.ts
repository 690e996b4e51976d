import type { Authority, Permit } from '@writ/domain/authority'
import type { ExactRecord } from '@writ/domain/exact'
import type { EntityRef, Question } from '@writ/policy/question'
import { BACKEND } from '../decide/question.ts'

export type AskedResource = {
  /** As the policies name it. */
  readonly uid: EntityRef
  /** Its type as the caller named it. */
  readonly type: string
  /** Of a back end: its kind. */
  readonly kind: string
}

/** A use in the words of a grant, and in those of the policies. */
export type Use = {
  readonly permit: Permit
  /** Whose mode counts. */
  readonly server: string
  readonly arguments: ExactRecord
  readonly also: Question['known']
}

export const TOOL = 'Writ::Tool'
/** A server of tools. */
export const SERVER = 'Writ::Server'

/** Which part of a grant a use is. What no grant can say, such as a tool without its server, no grant covers. */
export function useOf(resource: AskedResource, action: string, args: ExactRecord): Use {
  const { uid } = resource
  const said = saidIn(uid, action, args)
  if (uid.type === TOOL) {
    const at = uid.id.indexOf('/')
    const [server, tool] = at < 0 ? [uid.id, ''] : [uid.id.slice(0, at), uid.id.slice(at + 1)]
    return { ...said, permit: { type: 'mcp', resource: server, action: tool, limits: limitsIn(args) }, server }
  }
  if (uid.type === SERVER) return { ...said, permit: { type: 'mcp', resource: uid.id, action, limits: {} }, server: uid.id }
  if (uid.type === BACKEND) {
    const { template = action } = said.also
    return { ...said, permit: { type: resource.kind, resource: uid.id, action: template, limits: limitsIn(said.arguments) }, server: uid.id }
  }
  return { ...said, permit: { type: resource.type, resource: uid.id, action, limits: limitsIn(args) }, server: resource.type }
}

/** To see what a server has for it, a task needs no more than to be granted anything of it. */
export const isLook = ({ type, id }: EntityRef, action: string, authority: Authority): boolean =>
  type === SERVER && action === 'list' && authority.some((permit) => permit.type === 'mcp' && permit.resource === id)

/** Whose mode may count, by the words of the caller alone: of what `useOf` takes for the server, every one. */
export function serversOf({ type, id }: { readonly type: string; readonly id: string }): readonly [string, string, string] {
  const at = id.indexOf('/')
  return [id, at < 0 ? id : id.slice(0, at), type]
}

/** The template of a login is no argument to the policies, but what is known of it. */
export function saidIn(uid: EntityRef, action: string, args: ExactRecord): { readonly arguments: ExactRecord; readonly also: { readonly template?: string } } {
  const { template, ...rest } = args
  return uid.type === BACKEND && action === 'connect' && typeof template === 'string' ? { arguments: rest, also: { template } } : { arguments: args, also: {} }
}

const MOST = BigInt(Number.MAX_SAFE_INTEGER)

/** A grant bounds whole numbers from zero on; by any other value it is not covered, as if it were not there. */
export function limitsIn(args: ExactRecord): Permit['limits'] {
  return Object.fromEntries(Object.entries(args).flatMap(([name, value]) => (typeof value === 'bigint' && value >= 0n && value <= MOST ? [[name, Number(value)]] : [])))
}
