import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, chownSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { epochMs } from '@writ/domain/time'
import type { Outcome } from '@writ/domain/outcome'
import { startCluster } from '../../../../../scripts/postgres-cluster.ts'
import { freshSecret, governedPostgres, type GovernedPostgres } from '../../../test/governed-postgres.ts'
import type { Admission, AdmitRefusal, Connector, Template, TemplateGrant } from '../connector.ts'
import { postgresConnector } from './connector.ts'

type Admitted = Outcome<Admission, AdmitRefusal>

const testHandle = (): string => `writ_test_${randomBytes(6).toString('hex')}`

/** Admits with a test login of its own, and looks whether any of it was left behind. */
async function admit(pg: GovernedPostgres, connector: Connector, templates: readonly Template[]): Promise<Admitted> {
  const handle = testHandle()
  const admitted = await connector.admit(templates, handle, freshSecret(), epochMs(Date.now()))
  assert.deepEqual(await pg.rolesNamed(handle), [], JSON.stringify(admitted))
  return admitted
}

const refusalOf = (admitted: Admitted): AdmitRefusal => {
  assert.ok(!admitted.ok)
  return admitted.refusal
}

for (const version of [15, 18] as const) {
  describe(`on PostgreSQL ${version}`, () => {
    let pg: GovernedPostgres
    before(async () => { pg = await governedPostgres(version) })
    after(() => pg.remove())

    const withGrant = (grant: TemplateGrant): Template => ({ ...pg.template, grants: [grant] })

    test('a back end with an administrator who may is admitted after a whole cycle for each template', async () => {
      const all: Template = {
        ...pg.template, name: 'all', memberOf: [pg.readers],
        grants: [
          { privileges: ['USAGE'], on: 'schema', names: ['shop'] },
          { privileges: ['select', 'update'], on: 'all tables in schema', names: ['shop'] },
          { privileges: ['usage'], on: 'all sequences in schema', names: ['shop'] },
          { privileges: ['execute'], on: 'all functions in schema', names: ['shop'] },
          { privileges: ['connect', 'temporary'], on: 'database', names: [pg.database] },
        ],
      }
      const admitted = await admit(pg, pg.connector, [pg.template, all, { ...pg.template, name: 'away', database: pg.elsewhere }])
      assert.ok(admitted.ok, JSON.stringify(admitted))
      assert.match(admitted.value.version, new RegExp(`^${version}\\.\\d+$`))
      assert.ok(admitted.value.cycleMs >= 0)
    })

    test('a superuser is refused, and what it is told to run makes an administrator who is admitted', async () => {
      await pg.asSuperuser(`create role super_${pg.database} superuser login password 'a-superuser-of-the-test'`)
      const superuser = postgresConnector({ ...pg.settings, user: `super_${pg.database}` }, 'a-superuser-of-the-test')
      const template = { ...pg.template, memberOf: [pg.readers] }
      const refusal = refusalOf(await admit(pg, superuser, [template]))
      assert.equal(refusal.kind, 'superuser')
      await superuser.close()
      const user = `made_${pg.database}`
      for (const statement of refusal.rightsNeeded) await pg.asSuperuser(statement.replaceAll('"writ_admin"', user), [], pg.database)
      await pg.asSuperuser(`alter role ${user} password 'set-by-the-operator'`)
      const made = postgresConnector({ ...pg.settings, user }, 'set-by-the-operator')
      const admitted = await admit(pg, made, [template])
      assert.ok(admitted.ok, JSON.stringify(admitted))
      await made.close()
    })

    test('a missing right is named by the statement that gives it', async () => {
      const user = pg.settings.user
      await pg.asSuperuser(`
        create role third_${pg.database}; create table shop.foreign_table (i int); alter table shop.foreign_table owner to third_${pg.database};
        create schema theirs authorization third_${pg.database}; create sequence theirs.numbers;
        create function theirs.f(a int, b text) returns int language sql as 'select 1'; revoke execute on function theirs.f from public;
        grant usage, create on schema theirs to ${user} with grant option`, [], pg.database)
      const newest = version >= 16
      const cases: readonly { readonly take?: string; readonly template: Template; readonly needed: readonly string[] }[] = [
        { take: `alter role ${user} nocreaterole`, template: pg.template, needed: [`alter role "${user}" createrole;`] },
        {
          take: `revoke "${pg.owner}" from ${user}`, template: { ...pg.template, grants: [] },
          needed: [`grant "${pg.owner}" to "${user}"${newest ? ' with inherit true, set true' : ''};`],
        },
        ...newest ? [{
          take: `revoke admin option for ${pg.readers} from ${user}`, template: { ...pg.template, memberOf: [pg.readers] },
          needed: [`grant "${pg.readers}" to "${user}" with admin true, inherit false, set false;`],
        }] : [{ take: `alter role ${user} noinherit`, template: { ...pg.template, grants: [] }, needed: [`alter role "${user}" inherit;`] }],
        {
          template: withGrant({ privileges: ['select', 'insert'], on: 'table', names: ['shop.foreign_table'] }),
          needed: ['select', 'insert'].map((privilege) => `grant ${privilege} on table "shop"."foreign_table" to "${user}" with grant option;`),
        },
        {
          template: withGrant({ privileges: ['usage'], on: 'sequence', names: ['theirs.numbers'] }),
          needed: [`grant usage on sequence "theirs"."numbers" to "${user}" with grant option;`],
        },
        {
          template: withGrant({ privileges: ['execute'], on: 'function', names: ['theirs.f(integer, text)'] }),
          needed: [`grant execute on function "theirs"."f"(integer, text) to "${user}" with grant option;`],
        },
        {
          template: withGrant({ privileges: ['create'], on: 'schema', names: ['theirs'] }),
          needed: [`grant usage, create on schema "theirs" to "${pg.owner}";`],
        },
        {
          template: withGrant({ privileges: ['delete'], on: 'all tables in schema', names: ['shop'] }),
          needed: [`grant delete on all tables in schema "shop" to "${user}" with grant option;`],
        },
      ]
      for (const { take, template, needed } of cases) {
        if (take !== undefined) await pg.asSuperuser(take)
        assert.deepEqual(refusalOf(await admit(pg, pg.connector, [template])), { kind: 'missing_rights', user, rightsNeeded: needed })
        for (const statement of needed) await pg.asSuperuser(statement, [], pg.database)
        const admitted = await admit(pg, pg.connector, [template])
        assert.ok(admitted.ok, JSON.stringify(admitted))
      }
    })

    test('a template that names what is not there, or gives too much, is refused before anything is made', async () => {
      const attributed = `maker_${pg.database}`
      await pg.asSuperuser(`create role ${attributed} createrole; create role over_${pg.database} in role ${pg.settings.user}`)
      const grant = (on: TemplateGrant['on'], name: string, privilege = 'select'): Partial<Template> => (
        { grants: [{ on, names: [name], privileges: [privilege] }] })
      const cases: readonly (readonly [Partial<Template>, RegExp])[] = [
        [{ database: 'nowhere' }, /no database `nowhere`/],
        [{ owner: 'nobody' }, /no role `nobody` to own/],
        [{ owner: 'postgres' }, /is a superuser/],
        [{ owner: pg.settings.user }, /is the administrator itself/],
        [{ memberOf: ['nobody'] }, /no role `nobody` to be a member of/],
        [{ memberOf: ['postgres'] }, /could act as a superuser/],
        [{ memberOf: [attributed] }, /could act as a superuser, make roles/],
        [{ memberOf: [pg.settings.user] }, /could act as a superuser|administrator's rights/],
        [{ memberOf: [`over_${pg.database}`] }, /would have the administrator's rights/],
        [{ memberOf: ['pg_execute_server_program'] }, /not bounded/],
        [{ connectionLimit: -1 }, /connection limit/],
        [grant('table', 'shop.nothing'), /no table "shop"."nothing"/],
        [grant('sequence', 'shop.orders', 'usage'), /no sequence "shop"."orders"/],
        [grant('schema', 'nothing', 'usage'), /no schema "nothing"/],
        [grant('all tables in schema', 'nothing'), /no all tables in schema "nothing"/],
        [grant('function', 'shop.nothing(integer)', 'execute'), /no function "shop"."nothing"\(integer\)/],
        [grant('database', 'nowhere', 'connect'), /no database "nowhere"/],
        [grant('table', 'orders'), /`orders` does not name a table: `schema.name` is expected/],
        [grant('table', 'shop.orders; drop table orders; --'), /there is no table "shop"."orders; drop table orders; --"/],
        [grant('table', 'shop.orders; drop table shop.orders; --'), /does not name a table/],
        [grant('function', 'shop.f(integer) to public; --(', 'execute'), /does not name a function/],
        [grant('table', 'shop.orders', 'all'), /`all` can't be granted on `table`/],
        [grant('table', 'shop.orders', 'select on shop.salaries to public; --'), /can't be granted/],
        ...version < 17 ? [[grant('table', 'shop.orders', 'maintain'), /unrecognized privilege type/] as const] : [],
      ]
      for (const [over, why] of cases) {
        const refusal = refusalOf(await admit(pg, pg.connector, [{ ...pg.template, ...over }]))
        assert.ok(refusal.kind === 'bad_template', JSON.stringify(refusal))
        assert.match(refusal.why, why)
        assert.equal(refusal.template, 'ddl')
      }
      assert.equal(refusalOf(await admit(pg, pg.connector, [])).kind, 'bad_template')
    })

    test('a back end that can not be reached, or does not know the administrator, says which', async () => {
      const nowhere = postgresConnector({ ...pg.settings, port: 1 }, pg.administratorSecret)
      const unreachable = refusalOf(await admit(pg, nowhere, [pg.template]))
      assert.ok(unreachable.kind === 'unreachable' && unreachable.why.includes('ECONNREFUSED'))
      const wrong = postgresConnector(pg.settings, 'not-the-secret')
      assert.deepEqual(refusalOf(await admit(pg, wrong, [pg.template])), { kind: 'administrator_refused', code: '28P01' })
      await Promise.all([nowhere.close(), wrong.close()])
    })

    test('a cycle that fails says at which step, and a role that is not the test\'s own stays', async () => {
      const handle = testHandle()
      await pg.asSuperuser(`create role ${handle}`)
      const refusal = refusalOf(await pg.connector.admit([pg.template], handle, freshSecret(), epochMs(Date.now())))
      assert.ok(refusal.kind === 'cycle_failed' && refusal.step === 'mint' && refusal.why.includes('does not carry the mark'))
      assert.deepEqual(await pg.rolesNamed(handle), [handle])
      await pg.asSuperuser(`drop role ${handle}`)
    })
  })
}

test('a server that lets anybody in, or asks for the password in the clear, is refused', async () => {
  const hba = ['host trusting all 127.0.0.1/32 trust', 'host clear all 127.0.0.1/32 password']
  const cluster = await startCluster({ version: 15, hba })
  const pg = await governedPostgres(15, cluster)
  try {
    for (const database of ['trusting', 'clear']) await pg.asSuperuser(`create database ${database}`)
    const template: Template = { ...pg.template, grants: [] }
    const trusting = postgresConnector({ ...pg.settings, database: 'trusting' }, pg.administratorSecret)
    assert.deepEqual(refusalOf(await admit(pg, trusting, [template])), { kind: 'accepts_any_secret' })
    // Here only the lease's own database lets anybody in.
    assert.deepEqual(refusalOf(await admit(pg, pg.connector, [{ ...template, database: 'trusting' }])), { kind: 'accepts_any_secret' })
    const clear = postgresConnector({ ...pg.settings, database: 'clear' }, pg.administratorSecret)
    const refusal = refusalOf(await admit(pg, clear, [template]))
    assert.ok(refusal.kind === 'unreachable' && refusal.why.includes('in the clear'))
    await Promise.all([trusting.close(), clear.close()])
  } finally {
    await pg.connector.close()
    await cluster.stop('immediate')
  }
})

const hasOpenssl = (() => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

const skip = hasOpenssl ? false : 'no openssl to make a certificate with'

test('with verify-full only the server whose certificate is known is believed', { skip }, async () => {
  const cluster = await startCluster({ version: 18 })
  const pg = await governedPostgres(18, cluster)
  try {
    const [certificate, key] = [join(cluster.dataDir, 'server.crt'), join(cluster.dataDir, 'server.key')]
    execFileSync('openssl', [
      'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1',
      '-subj', '/CN=test', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate,
    ], { stdio: 'ignore' })
    const { uid, gid } = statSync(cluster.dataDir)
    for (const file of [certificate, key]) chownSync(file, uid, gid)
    chmodSync(key, 0o600)
    await pg.asSuperuser('alter system set ssl = on')
    await cluster.halt()
    await cluster.resume()
    const ca = readFileSync(certificate, 'utf8')
    const outcomes: string[] = []
    const believed = [{ tls: 'require' }, { tls: 'verify-full', ca }] as const
    const doubted = [{ tls: 'verify-full' }, { tls: 'verify-full', ca, host: 'localhost' }] as const
    for (const tls of [...believed, ...doubted]) {
      const connector = postgresConnector({ ...pg.settings, ...tls }, pg.administratorSecret)
      outcomes.push(await connector.list('x').then(() => 'listed', (error: { readonly code: string }) => error.code))
      await connector.close()
    }
    assert.deepEqual(outcomes, ['listed', 'listed', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'ERR_TLS_CERT_ALTNAME_INVALID'])
  } finally {
    await pg.connector.close()
    await cluster.stop('immediate')
  }
})
