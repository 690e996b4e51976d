import assert from 'node:assert/strict'
import type { VerifiedCertificate } from '@writ/ledger/certificate'
import { verifyCertificate } from '@writ/ledger/certificate'
import { linesOf } from '@writ/ledger/lines'
import { verifyLog } from '@writ/ledger/log'
import { parseVerifierKey, type VerifierKey } from '@writ/ledger/note'
import * as events from '@writ/contract/events'
import type { EventReply } from '@writ/contract/events'
import * as tasks from '@writ/contract/tasks'
import { nodePrimitives } from '../../ledger/offline/primitives.ts'
import { eventually } from './eventually.ts'
import type { Api, RunningWrit } from './running-writ.ts'

export type Closure = VerifiedCertificate['closure']

const WAIT = { wait_seconds: '30' }

/** The key under which a log is signed, as an auditor would have noted it. */
export async function logKey(writ: Pick<RunningWrit, 'stranger'>, stream: 'non-human' | 'human' = 'non-human'): Promise<VerifierKey> {
  const { logs } = (await writ.stranger(events.listLogs)).reply
  return keyOf(logs.find((log) => log.stream === stream)!.vkey)
}

export function keyOf(vkey: string): VerifierKey {
  const key = parseVerifierKey(nodePrimitives.sha256, vkey)
  return key.ok ? key.value : assert.fail(key.refusal.detail)
}

/** Waits for the task's certificate and reads it as an auditor does: with the log's public key and nothing else. */
export async function closureOf(writ: Pick<RunningWrit, 'stranger'>, api: Api, task: string): Promise<Closure> {
  const got = await api(tasks.certificate, { parameters: { id: task }, query: WAIT })
  assert.equal(got.status, 200, got.text)
  return closureIn(await logKey(writ), got.text)
}

export function closureIn(key: VerifierKey, text: string): Closure {
  const verified = verifyCertificate(nodePrimitives, key, text)
  return verified.ok ? verified.value.closure : assert.fail(`${verified.refusal.kind}: ${verified.refusal.detail}`)
}

export async function allEvents(writ: Pick<RunningWrit, 'operator'>, query: Readonly<Record<string, string>> = {}): Promise<readonly EventReply[]> {
  const all: EventReply[] = []
  for (let cursor: string | undefined; ;) {
    const got = await writ.operator(events.listEvents, { query: { ...query, limit: '1000', ...(cursor === undefined ? {} : { cursor }) } })
    assert.equal(got.status, 200, got.text)
    all.push(...got.reply.events)
    if (got.reply.events.length < 1000) return all
    cursor = got.reply.next!
  }
}

export const eventsOf = (writ: Pick<RunningWrit, 'operator'>, task: string): Promise<readonly EventReply[]> => allEvents(writ, { task })

/** Reads both logs as a whole: every event has one place, every place one event, and the signed checkpoint covers them all. */
export async function assertLogsHold(writ: Pick<RunningWrit, 'operator' | 'stranger'>): Promise<void> {
  await eventually('everything is sealed', async () => (await writ.stranger(events.listLogs)).reply.logs.every((log) => log.unsealed === 0))
  for (const stream of ['non-human', 'human'] as const) {
    const exported = await writ.operator(events.exportLog, { parameters: { stream } })
    const verified = verifyLog(nodePrimitives, await logKey(writ, stream), linesOf([Buffer.from(exported.text)]))
    if (!verified.ok) assert.fail(`the ${stream} log: ${verified.refusal.kind}: ${verified.refusal.detail}`)
    const { size } = verified.value.checkpoint
    const indexes = (await allEvents(writ, { stream })).map((event) => event.leaf_index)
    const places = indexes.filter((index) => index !== null && index < size) as number[]
    assert.deepEqual(places.toSorted((a, b) => a - b), Array.from({ length: size }, (_, index) => index))
  }
}
