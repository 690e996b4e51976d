import type { LeaseId, ServerInstanceId } from '@writ/domain/id'
import type { Kysely } from 'kysely'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>

/** In the transaction that intends the lease: there is no instant in which nobody knows who has it. */
export async function insertLentLease(db: Db, lease: LeaseId, instance: ServerInstanceId): Promise<void> {
  await db.insertInto('lent_lease').values({ lease_id: lease, instance_id: instance }).execute()
}

/** Leases that are not being ended, and whose instance is gone. */
export async function listLeftLeases(db: Db, limit: number): Promise<readonly LeaseId[]> {
  const rows = await db.selectFrom('lent_lease').innerJoin('lease', 'lease.id', 'lent_lease.lease_id').select('lent_lease.lease_id').where('lease.state', 'in', ['intended', 'live'])
    .where((eb) => eb.not(eb.exists(eb.selectFrom('server_instance').select('server_instance.id').whereRef('server_instance.id', '=', 'lent_lease.instance_id').where('gone_at', 'is', null))))
    .orderBy('lent_lease.lease_id').limit(limit).execute()
  return rows.map((row) => row.lease_id as LeaseId)
}

const AT_ONCE = 500

/** Those of them that are being ended, or have their end. */
export async function listOver(db: Db, leases: readonly LeaseId[]): Promise<ReadonlySet<LeaseId>> {
  const over = new Set<LeaseId>()
  for (let i = 0; i < leases.length; i += AT_ONCE) {
    const rows = await db.selectFrom('lease').select('id').where('id', 'in', leases.slice(i, i + AT_ONCE)).where('state', 'not in', ['intended', 'live']).execute()
    for (const { id } of rows) over.add(id as LeaseId)
  }
  return over
}

/** Of leases that are over, nobody asks who had them. */
export async function forgetLentLeases(db: Db): Promise<void> {
  await db.deleteFrom('lent_lease').where('lease_id', 'in', (eb) => eb.selectFrom('lease').select('lease.id').whereRef('lease.id', '=', 'lent_lease.lease_id').where('state', '=', 'ended')).execute()
}
