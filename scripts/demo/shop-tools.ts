import { McpServer } from '@modelcontextprotocol/server'
import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { Client, type QueryResultRow } from 'pg'
import { z } from 'zod'

/** What the desk of the shop can do, as tools. It finds its login in the environment, as any PostgreSQL client does, and knows nothing of Writ. */
function shopTools(): McpServer {
  const server = new McpServer({ name: 'shop', version: '1.0.0' })
  const order = z.number().int().describe('the number of the order')
  const find = { description: 'One order: who bought what, and what was paid.', inputSchema: z.object({ order }), annotations: { readOnlyHint: true, openWorldHint: false } }
  server.registerTool('find_order', find, async (given) => {
    const [found] = await ask(ORDER, [given.order])
    return text(found ?? { order: given.order, found: false })
  })
  const paying = z.object({ order, amount_cents: z.number().int().positive() })
  const pay = { description: 'Pays money of an order back.', inputSchema: paying, annotations: { destructiveHint: true, openWorldHint: true } }
  server.registerTool('refund', pay, async (given) => {
    await ask('insert into shop.refund (purchase_id, amount_cents) values ($1, $2)', [given.order, given.amount_cents])
    return text({ refunded: given })
  })
  const erasing = z.object({ customer: z.string() })
  const erase = { description: 'Deletes all that is known of a customer.', inputSchema: erasing, annotations: { destructiveHint: true, openWorldHint: false } }
  server.registerTool('erase_customer', erase, async ({ customer }) => {
    await ask('delete from shop.customer where email = $1', [customer])
    return text({ erased: customer })
  })
  return server
}

const ORDER = `select u.id as order, c.email as customer, p.title as product, u.quantity, u.quantity * p.price_cents as paid_cents
  from shop.purchase u join shop.customer c on c.id = u.customer_id join shop.product p on p.id = u.product_id where u.id = $1`

const text = (value: object) => ({ content: [{ type: 'text' as const, text: JSON.stringify(value) }] })

/** A connection for each question: a login that is withdrawn is felt at once. */
async function ask(statement: string, values: readonly unknown[]): Promise<readonly QueryResultRow[]> {
  const client = new Client()
  await client.connect()
  try {
    return (await client.query(statement, [...values])).rows
  } finally {
    await client.end()
  }
}

serveStdio(() => shopTools())
