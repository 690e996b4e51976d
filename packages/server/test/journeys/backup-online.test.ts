import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { takeBackup } from '@writ/contract/backup'
import { askForBackup, emptyPlace, folderForSuite, restoreTo, sqlAt, type Place } from '../backups.ts'
import { eventually } from '../eventually.ts'
import { allEvents } from '../proofs.ts'
import { startWrit, type RunningWrit } from '../running-writ.ts'
import { STORES } from '../store-of-writ.ts'

const ROWS = 100_000
const ROW_BYTES = 600
/** What a busy heap leaves uncollected; it does not grow with the store. */
const MOST_GROWTH = 160_000_000

/** Many rows of text that no compression makes small, past Writ: what the backup has to carry is what counts. */
async function fill(place: Place): Promise<void> {
  const noise = place.kind === 'sqlite' ? `hex(randomblob(${ROW_BYTES / 2}))` : `(select string_agg(md5(i::text || j::text), '') from generate_series(1, ${Math.ceil(ROW_BYTES / 32)}) j)`
  const bytes = place.kind === 'sqlite' ? 'randomblob(32)' : 'decode(md5(i::text) || md5(i::text), \'hex\')'
  await sqlAt(place)(`
    insert into event_said (event_id, field, salt, value)
    with recursive n (i) as (select 1 union all select i + 1 from n where i < ${ROWS})
    select 'evt_' || i, 'noise', ${bytes}, ${noise} from n`)
}

const placeOf = (writ: RunningWrit): Place => writ.databaseUrl === undefined
  ? { kind: 'sqlite', directory: join(writ.folder, 'data') } : { kind: 'postgres', url: writ.databaseUrl, allowMissingChecksums: false }

/** Linux tells the most that a process ever had; elsewhere nobody looks. */
function mostMemory(writ: RunningWrit): number | undefined {
  const file = `/proc/${writ.pid()}/status`
  return existsSync(file) ? Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(file, 'utf8'))![1]) * 1024 : undefined
}

for (const name of STORES) {
  describe(`a backup of ${ROWS} rows that is taken from a running server on ${name}`, () => {
    const folder = folderForSuite()
    let writ: RunningWrit
    before(async () => {
      writ = await startWrit({ store: name })
      await fill(placeOf(writ))
    })
    after(async () => { await writ?.stop() })

    test('is for operators, and nothing is recorded where it is refused', async () => {
      const identity = await writ.register('curious')
      for (const api of [writ.stranger, identity.api]) assert.ok([401, 403].includes((await api(takeBackup)).status))
      assert.ok(!(await allEvents(writ)).some((event) => event.type.startsWith('backup.')))
    })

    test('holds up nobody while its reader is slow, is one at a time, and ends when its reader goes away', async () => {
      const slow = new AbortController()
      const answer = await fetch(`${writ.url}${takeBackup.path}`, { method: 'POST', headers: { authorization: `Bearer ${writ.operatorKey}` }, signal: slow.signal })
      assert.equal(answer.status, 200)
      assert.equal((await writ.register('meanwhile')).spiffeId, 'spiffe://acme.example/meanwhile')
      const second = await writ.operator(takeBackup)
      assert.equal(second.status, 409)
      assert.equal(second.problem.code, 'backup_running')
      slow.abort()
      await eventually('the next one may begin', async () => {
        const next = await askForBackup(writ)
        await next.body?.cancel()
        return next.status === 200
      })
      const told = (await allEvents(writ, { stream: 'human' })).map((event) => event.type).filter((type) => type.startsWith('backup.'))
      assert.ok(told.length >= 2 && told.every((type) => type === 'backup.begun'), 'what was begun is recorded, and nothing as taken')
      await eventually('and that one has ended too', async () => {
        const next = await askForBackup(writ)
        const isFree = next.status === 200
        await next.body?.cancel()
        return isFree
      })
    })

    test('is whole, takes little memory, and the record says what left', async (t) => {
      const answer = await eventually('it may begin', async () => {
        const next = await askForBackup(writ)
        return next.status === 200 && next
      })
      const beforeBytes = mostMemory(writ)
      const began = performance.now()
      const whole = Buffer.from(await answer.arrayBuffer())
      const seconds = (performance.now() - began) / 1000
      const text = gunzipSync(whole).toString('latin1')
      const end = JSON.parse(text.slice(text.lastIndexOf('\n', text.length - 2) + 1)) as { rows: Record<string, number>; sha256: string }
      assert.ok(end.rows['event_said']! >= ROWS)
      const taken = (await allEvents(writ, { stream: 'human' })).findLast((event) => event.type === 'backup.taken')!
      assert.equal(taken.facts['sha256'], end.sha256)
      assert.equal(taken.facts['rows'], Object.values(end.rows).reduce((sum, count) => sum + count, 0))
      const grown = beforeBytes === undefined ? undefined : mostMemory(writ)! - beforeBytes
      t.diagnostic(`${(text.length / 1e6).toFixed(0)} MB in ${seconds.toFixed(1)} s: ${(text.length / 1e6 / seconds).toFixed(0)} MB/s, the server grew by ${((grown ?? 0) / 1e6).toFixed(0)} MB`)
      if (grown !== undefined) assert.ok(grown < MOST_GROWTH, `the server grew by ${grown} bytes for ${text.length}`)
    })

    test('breaks off when the server is killed, and what arrived is refused as cut', async (t) => {
      const answer = await eventually('it may begin', async () => {
        const next = await askForBackup(writ)
        return next.status === 200 && next
      })
      const arrived: Uint8Array[] = []
      await assert.rejects(async () => {
        for await (const piece of answer.body!) {
          arrived.push(piece)
          if (arrived.length === 5) await writ.kill()
        }
      }, TypeError)
      const file = join(folder(), 'cut')
      await writeFile(file, Buffer.concat(arrived))
      const place = await emptyPlace('sqlite', t)
      const refused = await restoreTo(place, { place: { store: place, keyDirectory: join(writ.folder, 'data-keys') }, clock: { now: () => Date.now() } as never }, { file })
      assert.ok(!refused.ok && refused.refusal.kind === 'cut', JSON.stringify(refused))
      assert.ok(place.kind === 'sqlite' && !existsSync(place.directory))
      await writ.restart()
      assert.ok(!(await allEvents(writ, { stream: 'human' })).at(-1)!.type.endsWith('taken'))
    })
  })
}
