import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { printCheckpoint } from '@writ/ledger/checkpoint'
import { leafHash } from '@writ/ledger/hash'
import { signedBy, toVerifierKey } from '@writ/ledger/note'
import { appendToTiles, EMPTY_EDGE } from '@writ/ledger/tile'
import { signerOf } from '../src/keys/signer.ts'
import { sha256 } from '../src/record/append.ts'

type Rows = readonly Readonly<Record<string, unknown>>[]
/** One statement, `$1` for values, by whom no guard holds back. */
export type Superuser = (statement: string, values?: readonly unknown[]) => Promise<Rows>

/** A log as somebody finds it who wants to change what it says below its trusted size. */
export type Target = { readonly stream: 'human'; readonly origin: string; readonly trusted: number; readonly size: number; readonly logKey: KeyObject }

export type Tampering = {
  readonly what: string
  /** Changes the log; answers the first leaf that is no longer what it was, where the tiles still tell. */
  readonly run: (as: Superuser, log: Target, random: (below: number) => number) => Promise<number | undefined>
}

/** The same in every run: a mutation that was once missed is missed again. */
export function seeded(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    // Mulberry32.
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

const leafAt = async (as: Superuser, index: number): Promise<string> => String((await as('select leaf from event where stream = \'human\' and leaf_index = $1', [index]))[0]!['leaf'])

async function rewrite(as: Superuser, index: number, random: (below: number) => number): Promise<void> {
  const leaf = await leafAt(as, index)
  const at = random(leaf.length)
  const other = String.fromCharCode(33 + random(90))
  const changed = leaf.slice(0, at) + (other === leaf[at] ? ' ' : other) + leaf.slice(at + 1)
  await as('update event set leaf = $1 where stream = \'human\' and leaf_index = $2', [changed, index])
}

/** Everything made anew from the rows: hashes, tiles and the signed checkpoint. */
async function recompute(as: Superuser, log: Target, key: KeyObject): Promise<void> {
  const rows = await as('select leaf from event where stream = \'human\' and leaf_index >= 0 order by leaf_index')
  const hashes = rows.map((row) => leafHash(sha256, Buffer.from(String(row['leaf']), 'utf8')))
  const made = appendToTiles(sha256, EMPTY_EDGE, hashes)
  await as('delete from tile where stream = \'human\'')
  for (const tile of made.changed) await as('insert into tile (stream, level, tile_index, hashes) values (\'human\', $1, $2, $3)', [tile.level, tile.index, tile.hashes])
  const signer = signerOf(key)
  const text = printCheckpoint({ origin: log.origin, size: hashes.length, root: made.root, extensions: [] })
  const note = signedBy(toVerifierKey(sha256, log.origin, signer.publicKey()), text, signer.sign(Buffer.from(text)))
  await as('update log set size = $1, note = $2 where stream = \'human\'', [hashes.length, note])
}

/** The head of the log as it was at some signed checkpoint of its own below the trusted one. */
async function headAtOlder(as: Superuser, log: Target, random: (below: number) => number): Promise<number> {
  const older = (await as('select size, note from checkpoint where stream = \'human\' and size < $1 and size > 0 order by size', [log.trusted]))
  const to = older[random(older.length)]!
  await as('update log set size = $1, note = $2 where stream = \'human\'', [to['size'], to['note']])
  return Number(to['size'])
}

export const TAMPERINGS: readonly Tampering[] = [
  {
    what: 'one letter of an event', run: async (as, log, random) => {
      const index = random(log.trusted)
      await rewrite(as, index, random)
      return index
    },
  },
  {
    what: 'the reason of an event, in good JSON', run: async (as, log, random) => {
      const index = random(log.trusted)
      const leaf = JSON.parse(await leafAt(as, index)) as { at: number }
      await as('update event set leaf = $1 where stream = \'human\' and leaf_index = $2', [JSON.stringify({ ...leaf, at: leaf.at + 1 + random(1000) }), index])
      return index
    },
  },
  {
    what: 'several events', run: async (as, log, random) => {
      const indexes = [random(log.trusted), random(log.trusted), random(log.trusted)]
      for (const index of new Set(indexes)) await rewrite(as, index, random)
      return Math.min(...indexes)
    },
  },
  {
    what: 'an event deleted', run: async (as, log, random) => {
      const index = random(log.trusted)
      await as('delete from event where stream = \'human\' and leaf_index = $1', [index])
      return index
    },
  },
  {
    what: 'an event deleted and the rest moved up', run: async (as, log, random) => {
      const index = random(log.trusted)
      await as('delete from event where stream = \'human\' and leaf_index = $1', [index])
      await as('update event set leaf_index = leaf_index - 1 where stream = \'human\' and leaf_index > $1', [index])
      return index
    },
  },
  {
    what: 'an event put in between', run: async (as, log, random) => {
      const index = random(log.trusted)
      const leaf = await leafAt(as, random(log.trusted))
      await as('update event set leaf_index = leaf_index + 1 where stream = \'human\' and leaf_index >= $1', [index])
      await as('insert into event (id, stream, type, at, leaf, leaf_hash, mac, leaf_index) select $1, stream, type, at, $2, leaf_hash, mac, $3 from event where stream = \'human\' and leaf_index = 0', [
        `evt_${random(1e9)}`, leaf.replace('"v":1', '"v":2'), index,
      ])
      return index
    },
  },
  {
    what: 'two events in each other\'s place', run: async (as, log, random) => {
      const one = random(log.trusted)
      const other = (one + 1 + random(log.trusted - 1)) % log.trusted
      await as('update event set leaf_index = case leaf_index when $1 then $2 else $1 end where stream = \'human\' and leaf_index in ($1, $2)'.replaceAll('$1', String(one)).replaceAll('$2', String(other)))
      return Math.min(one, other)
    },
  },
  {
    what: 'an event of the other log in the place of one', run: async (as, log, random) => {
      const index = random(log.trusted)
      const other = (await as('select id from event where stream = \'non-human\' and leaf_index >= 0 order by seq'))
      const id = other[random(other.length)]!['id']
      await as('update event set stream = \'non-human\', leaf_index = 1000000 where stream = \'human\' and leaf_index = $1', [index])
      await as('update event set stream = \'human\', leaf_index = $1 where id = $2', [index, id])
      return index
    },
  },
  {
    what: 'the hash of a leaf in its tile', run: async (as, log, random) => {
      const index = random(log.trusted)
      await changeTile(as, index, random)
      return index
    },
  },
  {
    what: 'an event and its hash in the tile', run: async (as, log, random) => {
      const index = random(log.trusted)
      await rewrite(as, index, random)
      await changeTile(as, index, random, leafHash(sha256, Buffer.from(await leafAt(as, index), 'utf8')))
      return undefined
    },
  },
  {
    what: 'the tail cut off, under an older checkpoint of its own', run: async (as, log, random) => {
      await headAtOlder(as, log, random)
      return undefined
    },
  },
  {
    what: 'an older backup put back', run: async (as, log, random) => {
      const size = await headAtOlder(as, log, random)
      await as('delete from event where stream = \'human\' and leaf_index >= $1', [size])
      await as('delete from checkpoint where stream = \'human\' and size > $1', [size])
      return undefined
    },
  },
  {
    what: 'the head of the log', run: async (as, _log, random) => {
      const [head] = await as('select note from log where stream = \'human\'')
      const note = String(head!['note'])
      const at = random(note.length - 1)
      await as('update log set note = $1 where stream = \'human\'', [`${note.slice(0, at)}${note[at] === 'A' ? 'B' : 'A'}${note.slice(at + 1)}`])
      return undefined
    },
  },
  {
    what: 'the whole log made anew under a fresh key', run: async (as, log, random) => {
      await rewrite(as, random(log.trusted), random)
      await recompute(as, log, generateKeyPairSync('ed25519').privateKey)
      return undefined
    },
  },
  {
    what: 'the whole log made anew under its own stolen key', run: async (as, log, random) => {
      await rewrite(as, random(log.trusted), random)
      await recompute(as, log, log.logKey)
      return undefined
    },
  },
]

async function changeTile(as: Superuser, index: number, random: (below: number) => number, to?: Uint8Array): Promise<void> {
  const tile = Math.floor(index / 256)
  const [row] = await as('select hashes from tile where stream = \'human\' and level = 0 and tile_index = $1', [tile])
  const hashes = new Uint8Array(row!['hashes'] as Uint8Array)
  const at = (index % 256) * 32
  if (to === undefined) hashes[at + random(32)]! ^= 1 << random(8)
  else hashes.set(to, at)
  await as('update tile set hashes = $1 where stream = \'human\' and level = 0 and tile_index = $2', [hashes, tile])
}

export const logKeyIn = (pem: string): KeyObject => createPrivateKey(pem)
