import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as tasks from '@writ/contract/tasks'
import { isSecret } from '@writ/domain/secret'
import { eventually } from '../eventually.ts'
import { governedPostgres, type GovernedPostgres } from '../governed-postgres.ts'
import { addShop, ask, complete, DDL, GRANT, handlePrefixOf, leased, login, open, opened, refusalOf, show } from '../governed-writ.ts'
import { allEvents, closureOf, eventsOf } from '../proofs.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'

/** Each governed PostgreSQL with one of the stores: where they differ, both are seen. */
for (const { version, store } of [{ version: 15, store: 'postgres' }, { version: 18, store: 'sqlite' }] as const) {
  describe(`a lease on PostgreSQL ${version}, recorded in ${store}`, () => {
    let writ: RunningWrit
    let shop: GovernedPostgres
    let migrator: TestIdentity
    let prefix: string
    before(async () => {
      shop = await governedPostgres(version)
      writ = await startWrit({ store })
      await addShop(writ, shop)
      migrator = await writ.register('migrator')
      prefix = await handlePrefixOf(writ)
    })
    after(async () => {
      await writ.stop()
      await shop.remove()
    })
    const counts = async () => ({ events: (await allEvents(writ)).length, roles: await shop.rolesNamed(prefix) })

    test('a task creates a table, ends, and its certificate shows who refused the dead login and that the table stays', async () => {
      const task = await opened(migrator, { purpose: 'create the invoices' })
      const lease = await leased(migrator, task)
      assert.ok(isSecret(lease.secret))
      assert.deepEqual([lease.state, lease.backend, lease.template, lease.user.startsWith(prefix)], ['live', 'shop', 'ddl', true])
      const session = await login(lease)
      await session.query('create table shop.invoices (id serial primary key, total int); insert into shop.invoices (total) values (7)')
      await session.query(`create function shop.raise() returns int language sql security definer as 'select 1'`)
      const broken = new Promise<{ readonly code?: string }>((resolve) => { session.once('error', resolve) })

      const ended = await complete(migrator, task)
      assert.deepEqual([ended.status, ended.reply.state, ended.reply.end_reason], [200, 'ending', 'completed'])
      assert.equal((await broken).code, '57P01')
      const closure = await closureOf(writ, migrator.api, task)

      const [end] = closure.leases
      assert.ok(end !== undefined && 'handle' in end && end.end.kind === 'ended' && end.end.probe.kind === 'refused')
      assert.deepEqual(
        [closure.task, closure.identity, closure.spiffe_id, closure.purpose, closure.technical_owner, closure.business_owner],
        [task, migrator.id, migrator.spiffeId, 'create the invoices', 'team:platform', 'person:maya@acme.example'],
      )
      assert.deepEqual([closure.reason, closure.ended_by, closure.outcome], ['completed', 'identity', 'proved'])
      assert.deepEqual([end.lease, end.handle, end.minted?.control_ok], [lease.id, lease.user, true])
      assert.deepEqual([end.end.control_login, end.end.sessions_ended], ['ok', 1])
      assert.deepEqual([end.end.probe.code, end.end.probe.absent_from_catalogue, end.end.residual_until], ['28P01', true, null])
      assert.ok(end.end.probe.by.startsWith(`PostgreSQL ${version}.`), end.end.probe.by)
      assert.ok(end.end.refused_after_ms !== null && end.end.refused_after_ms < 5000)
      const made = end.end.reassigned.filter((one) => /invoices|raise/.test(one.name))
      assert.ok(made.some((one) => one.kind === 'table' && one.name === 'shop.invoices' && one.new_owner === shop.owner), JSON.stringify(made))
      assert.ok(made.some((one) => one.kind === 'sequence'))
      assert.equal(made.find((one) => one.kind === 'function')?.disarmed, 'security definer')

      assert.equal(await refusalOf(lease), '28P01')
      assert.deepEqual(await shop.rolesNamed(prefix), [])
      const kept = await shop.asSuperuser('select total, tableowner from shop.invoices, pg_tables where tablename = \'invoices\'', [], shop.database)
      assert.deepEqual(kept, [{ total: 7, tableowner: shop.owner }])
      assert.ok(!JSON.stringify(await eventsOf(writ, task)).includes(lease.secret))
    })

    test('saying twice that the work is done says nothing new', async () => {
      const task = await opened(migrator)
      await complete(migrator, task)
      await closureOf(writ, migrator.api, task)
      const once = await eventsOf(writ, task)
      const again = await complete(migrator, task)
      assert.deepEqual([again.status, again.reply.state, again.reply.end_reason], [200, 'closed', 'completed'])
      assert.deepEqual(await eventsOf(writ, task), once)
    })

    test('an identity does not learn of another one\'s task, lease or certificate', async () => {
      const stranger = await writ.register('stranger')
      const task = await opened(migrator)
      const lease = await leased(migrator, task)
      const before = await counts()
      const parameters = { id: task }
      for (const got of [
        await stranger.api(tasks.showTask, { parameters }),
        await stranger.api(tasks.completeTask, { parameters }),
        await stranger.api(tasks.heartbeat, { parameters }),
        await stranger.api(tasks.certificate, { parameters }),
        await ask(stranger, task),
        await stranger.api(tasks.revokeLease, { parameters: { id: lease.id }, body: { reason: 'mine now' } }),
      ]) {
        assert.equal(got.status, 404)
        assert.match(got.problem.code, /^(task|lease)_not_found$/)
      }
      assert.deepEqual(await counts(), before)
      const early = await migrator.api(tasks.certificate, { parameters })
      assert.deepEqual([early.status, early.problem.code, early.problem.retryable], [409, 'certificate_not_yet', true])
      await complete(migrator, task)
      await closureOf(writ, writ.operator, task)
      assert.equal((await stranger.api(tasks.certificate, { parameters })).status, 404)
    })

    test('revoking one of twenty leases leaves the others and the task alive', async () => {
      const task = await opened(migrator)
      const leases = await Promise.all(Array.from({ length: 20 }, () => leased(migrator, task)))
      const [first, second] = [leases[0]!, leases[1]!]
      const session = await login(second)
      const revoked = await migrator.api(tasks.revokeLease, { parameters: { id: first.id }, body: { reason: 'not needed' } })
      assert.deepEqual([revoked.status, revoked.reply.state], [200, 'withdrawing'])
      await eventually('the revoked lease ends', async () => (
        (await show(migrator, task)).reply.leases.find((one) => one.id === first.id)?.outcome === 'proved'
      ))
      assert.equal(await refusalOf(first), '28P01')
      assert.deepEqual((await session.query('select 1 as one')).rows, [{ one: 1 }])
      await session.end()
      const { reply } = await show(migrator, task)
      assert.deepEqual([reply.state, reply.leases.filter((one) => one.state === 'live').length], ['open', 19])
      for (const lease of leases.slice(1)) await (await login(lease)).end()
      await complete(migrator, task)
      const closure = await closureOf(writ, migrator.api, task)
      assert.deepEqual([closure.leases.length, closure.outcome], [20, 'proved'])
      assert.deepEqual(await shop.rolesNamed(prefix), [])
    })

    test('a permit that the task lacks, a back end that is not there and a template that is not there get the same answer, and no more than a denial is recorded', async () => {
      const narrow = await opened(migrator, { authorization_details: [{ type: 'postgres', locations: ['shop'], actions: ['read'] }] })
      const wide = await writ.register('wide', { authority: ['postgres:shop:ddl', 'postgres:nowhere:ddl', 'postgres:shop:nothing'] })
      const task = await opened(wide, { authorization_details: [{ type: 'postgres', locations: ['shop', 'nowhere'], actions: ['ddl'] }] })
      const other = await opened(wide, { authorization_details: [{ type: 'postgres', locations: ['shop'], actions: ['nothing'] }] })
      const before = await counts()
      const answers = [
        await migrator.api(tasks.issueLease, { parameters: { id: narrow }, body: DDL }),
        await wide.api(tasks.issueLease, { parameters: { id: task }, body: { ...DDL, resource: 'nowhere' } }),
        await wide.api(tasks.issueLease, { parameters: { id: other }, body: { ...DDL, action: 'nothing' } }),
        await wide.api(tasks.issueLease, { parameters: { id: task }, body: { ...DDL, type: 'mysql' } }),
      ]
      const [{ problem: first }] = answers as [typeof answers[0], ...typeof answers]
      for (const { status, problem } of answers) {
        assert.deepEqual([status, problem.code, problem.detail, problem.hint], [422, 'grant_not_covered', first.detail, first.hint])
      }
      const told = (await allEvents(writ)).slice(before.events)
      assert.deepEqual(told.map(({ type, task: of, facts }) => [type, of, facts['answer'], facts['cause']]), [narrow, task].map((of) => ['decision.made', of, 'deny', 'grant']))
      assert.deepEqual((await counts()).roles, before.roles)
      for (const { by, id } of [{ by: migrator, id: narrow }, { by: wide, id: task }, { by: wide, id: other }]) {
        const { leases, budget } = (await show(by, id)).reply
        assert.deepEqual([leases, budget.used], [[], 0])
      }
    })

    test('a repeated request for a lease gets the same login, five at once or one after the other, and there is one role', async () => {
      const task = await opened(migrator)
      const headers = { 'idempotency-key': 'the-same-lease' }
      const storm = await Promise.all(Array.from({ length: 5 }, () => ask(migrator, task, headers)))
      assert.deepEqual(storm.map((got) => got.status), [201, 201, 201, 201, 201])
      const later = await ask(migrator, task, headers)
      assert.equal(new Set([...storm, later].map((got) => JSON.stringify([got.reply.id, got.reply.secret, got.reply.user]))).size, 1)
      assert.equal((await shop.rolesNamed(prefix)).length, 1)
      const { reply } = await show(migrator, task)
      assert.deepEqual([reply.leases.length, reply.budget.used], [1, 1])
      await (await login(later.reply)).end()
      const other = await migrator.api(tasks.issueLease, { parameters: { id: task }, body: { ...DDL, action: 'read' }, headers })
      assert.equal(other.status, 422)
      await complete(migrator, task)
      await closureOf(writ, migrator.api, task)
    })

    test('what a task may not be is refused, and nothing is written', async () => {
      const shared = await writ.register('shared-script', { class: 'script', kind: 'pipeline' })
      const before = await counts()
      for (const ttl_seconds of [0, -1, 1.5, '10', null, [300], true] as const) {
        const got = await open(migrator, { ttl_seconds: ttl_seconds as never })
        assert.deepEqual([got.status, got.problem.errors?.[0]?.field], [400, 'ttl_seconds'], `${String(ttl_seconds)}: ${got.text}`)
      }
      for (const number of ['1e99', '1e400', 'Infinity', 'NaN', '-0', '0x10', '300.0000000000001']) {
        const body = JSON.stringify({ purpose: 'x', authorization_details: GRANT, ttl_seconds: 77 }).replace('77', number)
        const got = await migrator.api(tasks.openTask, { body })
        assert.equal(got.status, 400, `${number}: ${got.text}`)
      }
      for (const { by, most } of [{ by: migrator, most: 3600 }, { by: shared, most: 14_400 }]) {
        const got = await open(by, { ttl_seconds: most + 1 })
        assert.deepEqual([got.status, got.problem.code, got.problem.errors?.[0]?.field], [422, 'too_long', 'ttl_seconds'])
      }
      for (const authorization_details of [
        [{ type: 'postgres', locations: ['shop'], actions: ['drop'] }],
        [{ type: 'postgres', locations: ['bank'], actions: ['ddl'] }],
        [...GRANT, { type: 'aws', locations: ['shop'], actions: ['ddl'] }],
      ]) {
        const got = await open(migrator, { authorization_details })
        assert.deepEqual([got.status, got.problem.code], [422, 'grant_not_covered'])
      }
      for (const [field, body] of [
        ['purpose', { purpose: ' ' }], ['authorization_details', { authorization_details: [] }], ['budget.calls', { budget: { calls: 0 } }],
        ['heartbeat_seconds', { heartbeat_seconds: 0 }], ['idle_timeout_seconds', { idle_timeout_seconds: -5 }], ['parent', { parent: 'tsk_1' }],
      ] as const) {
        const got = await open(migrator, body as never)
        assert.deepEqual([got.status, got.problem.errors?.[0]?.field], [400, field], got.text)
      }
      assert.deepEqual(await counts(), before)
    })

    test('a task that names no length lives for five minutes, and one of the longest length is opened', async () => {
      const shared = await writ.register('night-script', { class: 'script', kind: 'pipeline' })
      for (const { by, body, length } of [
        { by: migrator, body: {}, length: 300 },
        { by: migrator, body: { ttl_seconds: 3600 }, length: 3600 },
        { by: shared, body: { ttl_seconds: 14_400 }, length: 14_400 },
      ]) {
        const { reply } = await open(by, body)
        assert.equal((Date.parse(reply.deadline) - Date.parse(reply.opened_at)) / 1000, length)
        await complete(by, reply.id)
      }
    })
  })
}
