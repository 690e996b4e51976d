import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import type { Reassigned } from '@writ/domain/lease'
import { startCluster } from '../../../../../scripts/postgres-cluster.ts'
import { freshSecret, governedPostgres, type GovernedPostgres } from '../../../test/governed-postgres.ts'
import { BackendFault, type MintOrder, type Withdrawal } from '../connector.ts'

const ignore = async (): Promise<void> => {}

for (const version of [15, 18] as const) {
  describe(`on PostgreSQL ${version}`, () => {
    let pg: GovernedPostgres
    before(async () => { pg = await governedPostgres(version) })
    after(() => pg.remove())

    /** Mints a lease and runs what its holder does, then logs it out. */
    const lease = async (work: string, over: Partial<MintOrder> = {}): Promise<MintOrder> => {
      const order = pg.order(over)
      await pg.connector.mint(order)
      const session = await pg.login(order)
      await session.query(work)
      await session.end()
      return order
    }
    const withdraw = (order: MintOrder): Promise<Withdrawal> => pg.connector.withdraw(order.handle, order.template, ignore)
    const list = (reassigned: readonly Reassigned[]): readonly string[] => reassigned.map(({ kind, name, disarmed }) => (
      `${kind} ${name}${disarmed === undefined ? '' : ` - ${disarmed}`}`))
    const asReader = (statement: string): Promise<unknown> => pg.asSuperuser(`set role ${pg.readers}; ${statement}`, [], pg.database)
    const ownerOf = async (relation: string): Promise<unknown> => (
      await pg.asSuperuser('select relowner::regrole::text as owner from pg_class where oid = $1::regclass', [relation], pg.database))[0]?.['owner']

    test('a task that made tables keeps them, in every database, and its login is gone', async () => {
      const order = await lease(`
        create table shop.invoices (id serial primary key, total int); insert into shop.invoices (total) values (7), (8);
        create sequence shop.numbers; select lo_create(0)`)
      const grants = `set role "${pg.owner}"; grant usage, create on schema shop to "${order.handle}"`
      await pg.asSuperuser(grants, [], pg.elsewhere)
      const away = await pg.login(order, pg.elsewhere)
      await away.query('create table shop.archive as select 1 as one')
      await assert.rejects(pg.asSuperuser(`drop role "${order.handle}"`), { code: '2BP01' })

      const told = once(away, 'error')
      const { existed, sessionsEnded, reassigned } = await withdraw(order)
      assert.equal((await told)[0].code, '57P01')
      assert.deepEqual({ existed, sessionsEnded }, { existed: true, sessionsEnded: 1 })
      const of = (database: string): readonly string[] => list(reassigned.filter((each) => each.database === database))
      assert.deepEqual(of(pg.elsewhere), ['table shop.archive'])
      const largeObject = of(pg.database).filter((each) => each.startsWith('large object'))
      assert.equal(largeObject.length, 1)
      assert.deepEqual(of(pg.database), [...largeObject, 'sequence shop.invoices_id_seq', 'sequence shop.numbers', 'table shop.invoices'])
      assert.ok(reassigned.every(({ newOwner }) => newOwner === pg.owner))
      assert.deepEqual(await pg.rolesNamed(order.handle), [])
      assert.deepEqual(await pg.asSuperuser('select total from shop.invoices order by 1', [], pg.database), [{ total: 7 }, { total: 8 }])
      assert.equal(await ownerOf('shop.invoices'), `"${pg.owner}"`)
    })

    test('nothing that the lease made acts with its new owner\'s rights', async () => {
      const order = await lease(`
        create function shop.pay() returns bigint language sql security definer as 'select sum(amount) from shop.salaries';
        create procedure shop.raise() language sql security definer as 'update shop.salaries set amount = amount + 1';
        create function shop.plain() returns int language sql as 'select 1';
        create table shop.bait (i int); insert into shop.bait values (1);
        create rule "the ""rule" as on update to shop.bait do instead delete from shop.salaries;
        create rule second as on delete to shop.bait do also delete from shop.salaries;
        create view shop.peek as select * from shop.salaries;
        create rule third as on insert to shop.peek do instead delete from shop.salaries;
        create materialized view shop.copy as select * from shop.salaries with no data;
        grant select, update, delete, insert on shop.bait, shop.peek, shop.copy to ${pg.readers};
        grant select (amount) on shop.copy to public;
        grant all on shop.copy to ${pg.settings.user} with grant option`)
      await pg.asSuperuser(`grant usage on schema shop to ${pg.readers}`, [], pg.database)
      const { reassigned } = await withdraw(order)
      assert.deepEqual(list(reassigned), [
        'function shop.pay() - security definer',
        'function shop.plain()',
        'materialized view shop.copy - grants to others',
        'procedure shop.raise() - security definer',
        'table shop.bait - rule second, rule "the ""rule"',
        'view shop.peek - rule third, owner rights of a view',
      ])
      const reads = ['select * from shop.peek', 'select * from shop.copy', 'select amount from shop.copy']
      for (const attempt of ['select shop.pay()', 'call shop.raise()', ...reads]) {
        await assert.rejects(asReader(attempt), { code: '42501' }, attempt)
      }
      await asReader('update shop.bait set i = 2; delete from shop.bait')
      assert.equal((await pg.asSuperuser('select * from shop.salaries', [], pg.database)).length, 1)
      await asReader('select shop.plain()')
    })

    test('an index that would run the lease\'s code as the new owner goes, unless the lease had that owner\'s rights anyway', async () => {
      const work = (name: string): string => `
        create function shop.${name}_code(int) returns int immutable language sql as 'select $1';
        create table shop.${name} (i int, t text);
        create index ${name}_code_index on shop.${name} (shop.${name}_code(i));
        create index ${name}_partial on shop.${name} (i) where shop.${name}_code(i) > 1;
        create index ${name}_lower on shop.${name} (lower(t)) where i > 0;
        create index ${name}_plain on shop.${name} (i);
        create statistics shop.${name}_stats on (shop.${name}_code(i)), (i + 1) from shop.${name}`
      const indexesOf = async (name: string): Promise<readonly unknown[]> => (
        await pg.asSuperuser('select indexname from pg_indexes where tablename = $1 order by 1', [name], pg.database)).map((row) => row['indexname'])

      const stranger = await withdraw(await lease(work('strange')))
      assert.ok(list(stranger.reassigned).includes('table shop.strange - index strange_code_index, index strange_partial, statistics strange_stats'))
      assert.deepEqual(await indexesOf('strange'), ['strange_lower', 'strange_plain'])

      if (version >= 16) await pg.asSuperuser(`grant "${pg.owner}" to ${pg.settings.user} with admin option`)
      const trusted = await withdraw(await lease(work('known'), { template: { ...pg.template, memberOf: [pg.owner] } }))
      assert.ok(list(trusted.reassigned).includes('table shop.known'))
      assert.deepEqual(await indexesOf('known'), ['known_code_index', 'known_lower', 'known_partial', 'known_plain'])
    })

    test('hostile names, temporary tables, default privileges and settings of its own hold nothing up', async () => {
      const order = await lease(`
        create table shop."x""; drop table shop.orders; --" ("i""j" int);
        create table shop."\u202eevil\u0009 🦆 'quoted'" (i int);
        create function shop."f"";--"("a b" int, text default ');') returns int language sql security definer as 'select 1';
        create view shop."v'); drop table shop.orders; --" as select 1 as one;
        create type shop."T y""pe" as enum ('a'); create domain shop.d as int check (value > 0);
        create temporary table t (i int);
        alter default privileges in schema shop grant all on tables to public;
        alter default privileges grant execute on functions to ${pg.readers};
        alter role current_user set search_path = 'shop'`)
      const { reassigned } = await withdraw(order)
      assert.deepEqual(list(reassigned), [
        'function shop."f"";--"(integer,pg_catalog.text) - security definer',
        'table shop."x""; drop table shop.orders; --"',
        'table shop."\u202eevil\u0009 🦆 \'quoted\'"',
        'type shop."T y""pe"',
        'type shop.d',
        'view shop."v\'); drop table shop.orders; --" - owner rights of a view',
      ])
      assert.equal((await pg.asSuperuser('select * from shop.orders', [], pg.database)).length, 2)
      assert.equal((await pg.asSuperuser(`select from pg_default_acl where defaclrole::regrole::text like 'writ%'`, [], pg.database)).length, 0)
    })

    test('what a migration opened to others stays open', async () => {
      await pg.asSuperuser(`grant usage on schema shop to ${pg.readers}`, [], pg.database)
      await withdraw(await lease(`create table shop.news (i int); grant select on shop.news to ${pg.readers}`))
      await asReader('select * from shop.news')
      await assert.rejects(asReader('insert into shop.news values (1)'), { code: '42501' })
    })

    test('a secret that the holder gave itself is dead too', async () => {
      const own = freshSecret()
      const order = await lease(`alter role current_user password '${own}'`)
      await (await pg.login({ ...order, secret: own })).end()
      await withdraw(order)
      for (const secret of [own, order.secret]) {
        const probe = await pg.connector.probe(order.handle, secret, order.template)
        assert.ok(probe.kind === 'refused' && probe.absentFromCatalogue)
      }
    })

    test('withdrawing twice finds nothing the second time', async () => {
      const order = await lease('create table shop.once (i int)')
      assert.equal((await withdraw(order)).existed, true)
      assert.deepEqual(await withdraw(order), { existed: false, sessionsEnded: 0, reassigned: [] })
    })

    test('a withdrawal that broke off is finished by the next', async () => {
      const order = await lease('create table shop.half (i int); create table shop.other_half (i int)')
      await pg.asSuperuser(`alter role "${order.handle}" nologin password null; alter table shop.half owner to "${pg.owner}"`, [], pg.database)
      assert.deepEqual(list((await withdraw(order)).reassigned), ['table shop.other_half'])
      assert.deepEqual(await pg.rolesNamed(order.handle), [])
    })

    test('what was found is told before anything is handed over, and nothing is if it can not be told', async () => {
      const order = await lease(`
        create table shop.told (i int);
        create function shop.told() returns int language sql security definer as 'select 1'`)
      const found: string[][] = []
      const survey = async ({ reassigned }: Omit<Withdrawal, 'existed'>): Promise<void> => {
        found.push([...list(reassigned)])
        assert.equal(await ownerOf('shop.told'), order.handle)
        if (found.length === 1) throw new Error('the disk is full')
      }
      await assert.rejects(pg.connector.withdraw(order.handle, order.template, survey), /the disk is full/)
      await assert.rejects(pg.login(order), { code: '28P01' })
      assert.equal(await ownerOf('shop.told'), order.handle)
      const { reassigned } = await pg.connector.withdraw(order.handle, order.template, survey)
      assert.deepEqual(list(reassigned), ['function shop.told() - security definer', 'table shop.told'])
      assert.deepEqual(found, [list(reassigned), list(reassigned)])
    })

    test('an accomplice who adds an object while the lease is withdrawn gains nothing by it', async () => {
      const order = await lease('create table shop.early (i int)')
      const friend = pg.order()
      await pg.connector.mint(friend)
      await pg.asSuperuser(`grant "${order.handle}" to "${friend.handle}"`)
      const session = await pg.login(friend)
      await session.query(`set role "${order.handle}"`)
      const { reassigned } = await pg.connector.withdraw(order.handle, order.template, async () => {
        await session.query(`create function shop.late() returns bigint language sql security definer as 'select sum(amount) from shop.salaries'`)
      })
      assert.deepEqual(list(reassigned), ['table shop.early', 'function shop.late() - security definer'])
      await assert.rejects(session.query('create table shop.later (i int)'))
      await session.query('reset role')
      await assert.rejects(session.query('select shop.late()'), { code: '42501' })
      await session.end()
      await withdraw(friend)
    })

    test('a holder who keeps logging in while the lease ends is out when it has ended', async () => {
      const order = await lease('select 1')
      let over = false
      let opened = 0
      const knock = async (): Promise<void> => {
        while (!over) {
          const session = await pg.login(order).catch(() => undefined)
          if (session === undefined) continue
          opened++
          await session.query('select pg_sleep(30)').catch(() => {})
          await session.end().catch(() => {})
        }
      }
      const knocking = Promise.all([knock(), knock(), knock()])
      while (opened < 3) await pg.asSuperuser('select 1')
      await withdraw(order)
      over = true
      await knocking
      assert.deepEqual(await pg.asSuperuser('select pid from pg_stat_activity where usename = $1', [order.handle]), [])
      assert.deepEqual(await pg.rolesNamed(order.handle), [])
    })

    test('a stranger\'s lock delays the handing over, not the end of the login, and the next attempt goes through', async () => {
      const order = await lease(`create table shop.locked (i int); grant all on shop.locked to ${pg.readers}`)
      const stranger = pg.order({ template: { ...pg.template, memberOf: [pg.readers] } })
      await pg.connector.mint(stranger)
      const session = await pg.login(stranger)
      await session.query('begin; lock table shop.locked')
      await assert.rejects(withdraw(order), (error) => error instanceof BackendFault && error.code === '55P03')
      await assert.rejects(pg.login(order), { code: '28P01' })
      assert.equal(await ownerOf('shop.locked'), order.handle)
      await session.end()
      assert.deepEqual(list((await withdraw(order)).reassigned), ['table shop.locked'])
      await withdraw(stranger)
    })

    test('a grant that only somebody else can take back is named, and the login is dead all the same', async () => {
      const order = await lease('select 1')
      await pg.asSuperuser(`grant create on database postgres to "${order.handle}"`)
      const fault = await withdraw(order).catch((error: unknown) => error)
      assert.ok(fault instanceof BackendFault)
      assert.equal(fault.code, '2BP01')
      assert.match(fault.message, /privileges for database postgres/)
      const probe = await pg.connector.probe(order.handle, order.secret, order.template)
      assert.ok(probe.kind === 'refused' && !probe.absentFromCatalogue)
      await pg.asSuperuser(`revoke create on database postgres from "${order.handle}"`)
      assert.equal((await withdraw(order)).existed, true)
    })
  })

  test(`on PostgreSQL ${version} a prepared transaction of the lease stops the withdrawal with a word on what to do`, async () => {
    const cluster = await startCluster({ version, settings: { max_prepared_transactions: '5' } })
    const pg = await governedPostgres(version, cluster)
    try {
      const order = pg.order()
      await pg.connector.mint(order)
      const session = await pg.login(order)
      await session.query(`begin; create table shop.pending (i int); prepare transaction 'it''s'`)
      await session.end()
      const withdraw = (): Promise<Withdrawal> => pg.connector.withdraw(order.handle, order.template, ignore)
      const fault = await withdraw().catch((error: unknown) => error)
      assert.ok(fault instanceof BackendFault && fault.code === 'prepared_transactions' && fault.message.includes(pg.database))
      await assert.rejects(pg.login(order), { code: '28P01' })
      await pg.asSuperuser(`commit prepared 'it''s'`, [], pg.database)
      assert.deepEqual((await withdraw()).reassigned.map(({ name }) => name), ['shop.pending'])
    } finally {
      await pg.connector.close()
      await cluster.stop('immediate')
    }
  })
}
