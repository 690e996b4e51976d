import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { sealOnce } from '../../src/record/seal.ts'
import { changeIdentity } from '../../src/registry/change-identity.ts'
import { endTask } from '../../src/revoke/end-task.ts'
import { widenTask } from '../../src/tasks/widen-task.ts'
import { addIdentity, addShop, done, leaseIn, OPERATOR, openOne, permits } from '../laws/estate.ts'
import { everyRow, storeForSuite, STORES, type StoreOfWrit } from '../store-of-writ.ts'

/** `$ID` is the row that the table is asked about. */
type Guard = { readonly on: string; readonly statement: string; readonly rule: string }

const update = (table: string, on: string, set: string, rule: string): Guard => ({ on, statement: `update ${table} set ${set} where ${table === 'event' ? 'seq' : 'id'} = $1`, rule })
const frozen = (table: string, on: string, columns: readonly string[], rule: string, value = '\'another\''): readonly Guard[] => columns.map((column) => update(table, on, `${column} = ${value}`, rule))

const WIDENS = 'task_grant_widens_while_open'

const GUARDS: readonly Guard[] = [
  ...frozen('event', 'event', ['type', 'task_id', 'identity_id', 'leaf'], 'event_is_frozen'),
  update('event', 'event', 'stream = \'human\'', 'event_is_frozen'),
  update('event', 'event', 'at = 1', 'event_is_frozen'),
  update('event', 'event', 'leaf_hash = mac', 'event_is_frozen'),
  update('event', 'event', 'mac = leaf_hash', 'event_is_frozen'),
  update('event', 'event', 'leaf_index = 500', 'event_has_one_place'),
  update('event', 'event', 'leaf_index = null', 'event_has_one_place'),
  { on: 'event', statement: 'delete from event where seq = $1', rule: 'event_is_never_deleted' },
  {
    on: 'event', rule: 'event_is_born_without_place',
    statement: 'insert into event (id, stream, type, at, leaf, leaf_hash, mac, leaf_index) select \'evt_placed\', stream, type, at, leaf, leaf_hash, mac, 9999 from event where seq = $1',
  },
  { on: 'said', statement: 'update event_said set value = \'something nicer\' where event_id = $1', rule: 'event_said_is_frozen' },
  { on: 'stream', statement: 'update checkpoint set note = \'another\' where stream = $1', rule: 'checkpoint_is_append_only_update' },
  { on: 'stream', statement: 'delete from checkpoint where stream = $1', rule: 'checkpoint_is_append_only_delete' },
  { on: 'stream', statement: 'update log set origin = \'another\' where stream = $1', rule: 'log_origin_is_frozen' },
  { on: 'stream', statement: 'update log set vkey = \'another\' where stream = $1', rule: 'log_origin_is_frozen' },

  ...frozen('task', 'open', ['purpose', 'on_behalf_of'], 'task_terms_are_frozen'),
  ...frozen('task', 'open', ['deadline', 'budget_calls', 'idle_timeout', 'heartbeat', 'depth', 'opened_at'], 'task_terms_are_frozen', '9007199254740991'),
  // A task's grant widens while it is open, each time counted; all else of its terms stays.
  ...['open', 'ending', 'closed'].map((on) => update('task', on, 'authority = \'another\'', WIDENS)),
  ...['ending', 'closed'].map((on) => update('task', on, 'authority = \'another\', widenings = widenings + 1', WIDENS)),
  update('task', 'open', 'authority = \'another\', widenings = widenings + 2', WIDENS),
  update('task', 'open', 'widenings = widenings + 1', WIDENS),
  update('task', 'widened', 'widenings = widenings - 1', WIDENS),
  update('task', 'widened', 'authority = \'another\', widenings = 0', WIDENS),
  update('task', 'widened', 'authority = \'[]\', widenings = widenings + 1', 'task_has_grant'),
  update('task', 'open', 'authority = \'another\', widenings = widenings + 1, deadline = 9007199254740991', 'task_terms_are_frozen'),
  update(
    'task', 'open', 'authority = \'another\', widenings = widenings + 1, state = \'ending\', end_reason = \'completed\', ended_at = 1, due_at = null', WIDENS,
  ),
  update('task', 'ending', 'state = \'open\'', 'task_goes_forward'),
  update('task', 'closed', 'state = \'open\'', 'task_goes_forward'),
  update('task', 'closed', 'state = \'ending\'', 'task_goes_forward'),
  update('task', 'open', 'state = \'closed\'', 'task_goes_forward'),
  update('task', 'closed', 'end_reason = \'budget_exhausted\'', 'task_ends_once'),
  update('task', 'closed', 'closed_outcome = \'proved\'', 'task_ends_once'),
  update('task', 'closed', 'ended_at = 1', 'task_ends_once'),
  { on: 'closed', statement: 'delete from task where id = $1', rule: 'task_is_never_deleted' },

  ...frozen('lease', 'live', ['template', 'handle'], 'lease_terms_are_frozen'),
  ...frozen('lease', 'live', ['expires_at', 'intended_at'], 'lease_terms_are_frozen', '9007199254740991'),
  update('lease', 'live', 'state = \'intended\'', 'lease_goes_forward'),
  update('lease', 'live', 'state = \'ended\'', 'lease_goes_forward'),
  update('lease', 'withdrawing', 'state = \'live\'', 'lease_goes_forward'),
  update('lease', 'stuck', 'state = \'withdrawing\'', 'lease_goes_forward'),
  update('lease', 'ended', 'state = \'live\'', 'lease_goes_forward'),
  update('lease', 'ended', 'outcome = \'not_evaluated\'', 'lease_facts_are_set_once'),
  update('lease', 'live', 'control = \'{"ok":false}\'', 'lease_facts_are_set_once'),
  update('lease', 'live', 'minted_at = 1', 'lease_facts_are_set_once'),
  update('lease', 'withdrawing', 'stop_at = 1', 'lease_facts_are_set_once'),
  update('lease', 'stuck', 'incident_id = null', 'lease_facts_are_set_once'),
  update('lease', 'ended', 'sealed_secret = \'a secret\'', 'lease_ended_forgets_secret'),
  { on: 'ended', statement: 'delete from lease where id = $1', rule: 'lease_is_never_deleted' },

  ...frozen('identity', 'active', ['spiffe_id', 'admission_id'], 'identity_is_frozen'),
  update('identity', 'retired', 'state = \'active\'', 'identity_retired_is_for_ever'),
  update('identity', 'retired', 'state = \'suspended\'', 'identity_retired_is_for_ever'),
  update('identity', 'active', 'technical_owner = \'\'', 'identity_has_technical_owner'),
  update('identity', 'active', 'purpose = \'\'', 'identity_has_purpose'),
  update('identity', 'active', 'system_scope = \'[]\'', 'identity_has_scope'),
  { on: 'retired', statement: 'delete from identity where id = $1', rule: 'identity_is_never_deleted' },
  { on: 'admission', statement: 'update admission set answer = \'delegated_token\' where id = $1', rule: 'admission_is_append_only_update' },
  { on: 'admission', statement: 'delete from admission where id = $1', rule: 'admission_is_append_only_delete' },
  { on: 'backend', statement: 'delete from backend where id = $1', rule: 'backend_is_never_deleted' },
  { on: 'incident', statement: 'delete from incident where id = $1', rule: 'incident_is_never_deleted' },
]

/** One row for each `on` of the table. */
async function estate(writ: StoreOfWrit): Promise<Readonly<Record<string, unknown>>> {
  const active = await addIdentity(writ)
  const contained = await addIdentity(writ)
  const retired = await addIdentity(writ)
  const backend = await addShop(writ)
  const open = await openOne(writ, { identity: active })
  const live = await leaseIn(writ, open, backend, 'live')
  const withdrawing = await leaseIn(writ, open, backend, 'withdrawing')
  const ended = await leaseIn(writ, open, backend, 'ended')
  const widened = await openOne(writ, { identity: active })
  await done(writ.store.change(widenTask, { task: widened.id, identity: active, asked: permits('write'), reason: 'the test says so', now: writ.now() }))
  const ending = await openOne(writ, { identity: active })
  await leaseIn(writ, ending, backend, 'live')
  const closed = await openOne(writ, { identity: active })
  for (const task of [ending, closed]) await done(writ.store.change(endTask, { task: task.id, because: 'completed', by: { kind: 'identity', id: active }, now: writ.now() }))
  const stuck = await leaseIn(writ, await openOne(writ, { identity: contained }), backend, 'stuck')
  await done(writ.store.change(changeIdentity, { identity: retired, change: 'retire', reason: 'the test says so', by: OPERATOR, now: writ.now() }))
  await sealOnce(writ.sealing, 'non-human')
  const one = async (statement: string): Promise<unknown> => Object.values((await writ.sql(`${statement} limit 1`))[0]!)[0]
  return {
    active, retired, backend, open: open.id, widened: widened.id, ending: ending.id, closed: closed.id, live, withdrawing, stuck, ended, stream: 'non-human',
    event: await one('select seq from event where stream = \'non-human\''), said: await one('select event_id from event_said'),
    admission: await one('select id from admission'), incident: await one('select id from incident'),
  }
}

for (const name of STORES) {
  describe(`the guards in ${name}`, () => {
    const opened = storeForSuite(name)
    let rows: Readonly<Record<string, unknown>>
    before(async () => { rows = await estate(opened()) })

    test('let no statement undo what was recorded, whoever sends it', async () => {
      const writ = opened()
      const untouched = await everyRow(writ)
      for (const { on, statement, rule } of GUARDS) {
        assert.ok(rows[on] !== undefined, `there is no ${on} to try`)
        await assert.rejects(writ.sql(statement, [rows[on]]), (error: Error & { readonly constraint?: string }) => {
          // SQLite names a failed check, and a guard's rule, in the message.
          assert.ok((error.constraint ?? error.message).endsWith(rule), `${statement}: ${error.constraint ?? error.message} and not ${rule}`)
          return true
        }, `${statement} was let through`)
      }
      assert.deepEqual(await everyRow(writ), untouched)
    })

    test('let a text be erased that the log only commits to', async () => {
      const writ = opened()
      await writ.sql('delete from event_said where event_id = $1', [rows['said']])
      assert.equal((await writ.sql('select * from event_said where event_id = $1', [rows['said']])).length, 0)
    })

    if (name === 'postgres') {
      test('let no table of the record be truncated', async () => {
        const writ = opened()
        for (const table of ['event', 'checkpoint', 'task', 'lease', 'identity', 'admission']) {
          await assert.rejects(writ.sql(`truncate ${table} cascade`), /rule /, table)
        }
      })
    }
  })
}
