import type { ClientBase } from 'pg'
import type { Reassigned } from '@writ/domain/lease'
import { failpoint } from '../../platform/failpoint.ts'
import type { PostgresBackend } from './backend.ts'
import { disarm, planDisarming, type Measure, type OwnedObject } from './disarm.ts'
import { durable, majorOf } from './mint.ts'
import { quoted } from './names.ts'
import { takeBack } from './take-back.ts'

/** Mints wait behind a hand-over, so whoever keeps a lock on a lease's table makes this attempt fail, and not them wait. */
const LOCK_TIMEOUT_MS = 1_000

export type HandOver = { readonly handle: string; readonly owner: string; readonly database: string }

/** What the lease owns in one database, and what will be taken from it; changes nothing. */
export async function surveyDatabase(backend: PostgresBackend, order: HandOver): Promise<readonly Reassigned[]> {
  return backend.administer(order.database, `looking for what \`${order.handle}\` made`, async (client) => {
    const objects = await ownedBy(client, order.handle, 'ever')
    return described(order, objects, await measuresFor(client, order, objects))
  })
}

/**
 * In one transaction of one database: gives everything that the lease owns to the template's owner, takes from it what would act with
 * the owner's rights, and takes back everything that the lease was granted.
 *
 * What the lease itself granted to others on its own tables stays, from the new owner: a migration that opens its new table to the
 * readers' role is the ordinary case, and it gives away nothing that was not the lease's own.
 */
export async function handOver(backend: PostgresBackend, order: HandOver): Promise<readonly Reassigned[]> {
  return backend.changeGrants(order.database, `handing over what \`${order.handle}\` made`, async (client) => {
    const reassign = `reassign owned by ${quoted(order.handle)} to ${quoted(order.owner)}`
    await client.query(`begin; ${durable}; set local lock_timeout = ${LOCK_TIMEOUT_MS}; ${reassign}`)
    // Read after the fact: another session may have added something since the survey, and it must not keep its fangs.
    const objects = await ownedBy(client, order.owner, 'by this transaction')
    const measures = await measuresFor(client, order, objects)
    await disarm(client, measures, order.owner)
    await takeBack(client, order.handle, await majorOf(client))
    failpoint('lease.hand_over.before_commit')
    // Only default privileges, user mappings and the like are left for it: objects were all handed over above.
    await client.query(`drop owned by ${quoted(order.handle)}; commit`)
    return described(order, objects, measures)
  })
}

async function measuresFor(client: ClientBase, order: HandOver, objects: readonly OwnedObject[]): Promise<readonly Measure[]> {
  if (objects.length === 0) return []
  const trusted = await hasRightsOf(client, order)
  return planDisarming(client, objects, { handle: order.handle, owner: order.owner, trusted, major: await majorOf(client) })
}

function described({ database, owner }: HandOver, objects: readonly OwnedObject[], measures: readonly Measure[]): readonly Reassigned[] {
  const taken = new Map<string, string>()
  const keyOf = (of: { readonly classid: number; readonly objid: number }): string => `${of.classid}/${of.objid}`
  for (const measure of measures) {
    const before = taken.get(keyOf(measure))
    taken.set(keyOf(measure), before === undefined ? measure.what : `${before}, ${measure.what}`)
  }
  return objects.map((object) => {
    const disarmed = taken.get(keyOf(object))
    return { database, kind: object.kind, name: object.name, newOwner: owner, ...disarmed === undefined ? {} : { disarmed } }
  })
}

/** Whether the lease had its owner's rights all along. */
async function hasRightsOf(client: ClientBase, { handle, owner }: HandOver): Promise<boolean> {
  const { rows } = await client.query<{ has: boolean }>(`select pg_has_role($1::name, $2::name, 'usage') as has`, [handle, owner])
  return rows[0]?.has === true
}

/** Default privileges and user mappings are not handed over but dropped: they end with the role that they are about. */
const HANDED_OVER = `s.classid not in ('pg_default_acl'::regclass, 'pg_user_mapping'::regclass)`

/** What a role owns in this database, or of it only what this very transaction has given to it: a row's `xmin` is its writer. */
async function ownedBy(client: ClientBase, role: string, since: 'ever' | 'by this transaction'): Promise<readonly OwnedObject[]> {
  const { rows } = await client.query<OwnedObject>(`
    select s.classid, s.objid, i.type as kind, i.identity as name
      from pg_shdepend s
     cross join lateral pg_identify_object(s.classid, s.objid, s.objsubid) i
     where s.refclassid = 'pg_authid'::regclass
       and s.refobjid = (select oid from pg_roles where rolname = $1)
       and s.deptype = 'o'
       and s.dbid in (0, (select oid from pg_database where datname = current_database()))
       and ${since === 'ever' ? HANDED_OVER : 's.xmin = pg_current_xact_id()::xid'}
  order by kind, name collate "C"`, [role])
  return rows
}
