import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { epochMs } from '@writ/domain/time'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { startCluster } from '../../../../../scripts/postgres-cluster.ts'
import { freshLease, freshSecret, governedPostgres, type GovernedPostgres } from '../../../test/governed-postgres.ts'
import { BackendFault } from '../connector.ts'
import { postgresConnector } from './connector.ts'

const ignore = async (): Promise<void> => {}

for (const version of [15, 18] as const) {
  describe(`on PostgreSQL ${version}`, () => {
    let pg: GovernedPostgres
    before(async () => { pg = await governedPostgres(version) })
    after(() => pg.remove())

    test('a lease logs in, does what its template says and no more, and is refused when it has ended', async () => {
      const order = pg.order()
      const minted = await pg.connector.mint(order)
      assert.deepEqual(minted.address, { host: pg.server.host, port: pg.server.port, database: pg.database, user: order.handle, tls: false })
      assert.ok(minted.control.ok)
      const session = await pg.login(order)
      assert.equal((await session.query('select * from shop.orders')).rowCount, 2)
      await assert.rejects(session.query('select * from shop.salaries'), { code: '42501' })
      await assert.rejects(session.query('create role mine'), { code: '42501' })
      await assert.rejects(session.query(`set role "${pg.owner}"`), { code: '42501' })
      await assert.rejects(session.query(`set session authorization ${pg.settings.user}`), { code: '42501' })
      await session.end()
      assert.deepEqual(await pg.connector.list(order.handle), [{ handle: order.handle }])

      assert.deepEqual(await pg.connector.withdraw(order.handle, order.template, ignore), { existed: true, sessionsEnded: 0, reassigned: [] })
      const probe = await pg.connector.probe(order.handle, order.secret, order.template)
      assert.equal(probe.kind, 'refused')
      assert.match(probe.by, new RegExp(`^PostgreSQL ${version}\\.\\d+ at 127\\.0\\.0\\.1:\\d+$`))
      assert.equal(probe.code, '28P01')
      assert.equal(probe.message, `password authentication failed for user "${order.handle}"`)
      assert.equal(probe.absentFromCatalogue, true)
      assert.deepEqual(await pg.connector.list(order.handle), [])
      assert.deepEqual(await pg.rolesNamed(order.handle), [])
    })

    test('the role says whose it is and has none of the attributes that would let it out', async () => {
      const order = pg.order()
      await pg.connector.mint(order)
      const [row] = await pg.asSuperuser(`
        select rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolconnlimit, rolvaliduntil,
               shobj_description(oid, 'pg_authid') as comment
          from pg_roles where rolname = $1`, [order.handle])
      assert.deepEqual(row, {
        rolsuper: false, rolcreatedb: false, rolcreaterole: false, rolreplication: false, rolbypassrls: false, rolconnlimit: 5,
        rolvaliduntil: new Date(order.expiresAt), comment: `writ lease ${order.lease}`,
      })
      await pg.connector.withdraw(order.handle, order.template, ignore)
    })

    test('a lease has the rights of its groups', async () => {
      await pg.asSuperuser(`grant usage on schema shop to ${pg.readers}; grant select on shop.salaries to ${pg.readers}`, [], pg.database)
      const order = pg.order({ template: { ...pg.template, memberOf: [pg.readers] } })
      await pg.connector.mint(order)
      const session = await pg.login(order)
      assert.equal((await session.query('select * from shop.salaries')).rowCount, 1)
      // Whatever it makes is then its own, and can be listed at its end. Before 16 PostgreSQL can't keep a member from this.
      if (version >= 16) await assert.rejects(session.query(`set role ${pg.readers}`), { code: '42501' })
      await session.end()
      await pg.connector.withdraw(order.handle, order.template, ignore)
    })

    test('minting again after a crash makes the role afresh, with the new secret', async () => {
      const order = pg.order()
      await pg.connector.mint({ ...order, secret: freshSecret() })
      const again = await pg.connector.mint(order)
      assert.ok(again.control.ok)
      await pg.connector.withdraw(order.handle, order.template, ignore)
    })

    test('a role that is not the lease\'s own is neither taken over nor withdrawn', async () => {
      const order = pg.order()
      await pg.connector.mint(order)
      const stranger = pg.order({ handle: order.handle, lease: freshLease() })
      await assert.rejects(pg.connector.mint(stranger), (error) => error instanceof BackendFault && error.code === 'not_ours')
      const ours = await pg.login(order)
      await ours.end()
      await pg.asSuperuser(`comment on role "${order.handle}" is 'a person'`)
      await assert.rejects(pg.connector.withdraw(order.handle, order.template, ignore), { code: 'not_ours' })
      assert.deepEqual(await pg.connector.list(order.handle), [])
      assert.deepEqual(await pg.rolesNamed(order.handle), [order.handle])
    })

    test('a template that can not be granted leaves no role behind', async () => {
      const cases = [
        { on: 'table', names: ['shop.nothing'], code: '42P01' },
        { on: 'table', names: ['pg_catalog.pg_authid'], code: '42501' },
        { on: 'database', names: ['postgres'], code: '42501' },
      ] as const
      for (const { on, names, code } of cases) {
        const privileges = on === 'database' ? ['create'] : ['select']
        const order = pg.order({ template: { ...pg.template, grants: [{ privileges, on, names }] } })
        await assert.rejects(pg.connector.mint(order), (error) => error instanceof BackendFault && [code, '01007'].includes(error.code))
        assert.deepEqual(await pg.rolesNamed(order.handle), [])
      }
    })

    test('ending one lease leaves the session of another alone', async () => {
      const [ending, staying] = [pg.order(), pg.order()]
      await Promise.all([pg.connector.mint(ending), pg.connector.mint(staying)])
      const [doomed, alive] = [await pg.login(ending), await pg.login(staying)]
      const told = once(doomed, 'error')
      const withdrawal = await pg.connector.withdraw(ending.handle, ending.template, ignore)
      assert.equal(withdrawal.sessionsEnded, 1)
      const [error] = await told
      assert.equal(error.code, '57P01')
      assert.equal((await alive.query('select count(*)::int as n from shop.orders')).rows[0].n, 2)
      await alive.end()
      const again = await pg.login(staying)
      await again.end()
      await pg.connector.withdraw(staying.handle, staying.template, ignore)
    })

    test('a lease that nobody withdraws opens nothing after its end', async () => {
      const order = pg.order({ expiresAt: epochMs(Date.now() - 1) })
      const { control } = await pg.connector.mint(order)
      assert.equal(control.ok, false)
      const probe = await pg.connector.probe(order.handle, order.secret, order.template)
      assert.equal(probe.kind, 'refused')
      assert.equal(probe.absentFromCatalogue, false)
      await pg.connector.withdraw(order.handle, order.template, ignore)
    })

    test('a secret that still opens the door is told as accepted', async () => {
      const order = pg.order()
      await pg.connector.mint(order)
      assert.equal((await pg.connector.probe(order.handle, order.secret, order.template)).kind, 'accepted')
      await pg.connector.withdraw(order.handle, order.template, ignore)
    })

    test('a probe that does not get as far as the secret is not evaluated', async () => {
      const order = pg.order({ template: { ...pg.template, connectionLimit: 1 } })
      await pg.connector.mint(order)
      const session = await pg.login(order)
      const full = await pg.connector.probe(order.handle, order.secret, order.template)
      assert.equal(full.kind, 'not_evaluated')
      assert.match(full.why, /53300/)
      await session.end()
      await pg.connector.withdraw(order.handle, order.template, ignore)
      const nowhere = postgresConnector({ ...pg.settings, port: 1 }, pg.administratorSecret)
      const unreached = await nowhere.probe(order.handle, order.secret, order.template)
      assert.equal(unreached.kind, 'not_evaluated')
      assert.match(unreached.why, /ECONNREFUSED/)
      await assert.rejects(nowhere.withdraw(order.handle, order.template, ignore), { name: 'BackendFault', code: 'ECONNREFUSED' })
      await nowhere.close()
    })

    test('listing by prefix takes a wildcard for what it is', async () => {
      const order = pg.order()
      await pg.connector.mint(order)
      assert.deepEqual(await pg.connector.list(order.handle.replace('_', '%')), [])
      assert.deepEqual(await pg.connector.list(order.handle.slice(0, -1)), [{ handle: order.handle }])
      await pg.connector.withdraw(order.handle, order.template, ignore)
    })

    test('two servers mint and withdraw many leases of one template at a time', async () => {
      const other = postgresConnector(pg.settings, pg.administratorSecret)
      const orders = Array.from({ length: 40 }, () => pg.order())
      const of = (at: number): typeof other => (at % 2 === 0 ? other : pg.connector)
      const minted = await Promise.all(orders.map((order, at) => of(at).mint(order)))
      assert.ok(minted.every(({ control }) => control.ok))
      const ended = await Promise.all(orders.map((order, at) => of(at + 1).withdraw(order.handle, order.template, ignore)))
      assert.ok(ended.every(({ existed }) => existed))
      assert.deepEqual(await pg.connector.list(orders[0]!.handle.slice(0, 14)), [])
      await other.close()
    })

    test('a task starts quickly', async (t) => {
      const took: number[] = []
      const orders = Array.from({ length: 20 }, () => pg.order())
      for (const order of orders) {
        const began = performance.now()
        assert.ok((await pg.connector.mint(order)).control.ok)
        took.push(performance.now() - began)
      }
      const ended: number[] = []
      for (const order of orders) {
        const began = performance.now()
        await pg.connector.withdraw(order.handle, order.template, ignore)
        ended.push(performance.now() - began)
      }
      const p50 = (of: number[]): string => of.toSorted((a, b) => a - b)[of.length / 2]!.toFixed(1)
      t.diagnostic(`mint with control login: p50 ${p50(took)} ms; withdraw: p50 ${p50(ended)} ms`)
    })
  })

  test(`on PostgreSQL ${version} the administrator's secret can be rotated, and no secret is told however much the server logs`, async () => {
    const cluster = await startCluster({ version, settings: { log_statement: 'all', log_min_messages: 'debug1', log_min_error_statement: 'debug1' } })
    const pg = await governedPostgres(version, cluster)
    try {
      const order = pg.order()
      await pg.connector.mint(order)
      await pg.connector.withdraw(order.handle, order.template, ignore)
      await pg.connector.probe(order.handle, order.secret, order.template)
      const next = freshSecret()
      await pg.connector.rotate(next)
      assert.deepEqual(await pg.connector.list('nothing'), [])
      const stale = postgresConnector(pg.settings, pg.administratorSecret)
      const fault = await stale.list('nothing').catch((error: unknown) => error)
      assert.ok(fault instanceof BackendFault)
      assert.equal(fault.code, '28P01')
      await stale.close()
      const fresh = postgresConnector(pg.settings, next)
      await fresh.list('nothing')
      await fresh.close()

      // The set-up of this test itself made the administrator with a plain password: only what came after counts.
      const log = (await readFile(cluster.logFile, 'utf8')).split('\n').filter((line) => !line.includes('login createrole inherit'))
      assert.ok(log.some((line) => line.includes(`create role "${order.handle}"`)))
      const told = `${log.join('\n')} ${JSON.stringify(fault)} ${fault.stack} ${String(fault.cause)}`
      for (const secret of [order.secret, next, pg.administratorSecret]) assert.ok(!told.includes(secret))
    } finally {
      await pg.connector.close()
      await cluster.stop('immediate')
    }
  })
}
