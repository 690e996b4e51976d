import type { TaskReply } from '@writ/contract/tasks'
import { Misconfigured } from './errors.ts'

/** RFC 9396 §2, as the server takes it. */
export type AuthorizationDetail = TaskReply['authorization_details'][number]

/** `postgres:shop:read`, `tickets:queue:reply?amount=5000`, or the same as an object. */
export type Grant = string | AuthorizationDetail

/** Reads the text form. What the words mean is the server's to judge; a text that has no form is said here, by name. */
export function toAuthorizationDetail(grant: Grant): AuthorizationDetail {
  if (typeof grant !== 'string') return grant
  const [words = '', query, ...more] = grant.split('?')
  const [type, resource, action, ...rest] = words.split(':')
  const limits = query === undefined ? {} : limitsOf(query)
  if (!type || !resource || !action || rest.length > 0 || more.length > 0 || limits === undefined) {
    throw new Misconfigured(`\`${grant}\` is no grant`, { code: 'malformed_grant', hint: 'write `TYPE:RESOURCE:ACTION`, such as `postgres:shop:read`, with limits as in `?amount=5000`' })
  }
  return { type, locations: [resource], actions: [action], ...(query === undefined ? {} : { limits }) }
}

function limitsOf(query: string): Record<string, number> | undefined {
  const pairs = query.split('&').map((pair) => /^([\w.-]+)=(\d{1,15})$/.exec(pair))
  const names = new Set(pairs.map((pair) => pair?.[1]))
  // Said twice, it would be the reader's choice which of the two bounds.
  if (pairs.includes(null) || names.size !== pairs.length) return undefined
  return Object.fromEntries(pairs.map((pair) => [pair![1]!, Number(pair![2])]))
}
