import { parseGrantText } from '@writ/domain/authority'
import { parseOwner } from '@writ/domain/owner'
import { ENVIRONMENTS, IDENTITY_KINDS } from '@writ/domain/identity'
import { IDENTITY_CLASSES } from '@writ/domain/profile'
import { parseSpiffeId } from '@writ/domain/spiffe-id'
import { z } from 'zod'

/** Words that several endpoints share. All are strict: an unknown member is refused by its name. */
export const instant = z.union([z.iso.datetime({ offset: true }), z.iso.date()], { error: 'must be a date such as `2027-06-30` or an RFC 3339 instant' }).describe('A date such as `2027-06-30`, or an RFC 3339 instant.')

export const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/, { error: 'must be 1 to 63 letters, digits, `.`, `_` or `-`' }).describe('1 to 63 letters, digits, `.`, `_` or `-`.')

/** Of a grant: the name of a template, or of a tool. */
export const action = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_./-]{0,127}$/, { error: 'must be 1 to 128 letters, digits, `.`, `_`, `-` or `/`' }).describe('1 to 128 letters, digits, `.`, `_`, `-` or `/`.')

export const freeText = (most: number) => z.string().trim().min(1, { error: 'must not be empty' }).max(most, { error: `must be at most ${most} characters` })

export const spiffeId = z.string().refine((text) => parseSpiffeId(text).ok, { error: 'must be a SPIFFE ID such as `spiffe://acme.example/deploy-bot`' }).describe('A SPIFFE ID such as `spiffe://acme.example/deploy-bot`.')

export const owner = z.string().refine((text) => parseOwner(text) !== undefined, { error: 'must be `team:NAME` or `person:ADDRESS`' }).describe('`team:NAME` or `person:ADDRESS`.')

export const grantText = z.string().refine((text) => parseGrantText(text).ok, { error: 'must be `TYPE:RESOURCE:ACTION` such as `postgres:shop:ddl`' }).describe('`TYPE:RESOURCE:ACTION` such as `postgres:shop:ddl`.')

export const kind = z.enum(IDENTITY_KINDS)
export const identityClass = z.enum(IDENTITY_CLASSES)
export const environment = z.enum(ENVIRONMENTS)

export const trigger = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('webhook') }),
  z.strictObject({ kind: z.literal('backend_removed'), backend: name }),
  z.strictObject({ kind: z.literal('issuer_removed'), issuer: z.url() }),
  z.strictObject({ kind: z.literal('unused'), days: z.int().min(1).max(365) }),
])

/** RFC 9396 §2 `authorization_details` element; `limits` is ours. */
export const authorizationDetail = z.strictObject({
  type: name,
  locations: z.array(name).min(1).max(100),
  actions: z.array(action).min(1).max(100),
  limits: z.record(name, z.int().min(0)).optional(),
})

export const page = z.strictObject({
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  cursor: z.string().max(200).optional(),
})

export const reason = z.strictObject({ reason: freeText(500) })

export const nothing = z.strictObject({})
