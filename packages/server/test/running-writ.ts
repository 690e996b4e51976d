import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathOf, type Endpoint } from '@writ/contract/endpoint'
import type { Problem } from '@writ/contract/problem'
import * as registry from '@writ/contract/registry'
import type { z } from 'zod'
import { createKeys } from '../src/keys/key-files.ts'
import { hostEntropy } from '../src/platform/entropy.ts'
import { AS_OFTEN_AS_NEEDED, CHILD_ENVIRONMENT } from './child-environment.ts'
import { migratedDatabase, placeMigratedFile } from './migrated.ts'
import { postgres, type TestDatabase } from './postgres.ts'
import { MAIN, orKilled, runOf } from './program.ts'

const START_MS = 30_000

/** What a caller got: the reply of the contract, or the problem. */
export type Got<Reply> = { readonly status: number; readonly headers: Headers; readonly reply: Reply; readonly problem: Problem; readonly text: string }

export type Ask = {
  readonly parameters?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string>>
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** Calls the server as one caller does; says nothing of whether it went well. */
export type Api = <Body extends z.ZodType, Query extends z.ZodType, Reply extends z.ZodType>(of: Endpoint<Body, Query, Reply>, ask?: Ask) => Promise<Got<z.output<Reply>>>

export type TestIdentity = { readonly id: string; readonly spiffeId: string; readonly privateKey: KeyObject; readonly api: Api; assertion(more?: Readonly<Record<string, unknown>>): string }

/** A Writ in a process of its own, on a store of its own. */
export type RunningWrit = {
  readonly url: string
  readonly folder: string
  pid(): number
  /** Of its store, where that is on PostgreSQL; a superuser's. */
  readonly databaseUrl: string | undefined
  /** What its clients call it: the audience of their assertions. */
  readonly issuer: string
  readonly operatorKey: string
  readonly operator: Api
  readonly stranger: Api
  as(bearer: () => string): Api
  /** Everything that it has written to its standard error: the log, as JSON lines. */
  log(): string
  /** Resolves with the exit code, or the signal. */
  readonly ended: () => Promise<number | NodeJS.Signals>
  kill(signal?: NodeJS.Signals): Promise<void>
  /** Stops all of its threads where they are, until they are resumed. */
  pause(): { resume(): void }
  /** Starts again on the same store, keys and port. */
  restart(env?: NodeJS.ProcessEnv): Promise<void>
  register(name: string, more?: Partial<registry.Registration>): Promise<TestIdentity>
  /** Stops and removes everything. */
  stop(): Promise<void>
}

export type WritOrder = {
  readonly store?: 'sqlite' | 'postgres'
  readonly env?: NodeJS.ProcessEnv
  /** A failpoint at which its very first start dies; the second one goes on from there. */
  readonly diesFirstAt?: string
  /** Prepares the store that it starts on, in the environment that it starts in. */
  readonly prepare?: (env: NodeJS.ProcessEnv) => Promise<void>
  /** Of an operator that this store has already. */
  readonly operatorKey?: string
  /** Nobody signs in: the link stays as it was offered. */
  readonly signsIn?: false
  /** The server of another release. */
  readonly program?: string
}

/** The server as an operator starts it, with its first operator signed in. */
export async function startWrit(order: WritOrder = {}): Promise<RunningWrit> {
  const folder = mkdtempSync(join(tmpdir(), 'writ-test-'))
  const database = await placeStore(order, folder)
  const base: NodeJS.ProcessEnv = {
    ...CHILD_ENVIRONMENT, ...(order.program === undefined ? AS_OFTEN_AS_NEEDED : {}), WRIT_DATA: join(folder, 'data'), WRIT_PORT: '0', WRIT_LOG: 'info', WRIT_RETRY_BASE: '100ms',
    ...(database === undefined ? {} : { WRIT_DATABASE_URL: database.url }), ...order.env,
  }
  await order.prepare?.(base)
  if (order.diesFirstAt !== undefined) await assert.rejects(launch({ ...base, WRIT_FAILPOINT: order.diesFirstAt }, order.program), /ended with SIGKILL/)
  let running = await launch(base, order.program)
  let log = running.log
  const url = running.url
  const call = (bearer?: () => string): Api => (of, ask) => request(url, of, ask ?? {}, bearer)
  const issuer = base.WRIT_ISSUER ?? url
  const operatorKey = order.operatorKey ?? (order.signsIn === false ? '' : await signIn(url, join(folder, 'data', 'bootstrap')))
  const operator = call(() => operatorKey)
  return {
    url, folder, databaseUrl: base.WRIT_DATABASE_URL, issuer, operatorKey, operator, stranger: call(), as: call,
    log: () => log(),
    pid: () => running.child.pid!,
    ended: async () => (await running.ended),
    async kill(signal = 'SIGKILL') {
      running.child.kill(signal)
      await running.ended
    },
    pause() {
      running.child.kill('SIGSTOP')
      return { resume: () => { running.child.kill('SIGCONT') } }
    },
    async restart(env = {}) {
      const before = log
      running = await launch({ ...base, WRIT_PORT: new URL(url).port, ...env }, order.program)
      const now = running.log
      log = () => before() + now()
    },
    register: (name, more) => register({ issuer, operator, call }, name, more),
    async stop() {
      if (running.child.exitCode === null && running.child.signalCode === null) running.child.kill('SIGTERM')
      // What a test that failed has left standing still hears nothing before it goes on.
      running.child.kill('SIGCONT')
      await running.ended
      rmSync(folder, { recursive: true, force: true })
      await database?.drop()
    },
  }
}

/**
 * Where a first start is what the test is about, or another release's, there is nothing; else what takes the time of a first start is there:
 * the tables, and the keys that a server expects beside them.
 */
async function placeStore({ store, program, diesFirstAt, prepare, env }: WritOrder, folder: string): Promise<TestDatabase | undefined> {
  const isNew = program !== undefined || diesFirstAt !== undefined || prepare !== undefined
  if (!isNew) {
    const made = createKeys(env?.WRIT_KEYS ?? join(folder, 'data-keys'), hostEntropy)
    if (!made.ok && made.refusal.kind !== 'already_exists') throw new Error('no keys')
  }
  if (store === 'postgres') return isNew ? (await postgres(18)).createDatabase() : migratedDatabase()
  if (!isNew && env?.WRIT_DATABASE_URL === undefined && env?.WRIT_DATA === undefined) placeMigratedFile(join(folder, 'data'))
  return undefined
}

type Launched = { readonly child: ChildProcess; readonly url: string; readonly ended: Promise<number | NodeJS.Signals>; readonly log: () => string }

async function launch(env: NodeJS.ProcessEnv, program = MAIN): Promise<Launched> {
  const child = spawn(process.execPath, runOf(program), { env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
  let err = ''
  child.stderr!.on('data', (chunk: Buffer) => { err += chunk.toString() })
  child.stdout!.resume()
  const ended = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals)
  const told = once(child, 'message', { signal: AbortSignal.timeout(START_MS) }).then(([message]) => (message as { url: string }).url)
  const url = await orKilled(child, Promise.race([told, ended.then((code) => { throw new Error(`the server ended with ${code}: ${err}`) })]))
  return { child, url, ended, log: () => err }
}

async function signIn(url: string, file: string): Promise<string> {
  const code = readFileSync(file, 'utf8').trim().split('#')[1]!
  return (await request(url, registry.redeemBootstrap, { body: { code, operator: 'a test' } })).reply.key
}

async function request<Reply extends z.ZodType>(
  url: string, of: Endpoint<z.ZodType, z.ZodType, Reply>, ask: Ask, bearer?: () => string,
): Promise<Got<z.output<Reply>>> {
  const query = ask.query === undefined ? '' : `?${new URLSearchParams(ask.query).toString()}`
  const answer = await fetch(`${url}${pathOf(of, ask.parameters)}${query}`, {
    method: of.method,
    headers: {
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer()}` }), ...(of.body === undefined ? {} : { 'content-type': 'application/json' }), ...ask.headers,
    },
    ...(of.body === undefined ? {} : { body: typeof ask.body === 'string' ? ask.body : JSON.stringify(ask.body ?? {}) }),
  })
  const text = await answer.text()
  const value: unknown = /^application\/(problem\+)?json\b/.test(answer.headers.get('content-type') ?? '') && text !== '' ? JSON.parse(text) : text
  return { status: answer.status, headers: answer.headers, reply: value as z.output<Reply>, problem: value as Problem, text }
}

/** A registration that lacks nothing. */
export const REGISTRATION = {
  admission: { answer: 'identity', reason: 'it runs alone at night' },
  kind: 'agent',
  class: 'autonomous',
  purpose: 'keeps the shop tidy',
  owners: { technical: 'team:platform', business: 'person:maya@acme.example' },
  system_scope: ['shop'],
  environment: 'test',
  authority: ['postgres:shop:ddl', 'postgres:shop:read'],
  tasks_per_hour: 1_000_000,
  ends_at: '2099-12-31',
  trigger: { kind: 'unused', days: 30 },
} as const satisfies Omit<registry.Registration, 'spiffe_id'>

async function register(
  at: { readonly issuer: string; readonly operator: Api; readonly call: (bearer: () => string) => Api }, name: string, more: Partial<registry.Registration> = {},
): Promise<TestIdentity> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const spiffeId = `spiffe://acme.example/${name}`
  const got = await at.operator(registry.registerIdentity, { body: { ...REGISTRATION, spiffe_id: spiffeId, key: publicKey.export({ format: 'jwk' }), ...more } })
  if (got.status !== 201) throw new Error(`\`${name}\` was not registered: ${got.text}`)
  const assertion: TestIdentity['assertion'] = (claims) => signAssertion(privateKey, { iss: spiffeId, sub: spiffeId, aud: at.issuer, ...claims })
  return { id: got.reply.identity!.id, spiffeId, privateKey, assertion, api: at.call(() => assertion()) }
}

/** RFC 7523 §3 client assertion, good for one request. */
function signAssertion(privateKey: KeyObject, claims: Readonly<Record<string, unknown>>): string {
  const now = Math.floor(Date.now() / 1000)
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${part({ alg: 'ES256', typ: 'client-authentication+jwt' })}.${part({ iat: now, exp: now + 60, jti: randomBytes(16).toString('hex'), ...claims })}`
  return `${input}.${sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}
