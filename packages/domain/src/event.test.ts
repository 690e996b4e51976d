import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EVENT_TYPES, STREAMS, type EventType } from './event.ts'

/** OCSF 1.x: the activities of each class that we use; 99 is `Other` in all of them. */
const OCSF_ACTIVITIES: Readonly<Record<number, readonly number[]>> = {
  2004: [1, 2, 3],
  3001: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  3002: [1, 2, 3, 4, 5, 6, 7],
  3003: [1, 2],
  3005: [1, 2],
  6002: [1, 2, 3, 4, 5, 6, 7, 8],
  6003: [1, 2, 3, 4],
}

const types = Object.keys(EVENT_TYPES) as readonly EventType[]

for (const type of types) {
  test(`the event \`${type}\` has a name of its own kind, a stream, and a place in OCSF`, () => {
    const { stream, classUid, activityId } = EVENT_TYPES[type]
    assert.match(type, /^[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*$/)
    assert.ok(STREAMS.includes(stream))
    assert.ok([...OCSF_ACTIVITIES[classUid] ?? [], 99].includes(activityId), `${classUid}/${activityId}`)
  })
}

test('what begins can also end: every beginning that is recorded has its end among the events', () => {
  for (const { begins, ends } of [
    { begins: 'task.opened', ends: ['task.ended', 'task.closed'] },
    { begins: 'lease.minted', ends: ['lease.revoked', 'lease.ended'] },
    { begins: 'identity.registered', ends: ['identity.retired', 'identity.expired', 'identity.trigger_fired'] },
    { begins: 'identity.suspended', ends: ['identity.resumed'] },
    { begins: 'finding.raised', ends: ['finding.resolved'] },
    { begins: 'incident.opened', ends: ['incident.resolved'] },
    { begins: 'backend.added', ends: ['backend.removed'] },
    { begins: 'issuer.trusted', ends: ['issuer.removed'] },
    { begins: 'credential.registered', ends: ['credential.revoked'] },
    { begins: 'binding.registered', ends: ['binding.revoked'] },
  ]) {
    for (const type of [begins, ...ends]) assert.ok((types as readonly string[]).includes(type), type)
  }
})

test('what a machine did is not in the stream of what people did', () => {
  for (const type of types) {
    if (/^(task|lease|orphan|finding|incident|ledger)\./.test(type)) assert.equal(EVENT_TYPES[type].stream, 'non-human', type)
    if (/^(admission|operator|backend|issuer|credential)\./.test(type)) assert.equal(EVENT_TYPES[type].stream, 'human', type)
  }
})
