import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { nodePrimitives } from '../offline/primitives.ts'
import { toBase64, toBase64url, utf8 } from '../src/bytes.ts'
import { canonical, type JsonValue } from '../src/canonical.ts'
import { printCheckpoint, type Checkpoint } from '../src/checkpoint.ts'
import { commit } from '../src/commitment.ts'
import { leafHashOfText, type Primitives } from '../src/hash.ts'
import { printLogHeader, printLogLine } from '../src/log.ts'
import { signedBy, toVerifierKey, type VerifierKey } from '../src/note.ts'
import type { Receipt } from '../src/receipt.ts'
import { appendToTiles, EMPTY_EDGE, inclusionFromTiles, type Tile, type TileReader } from '../src/tile.ts'

/** Plain bytes, which `deepEqual` can compare with others. */
export const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(nodePrimitives.sha256(bytes))

export const primitives: Primitives = { ...nodePrimitives, sha256 }

export type LogKey = { readonly key: VerifierKey; readonly privateKey: KeyObject }

export function makeKey(name = 'writ.example/logs/non-human'): LogKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  return { key: toVerifierKey(sha256, name, new Uint8Array(publicKey.export({ format: 'der', type: 'spki' })).slice(-32)), privateKey }
}

export const sealNote = ({ key, privateKey }: LogKey, checkpoint: Checkpoint): string => {
  const text = printCheckpoint(checkpoint)
  return signedBy(key, text, new Uint8Array(sign(null, utf8(text), privateKey)))
}

/** A log of these leaves, sealed through the tiles as the server does it. */
export function makeLog(logKey: LogKey, leaves: readonly string[]) {
  const hashes = leaves.map((leaf) => leafHashOfText(sha256, leaf))
  const tiles = new Map<string, Tile>()
  const { root, changed } = appendToTiles(sha256, EMPTY_EDGE, hashes)
  for (const tile of changed) tiles.set(`${tile.level}/${tile.index}`, tile)
  const reader: TileReader = ({ level, index }) => tiles.get(`${level}/${index}`)?.hashes
  const checkpoint: Checkpoint = { origin: logKey.key.name, size: leaves.length, root, extensions: [] }
  const note = sealNote(logKey, checkpoint)
  const proofOf = (index: number): readonly string[] => inclusionFromTiles(sha256, reader, index, leaves.length).map(toBase64)
  return {
    leaves,
    hashes,
    checkpoint,
    note,
    proofOf,
    lines: [printLogHeader(checkpoint, note), ...leaves.map((leaf, i) => printLogLine(i, leaf, hashes[i]!))],
  }
}

/** A salt that a test can repeat. */
export const saltOf = (text: string): Uint8Array => new Uint8Array(createHash('sha256').update(`salt of ${text}`).digest())

export type MadeEvent = {
  readonly id: string
  readonly type: string
  readonly at: number
  readonly task?: string
  readonly identity?: string
  readonly lease?: string
  readonly stream?: string
  readonly facts: { readonly [field: string]: JsonValue }
  readonly said?: { readonly [field: string]: string }
}

export const leafText = (event: MadeEvent): string => canonical({
  v: 1,
  id: event.id,
  stream: event.stream ?? 'non-human',
  type: event.type,
  at: event.at,
  actor: { kind: 'writ', id: 'ins_1' },
  task: event.task ?? null,
  identity: event.identity ?? null,
  lease: event.lease ?? null,
  facts: event.facts,
  commitments: Object.fromEntries(Object.entries(event.said ?? {}).map(([field, text]) => [field, commit(sha256, saltOf(text), text)])),
})

export const leafHashBase64 = (event: MadeEvent): string => toBase64(leafHashOfText(sha256, leafText(event)))

/** The receipts of these events in a log of `all`, with everything disclosed. */
export function receiptsOf(log: ReturnType<typeof makeLog>, events: readonly MadeEvent[]): readonly Receipt[] {
  return events.map((event) => {
    const leaf = leafText(event)
    const index = log.leaves.indexOf(leaf)
    const said = Object.entries(event.said ?? {})
    const disclosures = Object.fromEntries(said.map(([field, value]) => [field, { salt: toBase64url(saltOf(value)), value }]))
    return { leaf, index, proof: log.proofOf(index), ...(event.said === undefined ? {} : { disclosures }) }
  })
}
