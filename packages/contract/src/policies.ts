import { MODES, MODE_SUBJECTS } from '@writ/domain/decision'
import { z } from 'zod'
import { endpoint } from './endpoint.ts'
import { freeText, instant, page } from './words.ts'

/** Paths from the directory of policies, `/` between folders. What may stand there is said by `writ policy check`. */
const path = z.string().regex(/^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)*$/, { error: 'must be a path from the directory of policies, such as `payments.cedar` or `tests/payments.json`' }).max(200)

/** The files of a directory of policies: `*.cedar`, `schema.cedarschema`, `entities.json`, `tools.json` and `tests/*.json`. */
export const policyFiles = z.record(path, z.string()).refine((files) => Object.keys(files).length > 0, { error: 'must not be empty' })

/** 2 MB of text, and what JSON adds to it. */
const MOST_POLICY_BYTES = 4_194_304

export const policyVersion = z.object({
  version: z.number(),
  /** SHA-256 over the files in canonical JSON, in hexadecimal digits. */
  digest: z.string(),
  /** Whether decisions are made by it. */
  in_force: z.boolean(),
  /** Of one that brought back an older version's files: that version. */
  rolled_back_to: z.number().nullable(),
  reason: z.string().nullable(),
  /** An operator's id; `writ` of the set that ships. */
  applied_by: z.string(),
  applied_at: z.string(),
})
export type PolicyVersionReply = z.infer<typeof policyVersion>

export const policyVersionWithFiles = policyVersion.extend({ files: z.record(z.string(), z.string()) })
export type PolicyFilesReply = z.infer<typeof policyVersionWithFiles>

/** `changed`: false where the very same files were in force, so that nothing was written. */
export const appliedPolicies = policyVersion.extend({ changed: z.boolean() })
export type AppliedPoliciesReply = z.infer<typeof appliedPolicies>

/** What is wrong with a file, and where: lines and columns count from 1. */
export const policyComplaint = z.object({ file: z.string(), line: z.number(), column: z.number(), message: z.string(), hint: z.string().optional() })
export type PolicyComplaint = z.infer<typeof policyComplaint>

export const listPolicies = endpoint({
  method: 'GET', path: '/v1/policies', who: 'operator', summary: 'The versions of the policies, newest first', query: page,
  reply: z.object({ versions: z.array(policyVersion), next: z.string().nullable() }), problems: ['invalid-fields'],
})
export const showCurrentPolicies = endpoint({
  method: 'GET', path: '/v1/policies/current', who: 'operator', summary: 'The policies in force, file by file', reply: policyVersionWithFiles, problems: [],
})
export const showPolicies = endpoint({
  method: 'GET', path: '/v1/policies/versions/{version}', who: 'operator', summary: 'One version of the policies, file by file', reply: policyVersionWithFiles, problems: ['not-found'],
})

/** Nothing is applied that does not parse, does not fit the schema or fails its own tests: the version in force stays. */
export const applyPolicies = endpoint({
  method: 'POST', path: '/v1/policies', who: 'operator', summary: 'Apply policies on every server, all files at once',
  mostBytes: MOST_POLICY_BYTES,
  body: z.strictObject({
    files: policyFiles,
    reason: freeText(500),
    /** The version in force as the caller has seen it: where another one is by now, nothing is applied. */
    expected_version: z.int().min(1).optional(),
  }),
  reply: appliedPolicies, status: 201, problems: ['invalid-fields', 'policy-refused', 'conflict', 'too-large', 'idempotency-key-reused'],
})
export const rollBackPolicies = endpoint({
  method: 'POST', path: '/v1/policies/rollback', who: 'operator', summary: 'Bring back the files of an older version, as a new version',
  body: z.strictObject({ version: z.int().min(1), reason: freeText(500), expected_version: z.int().min(1).optional() }),
  reply: appliedPolicies, status: 201, problems: ['invalid-fields', 'policy-refused', 'not-found', 'conflict', 'idempotency-key-reused'],
})
export const checkPolicies = endpoint({
  method: 'POST', path: '/v1/policies/check', who: 'operator', summary: 'What is wrong with policies, without applying them',
  mostBytes: MOST_POLICY_BYTES, body: z.strictObject({ files: policyFiles }),
  reply: z.object({ complaints: z.array(policyComplaint) }), problems: ['invalid-fields', 'too-large'],
})

export const mode = z.object({
  subject: z.object({ kind: z.enum(MODE_SUBJECTS), id: z.string() }),
  /** What holds now: one that is observed is enforced again from `until` on. */
  mode: z.enum(MODES),
  reason: z.string(),
  until: z.string().nullable(),
  set_by: z.string(),
  set_at: z.string(),
})
export type ModeReply = z.infer<typeof mode>

/** Those that were ever set; whatever is not here is enforced. */
export const listModes = endpoint({ method: 'GET', path: '/v1/modes', who: 'operator', summary: 'What is observed, and what was', reply: z.object({ modes: z.array(mode) }), problems: [] })

export const setMode = endpoint({
  method: 'PUT', path: '/v1/modes', who: 'operator', summary: 'Observe an identity or a server until a day, or enforce again',
  body: z.strictObject({
    /** An identity by its id or SPIFFE ID, a back end or a server of tools by its name. */
    subject: z.strictObject({ kind: z.enum(MODE_SUBJECTS), id: z.string().min(1).max(2048) }),
    /** `observe`: a denial by policy alone passes, and is recorded as one that would have denied. */
    mode: z.enum(MODES),
    reason: freeText(500),
    /** With `observe`: when it is enforced again. */
    until: instant.optional(),
  }),
  reply: mode, problems: ['invalid-fields', 'not-found', 'idempotency-key-reused'],
})
