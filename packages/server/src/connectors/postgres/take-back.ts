import type { ClientBase } from 'pg'
import { quoted } from './names.ts'

type GivenAway = { readonly grantor: string; readonly statement: string }

/**
 * Revokes what the role was granted in this database, each grant as the one who made it. `drop owned` alone would not do: it revokes as
 * whichever grantor has the most rights, and leaves, without a word, what the administrator had granted by a grant option of its own.
 */
export async function takeBack(client: ClientBase, role: string, major: number): Promise<void> {
  const { rows } = await client.query<GivenAway>(GIVEN_TO, [role, major >= 16 ? 'set' : 'member'])
  if (rows.length === 0) return
  const statements = rows.map(({ grantor, statement }) => `set local role ${quoted(grantor)}; ${statement}`)
  await client.query(`${statements.join('; ')}; set local role none`)
}

/**
 * Only grantors that the administrator may become: another's grant stays, and `drop role` names it. `|| '{}'` unpacks a long list of grants
 * once; `aclexplode` by itself does so again for each of its entries, which beside 1,000 leases of one table took 120 ms.
 */
const GIVEN_TO = `
  with given as (
         select s.classid, s.objid, s.objsubid, s.refobjid as grantee
           from pg_shdepend s
          where s.refclassid = 'pg_authid'::regclass
            and s.refobjid = (select oid from pg_roles where rolname = $1)
            and s.deptype = 'a'
            and s.dbid in (0, (select oid from pg_database where datname = current_database()))
       ), entry as (
         select format('%s %s', case c.relkind when 'S' then 'sequence' else 'table' end, c.oid::regclass) as target, g.grantee,
                a.grantor, a.grantee as named, a.privilege_type as privilege
           from given g join pg_class c on g.classid = 'pg_class'::regclass and g.objid = c.oid and g.objsubid = 0, aclexplode(c.relacl || '{}'::aclitem[]) a
          union all
         select format('table %s', t.attrelid::regclass), g.grantee, a.grantor, a.grantee, format('%s (%I)', a.privilege_type, t.attname)
           from given g join pg_attribute t on g.classid = 'pg_class'::regclass and g.objid = t.attrelid and g.objsubid = t.attnum,
                aclexplode(t.attacl || '{}'::aclitem[]) a
          union all
         select format('schema %I', n.nspname), g.grantee, a.grantor, a.grantee, a.privilege_type
           from given g join pg_namespace n on g.classid = 'pg_namespace'::regclass and g.objid = n.oid, aclexplode(n.nspacl || '{}'::aclitem[]) a
          union all
         select format('routine %s', p.oid::regprocedure), g.grantee, a.grantor, a.grantee, a.privilege_type
           from given g join pg_proc p on g.classid = 'pg_proc'::regclass and g.objid = p.oid, aclexplode(p.proacl || '{}'::aclitem[]) a
          union all
         select format('database %I', d.datname), g.grantee, a.grantor, a.grantee, a.privilege_type
           from given g join pg_database d on g.classid = 'pg_database'::regclass and g.objid = d.oid, aclexplode(d.datacl || '{}'::aclitem[]) a
       )
  select pg_get_userbyid(grantor) as grantor,
         format('revoke %s on %s from %I cascade', string_agg(privilege, ', '), target, $1::text) as statement
    from entry
   where named = grantee
     and pg_has_role(current_user, grantor, $2)
group by grantor, target
order by grantor, target`
