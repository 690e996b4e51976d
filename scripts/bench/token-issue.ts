import { fork } from 'node:child_process'
import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { fileURLToPath } from 'node:url'
import { startSeveral } from '../../packages/server/test/several-writs.ts'
import { startWrit, type RunningWrit } from '../../packages/server/test/running-writ.ts'
import type { Cluster } from '../postgres-cluster.ts'
import { figure, load, type Figure, type Measure, type Timed } from './figure.ts'
import { cpuOf, cpuOfPostgres, perOp } from './machine.ts'

const CONCURRENCY = 32
const CLIENTS = 64
const WARM_UP = 1000
const BAR = { perSecond: 1500, p99: 50 }
const PEER = fileURLToPath(new URL('oidc-provider-peer.mjs', import.meta.url))
const GRANT = JSON.stringify([{ type: 'tickets', locations: ['queue'], actions: ['read'] }])

/** A client of a token endpoint: the key that it authenticates with, and the key that its tokens are bound to. */
type TokenClient = { readonly id: string; readonly key: KeyObject; readonly proofKey: KeyObject; readonly proofJwk: object }

/** Where tokens are asked from; `origins` take turns. */
type Desk = {
  readonly origins: readonly string[]
  readonly path: string
  readonly audience: string
  /** `htu` of a request to this origin. */
  readonly htu: (origin: string) => string
  readonly more: Readonly<Record<string, string>>
  readonly clients: readonly TokenClient[]
  readonly pids: readonly number[]
}

/**
 * A task and an access token that is bound by DPoP, in one request that is answered after the commit; each with an assertion and a proof that
 * were signed beforehand. The peer gives a token of the same kind, without a task, a record or a disk.
 */
export function tokenIssue(cluster: Cluster): Measure {
  return async ({ isQuick, tell }) => {
    const ops = isQuick ? 1000 : 8000
    tell('tokens of oidc-provider in memory')
    const peer = await measurePeer(ops)
    const figures: Figure[] = [figure('token (oidc-provider, in memory)', ops, { ...peer.timed, cpuPerOp: peer.cpuPerOp })]
    const add = async (name: string, desk: Desk, isOnPostgres: boolean): Promise<void> => {
      const before = cpuOfPostgres(cluster)
      const { timed, cpuPerOp } = await measure(desk, ops)
      const cpuRatio = cpuPerOp === null || peer.cpuPerOp === null ? null : cpuPerOp / peer.cpuPerOp
      figures.push(figure(name, ops, {
        ...timed, cpuPerOp, databaseCpuPerOp: isOnPostgres ? perOp(before, cpuOfPostgres(cluster), ops + WARM_UP) : null,
        peer: { name: `oidc-provider${cpuRatio === null ? '' : `, ${cpuRatio.toFixed(2)} of its CPU`}`, perSecond: peer.timed.perSecond, p50: peer.timed.p50, ratio: timed.perSecond / peer.timed.perSecond },
        bar: `>= ${BAR.perSecond}/s, p99 <= ${BAR.p99} ms, CPU < peer's`, isReached: timed.perSecond >= BAR.perSecond && timed.p99 <= BAR.p99 && cpuRatio !== null && cpuRatio < 1,
      }))
    }
    tell('task and token on sqlite')
    const writ = await startWrit({ env: { WRIT_LOG: 'warn' } })
    try {
      await add('task + token (sqlite)', await deskOf([writ], writ.url), false)
    } finally {
      await writ.stop()
    }
    for (const count of [1, 2]) {
      tell(`task and token on postgres, servers: ${count}`)
      const several = await startSeveral({ count, env: { WRIT_LOG: 'warn' } })
      try {
        await add(`task + token (postgres, ${count} server${count === 1 ? '' : 's'})`, await deskOf(several.writs, 'https://writ.acme.example'), true)
      } finally {
        await several.stop()
      }
    }
    return figures
  }
}

export async function deskOf(writs: readonly RunningWrit[], issuer: string): Promise<Desk> {
  const clients: TokenClient[] = []
  for (let i = 0; i < CLIENTS; i++) {
    const { spiffeId, privateKey } = await writs[0]!.register(`asker-${i}`, { authority: ['tickets:queue:read'] })
    clients.push({ id: spiffeId, key: privateKey, ...proofKey() })
  }
  return {
    origins: writs.map((writ) => writ.url), path: '/oauth/token', audience: issuer, htu: () => `${issuer}/oauth/token`, clients, pids: writs.map((writ) => writ.pid()),
    more: { purpose: 'measures', authorization_details: GRANT, ttl_seconds: '600', heartbeat_seconds: '600' },
  }
}

async function measurePeer(ops: number): Promise<Measured> {
  const clients = Array.from({ length: CLIENTS }, (_, i): TokenClient & { readonly jwk: object } => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    return { id: `asker-${i}`, key: privateKey, jwk: publicKey.export({ format: 'jwk' }), ...proofKey() }
  })
  const child = fork(PEER, { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
  try {
    const signing = { ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig' }
    child.send({ jwks: { keys: [signing] }, clients: clients.map(({ id, jwk }) => ({ id, key: jwk })) })
    const [{ url, issuer }] = await once(child, 'message') as [{ readonly url: string; readonly issuer: string }]
    const desk: Desk = { origins: [url], path: '/token', audience: issuer, htu: (origin) => `${origin}/token`, more: { scope: 'work' }, clients, pids: [child.pid!] }
    return await measure(desk, ops)
  } finally {
    child.kill('SIGKILL')
  }
}

type Measured = { readonly timed: Timed; readonly cpuPerOp: number | null }

export async function measure(desk: Desk, ops: number): Promise<Measured> {
  const requests = Array.from({ length: ops + WARM_UP }, (_, i) => signedRequest(desk, i))
  const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY })
  const one = (index: number): Promise<void> => post(agent, requests[index]!)
  await load(WARM_UP, CONCURRENCY, one)
  const cpu = (): number | undefined => desk.pids.map(cpuOf).reduce((sum, one) => (sum === undefined || one === undefined ? undefined : sum + one), 0)
  const before = cpu()
  const timed = await load(ops, CONCURRENCY, (index) => one(WARM_UP + index))
  const cpuPerOp = perOp(before, cpu(), ops)
  agent.destroy()
  return { timed, cpuPerOp }
}

type SignedRequest = { readonly url: string; readonly body: string; readonly proof: string }

function signedRequest({ origins, path, audience, htu, more, clients }: Desk, index: number): SignedRequest {
  const client = clients[index % clients.length]!
  const origin = origins[index % origins.length]!
  const now = Math.floor(Date.now() / 1000)
  const assertion = jwt({ alg: 'ES256' }, { iss: client.id, sub: client.id, aud: audience, iat: now, exp: now + 240, jti: randomBytes(16).toString('hex') }, client.key)
  const proof = jwt({ alg: 'ES256', typ: 'dpop+jwt', jwk: client.proofJwk }, { htm: 'POST', htu: htu(origin), iat: now, jti: randomBytes(16).toString('hex') }, client.proofKey)
  const body = new URLSearchParams({
    grant_type: 'client_credentials', client_id: client.id, client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion: assertion, ...more,
  })
  return { url: origin + path, body: body.toString(), proof }
}

function jwt(header: object, claims: object, key: KeyObject): string {
  const input = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

function proofKey(): { readonly proofKey: KeyObject; readonly proofJwk: object } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { proofKey: privateKey, proofJwk: publicKey.export({ format: 'jwk' }) }
}

function post(agent: Agent, { url, body, proof }: SignedRequest): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body), dpop: proof }
    const sent = request(url, { method: 'POST', agent, headers }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (chunk: string) => { text += chunk }).on('end', () => {
        if (answer.statusCode === 200) resolve()
        else reject(new Error(`${url} answered ${answer.statusCode}: ${text}`))
      })
    })
    sent.on('error', reject).end(body)
  })
}
