import { appendFileSync } from 'node:fs'
import { McpServer } from '@modelcontextprotocol/server'
import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { Client } from 'pg'
import { z } from 'zod'

/** A server over stdio that asks a database, with nothing but what libpq's variables say; each start is a line in the file that it is told. */
const [starts = ''] = process.argv.slice(2)

function queryingServer(): McpServer {
  const server = new McpServer({ name: 'querying', version: '1.0.0' })
  const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] })
  server.registerTool('orders', { inputSchema: z.object({}) }, async () => {
    const client = new Client()
    await client.connect()
    const { rows } = await client.query<{ item: string }>('select item from shop.orders order by id')
    await client.end()
    return text(rows.map(({ item }) => item).join(' '))
  })
  // Disguised, so that the test may learn what nobody else is to.
  server.registerTool('backwards', { inputSchema: z.object({}) }, async () => text((process.env['PGPASSWORD'] ?? '').split('').toReversed().join('')))
  server.registerTool('environment', { inputSchema: z.object({}) }, async () => text(JSON.stringify(process.env)))
  return server
}

appendFileSync(starts, `${process.pid}\n`)
serveStdio(() => queryingServer())
