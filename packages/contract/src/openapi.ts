import { z } from 'zod'
import type { Endpoint, Who } from './endpoint.ts'
import { ENDPOINTS, type NamedEndpoint } from './endpoints.ts'
import { schemaComponents, type Schema } from './openapi-schemas.ts'
import { PROBLEM_BASE, PROBLEMS, type ProblemType } from './problem.ts'

export type Parameter = {
  readonly name: string
  readonly in: 'path' | 'query' | 'header'
  readonly required: boolean
  readonly description?: string
  readonly schema: Schema
}
type Content = Readonly<Record<string, { readonly schema: Schema }>>
export type Response = { readonly description: string; readonly headers?: Readonly<Record<string, object>>; readonly content?: Content }
type Ref = { readonly $ref: string }

export type Operation = {
  readonly operationId: string
  readonly summary: string
  readonly tags: readonly string[]
  readonly security: readonly Readonly<Record<string, readonly string[]>>[]
  readonly parameters?: readonly (Parameter | Ref)[]
  readonly requestBody?: { readonly required: boolean; readonly content: Content }
  readonly responses: Readonly<Record<string, Response | Ref>>
}

export type OpenApiDocument = {
  readonly openapi: '3.1.1'
  readonly info: Readonly<Record<string, unknown>> & { readonly title: string; readonly version: string; readonly description: string }
  readonly servers: readonly { readonly url: string }[]
  readonly tags: readonly { readonly name: string; readonly description: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: {
    readonly schemas: Readonly<Record<string, Schema>>
    readonly parameters: Readonly<Record<string, Parameter>>
    readonly responses: Readonly<Record<string, Response>>
    readonly securitySchemes: Readonly<Record<string, Readonly<Record<string, string>>>>
  }
}

/** What a group of addresses is about, by the first word of the path that means something. */
const TAGS = {
  'Tasks': { of: ['tasks', 'leases'], description: 'One bounded piece of work by one identity; every credential hangs from one, and ends no later.' },
  'Tokens': { of: ['oauth', '.well-known', 'signing-keys'], description: 'Standard access tokens: one is a lease, and ends no later than its task.' },
  'Identities': { of: ['identities', 'manifest', 'triggers'], description: 'Who may act: two owners, a purpose, an end and a trigger each.' },
  'Issuers': { of: ['issuers', 'bindings'], description: 'Whose tokens count as evidence, and for which identity.' },
  'Back ends': { of: ['backends'], description: 'Where leases are made and withdrawn.' },
  'Decisions': { of: ['access', 'decisions', 'policies', 'modes'], description: 'What may be done at this moment, by which policies, and why.' },
  'Watch': { of: ['overview', 'findings', 'incidents'], description: 'What runs, and what is wrong, with its evidence.' },
  'Record': { of: ['events', 'logs'], description: 'What happened, and the two logs that prove it.' },
  'People': { of: ['people', 'role-rules', 'invitations'], description: 'Who signs in, and what they may.' },
  'Signing in': { of: ['bootstrap', 'whoami', 'first', 'sign-in', 'sign-ins', 'sign-out', 'step-up', 'passkeys'], description: 'Who the caller is.' },
  'Server': { of: [], description: 'What the server says of itself.' },
} as const satisfies Readonly<Record<string, { readonly of: readonly string[]; readonly description: string }>>

const SECURITY_SCHEMES = {
  signInCookie: { type: 'apiKey', in: 'cookie', name: '__Host-writ', description: 'What a browser holds after somebody has signed in. Whatever changes something comes with it only from our own pages: `Origin` or `Sec-Fetch-Site` tell, and the body is JSON.' },
  signInSecret: { type: 'http', scheme: 'bearer', bearerFormat: 'writ_si_...', description: 'What the command line holds after somebody has signed in there, which begins with `writ_si_`, as `Authorization: Bearer`.' },
  operatorKey: { type: 'http', scheme: 'bearer', bearerFormat: 'writ_op_...', description: 'An operator\'s key, which begins with `writ_op_`, as `Authorization: Bearer`.' },
  clientAssertion: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'A client assertion signed with the identity\'s registered key (`private_key_jwt`, RFC 7523); each is good for one request.' },
  workloadToken: { type: 'http', scheme: 'DPoP', description: 'A token of a trusted issuer that a binding joins to an identity, with a `DPoP` proof (RFC 9449); as `Bearer` where the identity\'s class needs no proof.' },
  accessToken: { type: 'http', scheme: 'DPoP', description: 'An access token of Writ\'s (RFC 9068) with a `DPoP` proof of the key that it is bound to; it acts in its own task only.' },
  webhookSignature: { type: 'apiKey', in: 'header', name: 'webhook-signature', description: 'Standard Webhooks 1.0: `v1,` and the HMAC-SHA256 of `webhook-id.webhook-timestamp.body`, in base64.' },
} as const

const FORM = 'application/x-www-form-urlencoded'

const OF_PERSON = ['signInCookie', 'signInSecret'] as const
const OF_IDENTITY = ['clientAssertion', 'workloadToken', 'accessToken'] as const
const SECURITY: Readonly<Record<Who, readonly (keyof typeof SECURITY_SCHEMES)[]>> = {
  anyone: [], operator: ['operatorKey', ...OF_PERSON], person: OF_PERSON, identity: OF_IDENTITY, identity_or_operator: ['operatorKey', ...OF_PERSON, ...OF_IDENTITY], token_holder: ['accessToken'], webhook: ['webhookSignature'],
}

const PARAMETERS = {
  'Idempotency-Key': {
    name: 'Idempotency-Key', in: 'header', required: false, schema: { type: 'string', pattern: '^[\\x21-\\x7e]{8,200}$' },
    description: 'Names this request. Its repeat with the same key does nothing and answers what the first one answered; the key with another request is refused.',
  },
  'DPoP': { name: 'DPoP', in: 'header', required: false, schema: { type: 'string' }, description: 'A proof of possession for this method and address (RFC 9449), with the scheme `DPoP`.' },
} as const satisfies Readonly<Record<string, Parameter>>

const PATH_PARAMETERS: Readonly<Record<string, string>> = {
  'id': 'The id; of an identity also its SPIFFE ID.', 'key': 'The id of the credential.', 'name': 'The name or the id of the back end.', 'stream': '`human` or `non-human`.',
  'binding': 'The id of the binding.', 'restore': 'The id of the restore that ended the log.', 'type': 'The last step of the problem\'s `type`.', '*': 'The rest of the path; it holds slashes (C2SP tlog-tiles).',
}

/** Everything that the server serves at this origin, as OpenAPI 3.1. */
export function openApiOf(about: { readonly version: string; readonly origin: string }): OpenApiDocument {
  const schemas = schemaComponents(ENDPOINTS)
  const paths: Record<string, Record<string, Operation>> = {}
  for (const one of ENDPOINTS.toSorted((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1))) {
    const operations = paths[documentedPath(one.endpoint)] ??= {}
    operations[one.endpoint.method.toLowerCase()] = operationOf(one, schemas.refOf)
  }
  const used = new Set(Object.values(paths).flatMap((operations) => Object.values(operations).flatMap((one) => one.tags)))
  return {
    openapi: '3.1.1',
    info: {
      title: 'Writ', version: about.version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      summary: 'Governs non-human identities: credentials that live for one task, and whose end is proved',
      description: 'Bodies are JSON (RFC 8259) that has one meaning: no name twice, no unknown field. Whatever goes wrong is a problem (RFC 9457): `code` is the refusal, `errors` names every field at fault, `hint` the way out, and `trace_id` is how the server\'s log calls the request.',
    },
    servers: [{ url: about.origin }],
    tags: Object.entries(TAGS).filter(([name]) => used.has(name)).map(([name, { description }]) => ({ name, description })),
    paths,
    components: {
      schemas: schemas.components, parameters: PARAMETERS, securitySchemes: SECURITY_SCHEMES,
      responses: responseComponents(),
    },
  }
}

/** `/logs/{stream}/tile/*` -> `/logs/{stream}/tile/{path}`: OpenAPI has no word for the rest of a path. */
export const documentedPath = (endpoint: Pick<Endpoint, 'path'>): string => endpoint.path.replace('*', '{path}')

/** An address comes before what is below it, and reading before writing. */
const orderOf = ({ endpoint }: NamedEndpoint): string => `${endpoint.path} ${endpoint.method}`

type RefOf = (schema: z.ZodType, io: 'input' | 'output') => Schema

function operationOf({ name, endpoint }: NamedEndpoint, refOf: RefOf): Operation {
  const parameters = [...pathParameters(endpoint), ...queryParameters(endpoint), ...headerParameters(endpoint)]
  return {
    operationId: name,
    summary: endpoint.summary,
    tags: [tagOf(endpoint)],
    security: SECURITY[endpoint.who].map((scheme) => ({ [scheme]: [] })),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(endpoint.body === undefined ? {} : { requestBody: { required: true, content: { [endpoint.form === true ? FORM : 'application/json']: { schema: refOf(endpoint.body, 'input') } } } }),
    responses: { [String(endpoint.status ?? 200)]: goodResponse(endpoint, refOf), ...(endpoint.form === true ? OAUTH_RESPONSES : problemResponses(endpoint)) },
  }
}

function tagOf({ path }: Endpoint): string {
  const word = path.split('/').find((one) => one !== '' && one !== 'v1') ?? ''
  return Object.entries(TAGS).find(([, { of }]) => (of as readonly string[]).includes(word))?.[0] ?? 'Server'
}

function pathParameters({ path }: Endpoint): Parameter[] {
  return [...path.matchAll(/\{(\w+)\}|\*/g)].map(([whole, name]) => ({
    name: name ?? 'path', in: 'path', required: true, description: PATH_PARAMETERS[name ?? whole] ?? `The ${name}.`, schema: { type: 'string' },
  }))
}

function queryParameters({ query }: Endpoint): Parameter[] {
  if (query === undefined) return []
  const { properties = {}, required = [] } = z.toJSONSchema(query, { io: 'input', unrepresentable: 'any' })
  return Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', required: required.includes(name), schema: schema as Schema }))
}

function headerParameters({ method, who, form, authzen }: Endpoint): Ref[] {
  const ofIdentity = who === 'identity' || who === 'identity_or_operator' || who === 'token_holder' || form === true
  const names = [...(form === true || (method !== 'GET' && who !== 'webhook' && who !== 'anyone' && who !== 'token_holder' && authzen !== true) ? ['Idempotency-Key'] : []), ...(ofIdentity ? ['DPoP'] : [])]
  return names.map((name) => ({ $ref: `#/components/parameters/${name}` }))
}

function goodResponse({ media, reply, status }: Endpoint, refOf: RefOf): Response {
  if (status === 303) return { description: 'Elsewhere', headers: { Location: { schema: { type: 'string' } } } }
  const schema = media === undefined ? refOf(reply, 'output') : /^text\/|ndjson$/.test(media) ? { type: 'string' } : {}
  return { description: 'Done', content: { [media ?? 'application/json']: { schema } } }
}

/** What the endpoint says itself, and what may happen at every one of its sort. */
function problemsOf({ who, path, body, query, problems, authzen }: Endpoint): readonly ProblemType[] {
  const isRead = body !== undefined || query !== undefined
  const asksStore = who !== 'anyone' || /^\/(?:v1|logs|oauth)\//.test(path)
  return [...new Set<ProblemType>([
    ...problems,
    ...(isRead || /[{*]/.test(path) ? ['malformed-request'] as const : []),
    ...(isRead ? ['invalid-fields'] as const : []),
    ...(body === undefined ? [] : ['too-large'] as const),
    ...(body === undefined || authzen === true ? [] : ['unsupported-media-type'] as const),
    ...(who === 'anyone' ? [] : ['unauthenticated'] as const),
    ...(who === 'operator' || who === 'identity' ? ['not-allowed'] as const : []),
    ...(asksStore ? ['storage-unavailable'] as const : []),
    'stopping',
    'internal',
  ])]
}

function problemResponses(endpoint: Endpoint): Readonly<Record<string, Ref>> {
  return Object.fromEntries(byStatus(endpoint).map(([status, types]) => [status, { $ref: `#/components/responses/${nameOf(types)}` }]))
}

const byStatus = (endpoint: Endpoint): readonly (readonly [status: string, types: readonly ProblemType[]])[] =>
  Object.entries(Object.groupBy(problemsOf(endpoint).toSorted(), (type) => String(PROBLEMS[type].status))).map(([status, types]) => [status, types!])

/** Several problems may have one status: `invalid-fields.malformed-request`. */
const nameOf = (types: readonly ProblemType[]): string => types.join('.')

function responseComponents(): Readonly<Record<string, Response>> {
  const single = Object.keys(PROBLEMS).map((type) => [type as ProblemType])
  const several = ENDPOINTS.flatMap(({ endpoint }) => byStatus(endpoint).map(([, types]) => types)).filter((types) => types.length > 1)
  return Object.fromEntries([...single, ...several].map((types) => [nameOf(types), problemResponse(types)]))
}

const HEADERS: Readonly<Record<number, Readonly<Record<string, object>>>> = {
  401: { 'WWW-Authenticate': { schema: { type: 'string' } } },
  405: { Allow: { schema: { type: 'string' } } },
  502: { 'Retry-After': { schema: { type: 'integer' } } },
  503: { 'Retry-After': { schema: { type: 'integer' } } },
}

/** RFC 6749 §5.2: what goes wrong at an endpoint for standard OAuth clients is said in their words. */
const oauthResponse = (description: string, headers?: Readonly<Record<string, object>>): Response =>
  ({ description, ...(headers === undefined ? {} : { headers }), content: { 'application/json': { schema: { $ref: '#/components/schemas/OauthError' } } } })
const OAUTH_RESPONSES: Readonly<Record<string, Response>> = {
  400: oauthResponse('Refused; `error` says why'), 401: oauthResponse('Who the client is could not be established (`invalid_client`)', HEADERS[401]),
  413: oauthResponse('The form is too large'), 415: oauthResponse('The body is no form'), 500: oauthResponse('Writ failed (`server_error`)'),
  503: oauthResponse('The store can not be written; nothing was done (`temporarily_unavailable`)', HEADERS[503]),
}

function problemResponse(types: readonly ProblemType[]): Response {
  const headers = HEADERS[PROBLEMS[types[0]!].status]
  return {
    description: types.map((type) => `${PROBLEMS[type].title} (\`${type}\`${PROBLEMS[type].retryable ? '; trying again can help' : ''})`).join('; or: '),
    ...(headers === undefined ? {} : { headers }),
    content: {
      'application/problem+json': {
        schema: { allOf: [{ $ref: '#/components/schemas/Problem' }, { properties: { type: { enum: types.map((type) => PROBLEM_BASE + type) } } }] },
      },
    },
  }
}
