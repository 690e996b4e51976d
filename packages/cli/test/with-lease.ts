// What the tests let `writ run` run: a PostgreSQL client that knows nothing of Writ.
//   node with-lease.ts STATEMENT        runs it and prints its rows, one JSON array each
//   node with-lease.ts STATEMENT hold   says `ready PID USER PASSWORD`, and stays with its session open until somebody ends it
import { Client } from 'pg'

const [statement = 'select current_user', hold] = process.argv.slice(2)
const client = new Client()
client.on('error', (fault) => process.stdout.write(`session ended: ${(fault as { readonly code?: string }).code ?? fault.message}\n`))
await client.connect()
const { rows } = await client.query({ text: statement, rowMode: 'array' })
for (const row of rows ?? []) process.stdout.write(`${JSON.stringify(row)}\n`)
if (hold === undefined) await client.end()
else {
  process.stdout.write(`ready ${process.pid} ${process.env.PGUSER} ${process.env.PGPASSWORD}.\n`)
  setInterval(() => undefined, 60_000)
}
