// The command that `writ run` runs: it finds its login in the environment, as any PostgreSQL client does, and knows nothing of Writ.
import pg from 'pg'

const client = new pg.Client()
await client.connect()
const { rows: [me] } = await client.query('select current_user as name, current_setting($1) as version', ['server_version'])
console.log(`logged in to PostgreSQL ${me.version} as ${me.name}`)
await client.query('create table shop.loyalty (customer_id bigint primary key references shop.customer (id), points bigint not null)')
const { rowCount } = await client.query(`
  insert into shop.loyalty
  select c.id, coalesce(sum(p.quantity), 0) * 10
    from shop.customer c
    left join shop.purchase p on p.customer_id = c.id
   group by c.id`)
console.log(`created shop.loyalty and filled ${rowCount} rows`)
await client.end()
