import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { plus, seconds, type EpochMs } from '@writ/domain/time'
import type { ClientBase } from 'pg'
import type { Clock } from '../../platform/clock.ts'
import { failpoint } from '../../platform/failpoint.ts'
import { BackendFault, type Admission, type AdmitRefusal, type Connector, type Template } from '../connector.ts'
import type { PostgresBackend } from './backend.ts'
import { codeOf, SQLSTATE } from './fault.ts'
import { flawInDatabase } from './inspect.ts'
import { quoted } from './names.ts'
import { createRoleRight, rightsFor, type Right } from './rights.ts'
import { flawOf } from './template.ts'

/** The newest that Writ is tested with; the oldest that PostgreSQL still mends. */
const OLDEST = 14
const NEWEST = 18
const TEST_LENGTH = seconds(120)

/** A name for the administrator in the statements that a superuser is shown. */
const SUGGESTED_ADMINISTRATOR = 'writ_admin'

export type AdmitOrder = { readonly templates: readonly Template[]; readonly testHandle: string; readonly testSecret: string; readonly now: EpochMs }

const nobodyAsks = async (): Promise<void> => {}

/** How `admit` uses the connector, on a login of its own. */
export type TestCycle = Pick<Connector, 'withdraw' | 'probe' | 'list'> & {
  mintTest(order: AdmitOrder, template: Template, expiresAt: EpochMs): ReturnType<Connector['mint']>
}

type Administrator = { readonly user: string; readonly version: string; readonly major: number; readonly superuser: boolean }

/** Everything that can be known before the first lease: that is when an operator is looking. */
export async function admitBackend(
  backend: PostgresBackend, clock: Clock, cycle: TestCycle, order: AdmitOrder,
): Promise<Outcome<Admission, AdmitRefusal>> {
  const met = await meet(backend)
  if (!met.ok) return met
  const { user, version, major, superuser } = met.value
  if (!(major >= OLDEST && major <= NEWEST)) return refuse({ kind: 'unsupported_version', version })
  if (order.templates.length === 0) return refuse({ kind: 'bad_template', template: '', why: 'a back end needs a template' })
  for (const template of order.templates) {
    const why = flawOf(template)
    if (why !== undefined) return refuse({ kind: 'bad_template', template: template.name, why })
  }
  if (superuser) return refuse({ kind: 'superuser', user, rightsNeeded: statementsForNew(order.templates, major) })
  const stranger = await backend.tryLogin(user, order.testSecret, backend.settings.database)
  if (stranger.kind === 'accepted') return refuse({ kind: 'accepts_any_secret' })
  if (stranger.kind === 'failed') return refuse({ kind: 'unreachable', why: stranger.why })
  const lacking = await inspect(backend, { user, major }, order.templates)
  if (lacking) return refuse(lacking)
  const began = clock.now()
  for (const template of order.templates) {
    const failed = await runCycle(backend, cycle, order, template)
    if (failed) return refuse(failed)
  }
  return ok({ version, cycleMs: clock.now() - began })
}

async function meet(backend: PostgresBackend): Promise<Outcome<Administrator, AdmitRefusal>> {
  try {
    return ok(await backend.administer(backend.settings.database, 'meeting the back end', async (client) => {
      const { rows } = await client.query<Omit<Administrator, 'major'> & { number: string }>(`
        select current_user as user, rolsuper as superuser,
               split_part(current_setting('server_version'), ' ', 1) as version,
               current_setting('server_version_num') as number
          from pg_roles
         where rolname = current_user`)
      const row = rows[0]
      if (row === undefined) throw new BackendFault('meeting the back end: no answer', 'no_answer')
      return { user: row.user, superuser: row.superuser, version: row.version, major: Math.floor(Number(row.number) / 10_000) }
    }))
  } catch (error) {
    if (!(error instanceof BackendFault)) throw error
    const refused = error.code === SQLSTATE.invalidPassword || error.code === SQLSTATE.invalidAuthorization
    return refuse(refused ? { kind: 'administrator_refused', code: error.code } : { kind: 'unreachable', why: error.message })
  }
}

/** A superuser is shown how to make an administrator that is none; its password is set where no log sees it. */
function statementsForNew(templates: readonly Template[], major: number): readonly string[] {
  const create = `create role ${quoted(SUGGESTED_ADMINISTRATOR)} login createrole inherit`
  const rights = templates.flatMap((template) => rightsFor(template, major))
  return [...new Set([create, ...rights.map((right) => right.statement(SUGGESTED_ADMINISTRATOR))])].map(withSemicolon)
}

async function inspect(
  backend: PostgresBackend, { user, major }: { readonly user: string; readonly major: number }, templates: readonly Template[],
): Promise<AdmitRefusal | undefined> {
  const missing: Right[] = []
  for (const template of templates) {
    const bad = (why: string): AdmitRefusal => ({ kind: 'bad_template', template: template.name, why })
    try {
      const flaw = await backend.administer(template.database, `inspecting template \`${template.name}\``, async (client) => {
        const found = await flawInDatabase(client, template)
        if (found === undefined) missing.push(...await notHeld(client, [createRoleRight, ...rightsFor(template, major)]))
        return found
      })
      if (flaw !== undefined) return bad(flaw)
    } catch (error) {
      if (!(error instanceof BackendFault)) throw error
      if (error.code === SQLSTATE.noSuchDatabase) return bad(`there is no database \`${template.database}\``)
      // `maintain`, say, on a PostgreSQL that does not know it yet.
      if (error.code === SQLSTATE.invalidParameter) return bad(error.message)
      return { kind: 'unreachable', why: error.message }
    }
  }
  if (missing.length === 0) return undefined
  return { kind: 'missing_rights', user, rightsNeeded: [...new Set(missing.map((right) => withSemicolon(right.statement(user))))] }
}

async function notHeld(client: ClientBase, rights: readonly Right[]): Promise<readonly Right[]> {
  const missing: Right[] = []
  for (const right of rights) {
    if (!await isHeld(client, right)) missing.push(right)
  }
  return missing
}

async function isHeld(client: ClientBase, { query, values }: Right): Promise<boolean> {
  try {
    return (await client.query<{ held: boolean }>(query, [...values])).rows[0]?.held === true
  } catch (error) {
    // In a schema that is closed to the administrator not even the question is allowed.
    if (codeOf(error) === SQLSTATE.insufficientPrivilege) return false
    throw error
  }
}

const withSemicolon = (statement: string): string => `${statement};`

type Failure = Extract<AdmitRefusal, { readonly kind: 'cycle_failed' | 'accepts_any_secret' }>

/** One lease from beginning to end. Whatever goes wrong, the test login is withdrawn again. */
async function runCycle(backend: PostgresBackend, cycle: TestCycle, order: AdmitOrder, template: Template): Promise<Failure | undefined> {
  let step: Extract<Failure, { readonly kind: 'cycle_failed' }>['step'] = 'mint'
  const failed = (why: string): Failure => ({ kind: 'cycle_failed', step, why: `template \`${template.name}\`: ${why}` })
  const walk = async (): Promise<Failure | undefined> => {
    const { control } = await cycle.mintTest(order, template, plus(order.now, TEST_LENGTH))
    step = 'control'
    if (!control.ok) return failed(control.why)
    const wrong = await backend.tryLogin(order.testHandle, `${order.testSecret}x`, template.database)
    if (wrong.kind === 'accepted') return { kind: 'accepts_any_secret' }
    if (wrong.kind === 'failed') return failed(`a wrong secret was not refused: ${wrong.why}`)
    step = 'list'
    if (!await listed()) return failed('the test login was not listed')
    failpoint('backend.admit.before_withdraw')
    step = 'withdraw'
    if (!(await cycle.withdraw(order.testHandle, template, nobodyAsks)).existed) return failed('the test login was not there any more')
    step = 'probe'
    const probe = await cycle.probe(order.testHandle, order.testSecret, template)
    if (probe.kind === 'accepted') return failed('the withdrawn login was accepted')
    if (probe.kind === 'not_evaluated') return failed(probe.why)
    if (!probe.absentFromCatalogue) return failed('the withdrawn login is still in the catalogue')
    step = 'list'
    return await listed() ? failed('the withdrawn login is still listed') : undefined
  }
  const listed = async (): Promise<boolean> => (await cycle.list(order.testHandle)).some(({ handle }) => handle === order.testHandle)
  let outcome: Failure | undefined
  try {
    outcome = await walk()
  } catch (error) {
    if (!(error instanceof BackendFault)) throw error
    outcome = failed(error.message)
  }
  if (outcome) {
    try {
      await cycle.withdraw(order.testHandle, template, nobodyAsks)
    } catch (error) {
      const left = `the test login \`${order.testHandle}\` is left: ${String(error)}`
      if (outcome.kind === 'cycle_failed') return { ...outcome, why: `${outcome.why}; ${left}` }
    }
  }
  return outcome
}
