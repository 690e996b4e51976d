import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { epochMs } from '@writ/domain/time'
import { canonical, type JsonValue } from '@writ/ledger/canonical'
import { leafHash } from '@writ/ledger/hash'
import { sha256 } from '../../src/record/append.ts'
import { assertOneChain } from '../read-log.ts'
import { recordNos, recordStarts, sizeOf } from '../recorded.ts'
import { storeForSuite, STORES, type StoreOfWrit } from '../store-of-writ.ts'

type Made = {
  readonly id: string; readonly stream: string; readonly type: string; readonly at: number
  readonly leaf: string; readonly leaf_hash: Uint8Array; readonly mac: Uint8Array; readonly task_id: string | null
}

async function insertPast(writ: StoreOfWrit, made: Made): Promise<void> {
  await writ.sql(
    'insert into event (id, stream, type, at, task_id, leaf, leaf_hash, mac) values ($1, $2, $3, $4, $5, $6, $7, $8)',
    [made.id, made.stream, made.type, made.at, made.task_id, made.leaf, made.leaf_hash, made.mac],
  )
}

async function genuine(writ: StoreOfWrit, stream = 'non-human'): Promise<Made> {
  const [row] = await writ.sql('select * from event where stream = $1 and leaf_index >= 0 order by seq limit 1', [stream])
  return { ...(row as unknown as Made), at: Number(row!['at']), task_id: null }
}

/** A leaf as Writ itself would have written it. */
function honest(writ: StoreOfWrit, more: Readonly<Record<string, JsonValue>> = {}): Made {
  const id = writ.newId('event')
  const leaf = canonical({
    v: 1, id, stream: 'non-human', type: 'server.started', at: writ.now(), actor: { kind: 'writ', id: 'writ' }, task: null, identity: null, lease: null,
    facts: { version: '0' }, commitments: {}, ...more,
  })
  const bytes = Buffer.from(leaf, 'utf8')
  return { id, stream: 'non-human', type: 'server.started', at: epochMs(writ.now()), leaf, leaf_hash: leafHash(sha256, bytes), mac: writ.keys.eventMac.macOf(bytes), task_id: null }
}

const FORGERIES: readonly { readonly forged: string; readonly row: (writ: StoreOfWrit) => Promise<Made> | Made }[] = [
  { forged: 'a made-up MAC', row: (writ) => ({ ...honest(writ), mac: new Uint8Array(32).fill(7) }) },
  { forged: 'an empty MAC', row: (writ) => ({ ...honest(writ), mac: new Uint8Array(0) }) },
  { forged: 'the MAC of another row', row: async (writ) => ({ ...honest(writ), mac: (await genuine(writ)).mac }) },
  { forged: 'the wrong leaf hash', row: (writ) => ({ ...honest(writ), leaf_hash: new Uint8Array(32).fill(7) }) },
  { forged: 'the leaf, hash and MAC of another row', row: async (writ) => ({ ...await genuine(writ), id: writ.newId('event') }) },
  { forged: 'the leaf, hash and MAC of a row of the other log', row: async (writ) => ({ ...await genuine(writ, 'human'), id: writ.newId('event'), stream: 'non-human' }) },
  { forged: 'an honest leaf under another type', row: (writ) => ({ ...honest(writ), type: 'task.closed' }) },
  { forged: 'an honest leaf at another time', row: (writ) => ({ ...honest(writ), at: 1 }) },
  { forged: 'an honest leaf of no task under a task', row: (writ) => ({ ...honest(writ), task_id: writ.newId('task') }) },
  { forged: 'a name twice in its JSON', row: (writ) => ({ ...honest(writ), leaf: honest(writ).leaf.replace('{', '{"v":1,') }) },
  { forged: 'a leaf that is no JSON', row: (writ) => ({ ...honest(writ), leaf: 'not even JSON' }) },
  { forged: 'an id of 70,000 characters', row: (writ) => ({ ...honest(writ), id: `evt_${'x'.repeat(70_000)}`, mac: new Uint8Array(32) }) },
]

for (const name of STORES) {
  describe(`a row written past Writ into ${name}`, () => {
    const opened = storeForSuite(name)

    for (const { forged, row } of FORGERIES) {
      test(`a row with ${forged} is not sealed, is a finding, and holds up nothing`, async () => {
        const writ = opened()
        await recordStarts(writ, 1)
        await recordNos(writ, 1)
        await writ.sealAll()
        const before = await sizeOf(writ, 'non-human')
        const findings = (await writ.sql('select id from finding where kind = \'row_forged\'')).length
        const made = await row(writ)
        await insertPast(writ, made)
        await recordStarts(writ, 1)
        await Promise.all([writ.seal('non-human'), writ.seal('non-human')])
        await writ.sealAll()
        assert.deepEqual((await writ.sql('select leaf_index from event where id = $1', [made.id])).map((one) => Number(one['leaf_index'])), [-1])
        // The honest event, the word of the rejection and the finding: once each.
        assert.equal(await assertOneChain(writ, 'non-human'), before + 3)
        const told = await writ.sql('select type from event where stream = \'non-human\' and leaf_index >= $1 order by leaf_index', [before])
        assert.deepEqual(new Set(told.map((one) => one['type'])), new Set(['finding.raised', 'ledger.row_rejected', 'server.started']))
        assert.equal((await writ.sql('select id from finding where kind = \'row_forged\'')).length, findings + 1)
        const entry = await writ.sql('select max(length(leaf)) as longest from event where type = \'ledger.row_rejected\'')
        assert.ok(Number(entry[0]!['longest']) < 2000, 'what a forger wrote does not swell the log')
      })
    }
  })
}
