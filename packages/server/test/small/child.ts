import { writeSync } from 'node:fs'
import { epochMs } from '@writ/domain/time'
import { openPostgres } from '../../src/store/postgres.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import type { Store } from '../../src/store/store.ts'
import { sqliteOrder } from '../both-stores.ts'
import { addJar, makeSmallContext, smallMigrations, smallWorld, type SmallContext, type SmallTables } from './world.ts'

// A server of its own for crash tests: `child.ts PREFIX PLACE COUNT`, where PLACE is a directory or a PostgreSQL URL. Prints `open`, then adds
// COUNT jars, 16 at a time, and prints each one's id once it is acknowledged. Then it stays until it is killed.
const [prefix = '', place = '', count = '0'] = process.argv.slice(2)
const say = (line: string): void => { writeSync(1, `${line}\n`) }

const store: Store<SmallTables, SmallContext> = place.startsWith('postgres:')
  ? await openPostgres({ url: place, context: makeSmallContext(''), migrations: smallMigrations, now: epochMs(1) })
  : await openSqlite({ ...sqliteOrder(smallWorld, place), onFault: (error) => { throw error } })
say('open')

let next = 0
async function addSome(): Promise<void> {
  while (next < Number(count)) {
    const id = `${prefix}${next++}`
    await store.change(addJar, { id, marbles: 1 })
    say(id)
  }
}
await Promise.all(Array.from({ length: 16 }, addSome))
say('done')
setInterval(() => {}, 60_000)
