import type { ServerResponse } from 'node:http'
import type { TestContext } from 'node:test'
import { workloadTokenEvidence, Writ, type WritOptions } from '../src/writ.ts'
import { listening, sendJson, type Heard } from './listening.ts'

export const TASK = 'tsk_06ej4bnsc9x5b6q2m6jv9pwzc0'

export type Order = {
  /** Members of the replies that are other than they should be; undefined takes one away. */
  readonly token?: Readonly<Record<string, unknown>>
  readonly task?: Readonly<Record<string, unknown>>
  /** In place of everything. True when it has taken the request. */
  readonly instead?: (heard: Heard, response: ServerResponse, nth: number) => boolean
}

/** The least that a server says so that a task opens, lives and ends: for what a real one would never say, see what a test puts in its place. */
export async function smallServer(t: Pick<TestContext, 'after'>, { token, task, instead = () => false }: Order = {}) {
  const now = Date.now()
  const described = {
    id: TASK, spiffe_id: 'spiffe://acme.example/small', purpose: 'answers a ticket', state: 'open', opened_at: new Date(now).toISOString(), deadline: new Date(now + 300_000).toISOString(), heartbeat_seconds: 60, ...task,
  }
  const { url, heard } = await listening(t as TestContext, (one, response, nth) => {
    if (instead(one, response, nth)) return
    if (one.path !== '/oauth/token') return sendJson(response, 200, described)
    sendJson(response, 200, { access_token: `token.number.${nth}`, token_type: 'DPoP', expires_in: 300, task: TASK, ...token })
  })
  const asked = (path: string): readonly Heard[] => heard.filter((one) => one.path === path)
  return { url, heard, asked, sdk: (more: WritOptions = {}) => new Writ({ url, evidence: EVIDENCE, patience: '5s', ...more }) }
}

const EVIDENCE = workloadTokenEvidence('a test', async () => 'a.small.token')

/** What stands in the claims of a JWT that nobody checks. */
export const claimsOf = (jwt: unknown): Record<string, unknown> => JSON.parse(Buffer.from(String(jwt).split('.')[1]!, 'base64url').toString()) as Record<string, unknown>

export const formOf = (heard: Heard): Readonly<Record<string, string>> => Object.fromEntries(new URLSearchParams(heard.body))
