/** A person as their provider says them. */
export type VouchedPerson = {
  readonly issuer: string
  readonly subject: string
  readonly name: string
  /** Only where the provider says that it has verified it. */
  readonly email: string | null
  readonly groups: readonly string[]
}

/** Claims of an ID token that has been verified, or of its person from the UserInfo endpoint. */
export type Claims = Readonly<Record<string, unknown>>

/** What the ID token leaves out that the provider may say elsewhere. */
export const isIncomplete = (claims: Claims, groupsClaim: string): boolean => claims[groupsClaim] === undefined || claims['email'] === undefined || claims['name'] === undefined

const LONGEST_GROUP = 200
const LONGEST_NAME = 200
const LONGEST_EMAIL = 254
/** OpenID Connect Core 1.0 §2. */
const LONGEST_SUBJECT = 255
const MOST_GROUPS = 1000

/** `leftOut`: how many groups no rule here could name. Undefined without a subject that can be told from others. */
export function vouchedPerson(issuer: string, claims: Claims, groupsClaim: string): { readonly person: VouchedPerson; readonly leftOut: number } | undefined {
  const subject = claims['sub']
  if (typeof subject !== 'string' || subject === '' || subject.length > LONGEST_SUBJECT || /\p{Cc}/u.test(subject)) return undefined
  const email = emailIn(claims)
  const name = [claims['name'], claims['preferred_username'], email, subject].map(lineOf).find((one) => one !== '')!
  const { groups, leftOut } = groupsIn(claims[groupsClaim])
  return { person: { issuer, subject, name, email, groups }, leftOut }
}

/** OpenID Connect Core 1.0 §5.1: `email_verified` true, and nothing that looks like it. */
function emailIn(claims: Claims): string | null {
  const { email, email_verified: isVerified } = claims
  return isVerified === true && typeof email === 'string' && email.length <= LONGEST_EMAIL && /^[^\s@\p{Cc}]+@[^\s@\p{Cc}]+$/u.test(email) ? email.toLowerCase() : null
}

/** Control and format characters are no part of a name: they could turn what stands beside it. */
const lineOf = (text: unknown): string => (typeof text === 'string' ? text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim().slice(0, LONGEST_NAME) : '')

/** A provider may say a list, or one group as a text. In one order, so that a sign-in that changes nothing writes nothing. */
function groupsIn(claim: unknown): { readonly groups: readonly string[]; readonly leftOut: number } {
  const said: readonly unknown[] = Array.isArray(claim) ? claim : claim === undefined || claim === null ? [] : [claim]
  const fitting = new Set(said.filter((one): one is string => typeof one === 'string' && one.trim() === one && one !== '' && one.length <= LONGEST_GROUP && !/\p{Cc}/u.test(one)))
  const groups = [...fitting].toSorted().slice(0, MOST_GROUPS)
  return { groups, leftOut: said.length - groups.length }
}
