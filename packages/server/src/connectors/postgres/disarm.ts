import type { ClientBase } from 'pg'
import { quoted } from './names.ts'

export type OwnedObject = { readonly classid: number; readonly objid: number; readonly kind: string; readonly name: string }

export type Disarming = {
  readonly handle: string
  readonly owner: string
  /** Whether the lease had its owner's rights all along: then unattended code that runs with them is nothing new. */
  readonly trusted: boolean
  readonly major: number
}

/** `statement` takes `what` from the object `classid`/`objid`. */
export type Measure = { readonly classid: number; readonly objid: number; readonly what: string; readonly statement: string }

/**
 * Some objects act with the rights of whoever owns them, so a change of owner would hand those rights to whatever the lease's holder
 * wrote. Plans how that is taken from each of `objects`. What runs with the rights of whoever *calls* it (triggers, defaults, plain
 * functions) is left: it is ordinary code, to be reviewed like a migration.
 */
export async function planDisarming(client: ClientBase, objects: readonly OwnedObject[], how: Disarming): Promise<readonly Measure[]> {
  const of = [objects.map(({ classid }) => classid), objects.map(({ objid }) => objid)] as const
  const measures: Measure[] = []
  const ask = async (query: string, more: readonly unknown[] = []): Promise<void> => {
    measures.push(...(await client.query<Measure>(HANDED + query, [...of, ...more])).rows)
  }
  const sides = [how.handle, how.owner]
  await ask(DEFINER_ROUTINES)
  await ask(RULES)
  if (how.major >= 15) await ask(VIEWS)
  await ask(GRANTS_ON_QUERIES, [sides, how.major >= 15 ? ['m'] : ['m', 'v']])
  if (!how.trusted) {
    await ask(INDEXES, [how.owner])
    await ask(STATISTICS, [how.owner])
  }
  return measures
}

/**
 * Carries the measures out as the objects' new owner. As the administrator it would be too little: a holder who gave it a grant option
 * would make it the grantor of what is revoked, and what the holder itself had granted would stay.
 */
export async function disarm(client: ClientBase, measures: readonly Measure[], owner: string): Promise<void> {
  if (measures.length === 0) return
  await client.query(`set local role ${quoted(owner)}; ${measures.map(({ statement }) => statement).join('; ')}; set local role none`)
}

// Every name in a statement below comes from the catalogue through regclass, regprocedure or %I, so it is quoted whatever it holds.

const HANDED = `with handed as (select * from unnest($1::oid[], $2::oid[]) as h (classid, objid)) `

const DEFINER_ROUTINES = `
  select classid, objid, 'security definer' as what, format('alter routine %s security invoker', p.oid::regprocedure) as statement
    from handed
    join pg_proc p on classid = 'pg_proc'::regclass and objid = p.oid
   where p.prosecdef`

/** A view reads with its owner's rights unless it says otherwise; it can say so since PostgreSQL 15. */
const VIEWS = `
  select classid, objid, 'owner rights of a view' as what, format('alter view %s set (security_invoker = true)', c.oid::regclass) as statement
    from handed
    join pg_class c on classid = 'pg_class'::regclass and objid = c.oid
   where c.relkind = 'v'`

/** What a rule does is checked against the rights of the table's owner (PostgreSQL manual, "Rules and Privileges"). */
const RULES = `
  select classid, objid, format('rule %I', r.rulename) as what,
         case c.relkind when 'v' then format('drop rule %I on %s', r.rulename, c.oid::regclass)
                        else format('alter table %s disable rule %I', c.oid::regclass, r.rulename) end as statement
    from handed
    join pg_class c on classid = 'pg_class'::regclass and objid = c.oid
    join pg_rewrite r on r.ev_class = c.oid
   where r.ev_type <> '1'
order by r.rulename`

/**
 * A materialised view is filled with its owner's rights, and a view of PostgreSQL 14 always reads with them. There is no switch, so
 * they stay as they are for their new owner, and nobody else may read them until the owner says so.
 */
const GRANTS_ON_QUERIES = `
  select classid, objid, 'grants to others' as what,
         format('revoke all on table %s from %s cascade', c.oid::regclass,
                string_agg(distinct case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end, ', ')) as statement
    from handed
    join pg_class c on classid = 'pg_class'::regclass and objid = c.oid
   cross join lateral (
           select (aclexplode(c.relacl)).grantee
            union
           select (aclexplode(t.attacl)).grantee from pg_attribute t where t.attrelid = c.oid
         ) a
   where c.relkind = any ($4::"char"[])
     and a.grantee not in (select oid from pg_roles where rolname = any ($3))
group by classid, objid, c.oid`

/**
 * Expressions of an index are computed with the rights of the table's owner, unattended, at every analyze and reindex; so are those of
 * extended statistics. They are taken away where they run code that somebody else than the owner or a superuser wrote.
 */
const foreignCode = (classid: string, objid: string): string => `exists (
     select 1
       from pg_depend d
       left join pg_operator o on d.refclassid = 'pg_operator'::regclass and o.oid = d.refobjid
       left join pg_proc p on p.oid = case when d.refclassid = 'pg_proc'::regclass then d.refobjid else o.oprcode end
      where d.classid = ${classid}
        and d.objid = ${objid}
        and (exists (select 1 from handed h where h.classid = d.refclassid and h.objid = d.refobjid and h.classid <> 'pg_class'::regclass)
             or exists (select 1 from handed h where h.classid = 'pg_proc'::regclass and h.objid = p.oid)
             or p.proowner not in (select oid from pg_roles where rolsuper or rolname = $3)))`

const INDEXES = `
  select classid, objid, format('index %I', i.relname) as what,
         case when k.oid is null then format('drop index %s', i.oid::regclass)
              else format('alter table %s drop constraint %I cascade', x.indrelid::regclass, k.conname) end as statement
    from handed
    join pg_index x on classid = 'pg_class'::regclass and objid = x.indrelid
    join pg_class i on i.oid = x.indexrelid
    left join pg_constraint k on k.conindid = x.indexrelid and k.contype in ('p', 'u', 'x')
   where (x.indexprs is not null or x.indpred is not null)
     and not i.relispartition
     and ${foreignCode(`'pg_class'::regclass`, 'x.indexrelid')}
order by i.relname`

const STATISTICS = `
  select classid, objid, format('statistics %I', e.stxname) as what,
         format('drop statistics %I.%I', e.stxnamespace::regnamespace::text, e.stxname) as statement
    from handed
    join pg_statistic_ext e on classid = 'pg_class'::regclass and objid = e.stxrelid
   where e.stxexprs is not null
     and ${foreignCode(`'pg_statistic_ext'::regclass`, 'e.oid')}
order by e.stxname`
