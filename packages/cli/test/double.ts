import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { printVerifierKey } from '@writ/ledger/note'
import { printCertificate } from '@writ/ledger/certificate'
import { calculateJwkThumbprint, importJWK, jwtVerify, type JWK } from 'jose'
import { makeKey, makeLog, leafText, receiptsOf, sha256 } from '../../ledger/test/made-log.ts'
import { story, surrounded } from '../../ledger/test/story.ts'

/** The task of the ledger's story, whose certificate the double hands out. */
export const TASK = 'tsk_1'
export const SECRET = 'writ_pg_a-secret-that-only-the-command-gets'
export const OPERATOR_KEY = 'writ_op_the-operator-key-of-the-double'
const BACKEND = { id: 'bck_1', name: 'shop', kind: 'postgres', version: '18.4', state: 'active', added_at: '2026-09-21T00:00:00.000Z', secret_rotated_at: null,
  settings: { host: 'db.test', port: 5432, database: 'postgres', user: 'writ', tls: 'require' }, templates: { ddl: { database: 'shop', owner: 'shop_owner', member_of: [], grants: [], connection_limit: 5 } } }

export type Asked = { readonly method: string; readonly path: string; readonly headers: IncomingMessage['headers']; readonly body: Record<string, unknown> }

type Reply = { readonly status: number; readonly value: unknown; readonly headers?: Record<string, string> }

/** Answers the endpoints of the contract that the command line's own tests need, over a real socket, and checks what it is sent. */
export class Double {
  readonly asked: Asked[] = []
  readonly #server: Server
  readonly #publicKey: JWK
  readonly #seen = new Set<string>()
  readonly #log = makeLog(logKey, surrounded(story).map(leafText))
  /** What the next answers on a path are, before the usual one. */
  readonly instead = new Map<string, Reply[]>()
  heartbeatSeconds = 60
  ttlSeconds = 300
  state: 'open' | 'ending' | 'closed' = 'open'
  endReason: string | null = null
  certificateText: string

  constructor(publicKey: JWK) {
    this.#publicKey = publicKey
    const printed = printCertificate(sha256, this.#log.note, receiptsOf(this.#log, story))
    if (!printed.ok) throw new Error(printed.refusal.detail)
    this.certificateText = printed.value
    this.#server = createServer((request, response) => void this.#answer(request, response))
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return this.url
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  paths(): readonly string[] {
    return this.asked.map(({ method, path }) => `${method} ${path}`)
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString('utf8')
    const path = new URL(request.url!, this.url).pathname
    const asked: Asked = { method: request.method!, path, headers: request.headers, body: text === '' ? {} : JSON.parse(text) as Record<string, unknown> }
    this.asked.push(asked)
    const special = this.instead.get(path)?.shift()
    const reply = special ?? await this.#replyTo(asked)
    const isProblem = reply.status >= 400
    response.writeHead(reply.status, { 'content-type': isProblem ? 'application/problem+json' : 'application/json', ...reply.headers })
    response.end(typeof reply.value === 'string' ? reply.value : JSON.stringify(reply.value))
  }

  async #replyTo(asked: Asked): Promise<Reply> {
    const { method, path } = asked
    if (path === '/v1/logs') return { status: 200, value: { logs: [{ stream: 'non-human', origin: logKey.key.name, vkey: printVerifierKey(logKey.key), size: this.#log.leaves.length, checkpoint: this.#log.note, checkpoint_at: new Date().toISOString(), unsealed: 0 }] } }
    if (path === '/readyz') return { status: 200, value: { ready: true, now: new Date().toISOString() } }
    if (path === '/v1/bootstrap') return asked.body.code === 'writ_first_good-code' ? { status: 201, value: { operator: 'opr_1', key: OPERATOR_KEY } } : problem(401, 'unauthenticated')
    const operator = asked.headers.authorization === `Bearer ${OPERATOR_KEY}`
    if (path === '/v1/whoami' && operator) return { status: 200, value: { kind: 'operator', id: 'opr_1', name: 'maya@host' } }
    if (path === '/v1/backends' && operator && method === 'GET') return { status: 200, value: { backends: [BACKEND] } }
    if (path === '/v1/backends' && operator) return { status: 201, value: { ...BACKEND, name: asked.body.name } }
    if (!(await this.#isIdentity(asked))) return problem(401, 'unauthenticated')
    if (method === 'POST' && asked.headers['idempotency-key'] === undefined) return problem(400, 'malformed-request')
    if (path === '/v1/tasks' && method === 'POST') return { status: 201, value: this.task() }
    if (path === `/v1/tasks/${TASK}/heartbeat`) return { status: 200, value: this.task() }
    if (path === `/v1/tasks/${TASK}/leases`) return { status: 201, value: { ...LEASE, id: `lse_${this.asked.length}`, template: asked.body.action, backend: asked.body.resource } }
    if (path === `/v1/tasks/${TASK}/certificate`) return { status: 200, value: this.certificateText }
    if (path !== `/v1/tasks/${TASK}/complete`) return problem(404, 'not-found')
    this.state = 'closed'
    this.endReason ??= 'completed'
    return { status: 200, value: this.task() }
  }

  task() {
    const opened = Date.now()
    return {
      id: TASK, identity: 'nhi_1', spiffe_id: SPIFFE_ID, parent: null, purpose: 'migrate', purpose_id: null, change_reference: null, authorization_details: [{ type: 'postgres', locations: ['shop'], actions: ['ddl'] }],
      widenings: 0, state: this.state, opened_at: new Date(opened).toISOString(), deadline: new Date(opened + this.ttlSeconds * 1000).toISOString(), budget: { calls: 100, used: 1 },
      idle_timeout_seconds: 300, heartbeat_seconds: this.heartbeatSeconds, end_reason: this.endReason, ended_at: null, closed_at: null, leases: [],
    }
  }

  /** RFC 7523 §3, as the server has to check it, replay included. */
  async #isIdentity(asked: Asked): Promise<boolean> {
    const assertion = /^Bearer (.+)$/.exec(asked.headers.authorization ?? '')?.[1]
    if (assertion === undefined) return false
    try {
      const { payload, protectedHeader } = await jwtVerify(assertion, await importJWK(this.#publicKey, 'ES256'), { audience: this.url, issuer: SPIFFE_ID, subject: SPIFFE_ID, typ: 'client-authentication+jwt', algorithms: ['ES256'], requiredClaims: ['exp', 'iat', 'jti'] })
      const isFresh = !this.#seen.has(payload.jti!)
      this.#seen.add(payload.jti!)
      return isFresh && protectedHeader.kid === await calculateJwkThumbprint(this.#publicKey)
    } catch {
      return false
    }
  }
}

export const SPIFFE_ID = 'spiffe://acme.example/agents/migrator'

export const logKey = makeKey()

const LEASE = { kind: 'login', audience: null, task: TASK, user: 'writ_lse_1', state: 'live', outcome: null, expires_at: '2026-12-01T00:00:00.000Z', incident: null, type: 'postgres', host: 'db.test', port: 5433, database: 'shop', tls: false, secret: SECRET }

export const problem = (status: number, type: string, more: object = {}): Reply => ({
  status, value: { type: `/problems/${type}`, title: `the title of ${type}`, status, code: type, retryable: false, trace_id: '0af7651916cd43dd8448eb211c80319c', ...more },
})
