import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { covers, type Authority } from '@writ/domain/authority'
import type { IdentityId, LeaseId, TaskId } from '@writ/domain/id'
import type { SpiffeId } from '@writ/domain/spiffe-id'
import { epochMs, seconds } from '@writ/domain/time'
import fc from 'fast-check'
import type { OneTimeUse } from '../../src/authenticate/authenticator.ts'
import { issueToken } from '../../src/changes.ts'
import { claimsOf, type AskedToken, type TokenTask } from '../../src/issue/access-token.ts'
import { revokeToken } from '../../src/issue/revoke-token.ts'
import { makeFirstKey, replaceKeys } from '../../src/issue/signing-keys.ts'
import { newTokenKey } from '../../src/keys/token-keys.ts'
import { changeIdentity } from '../../src/registry/change-identity.ts'
import { endTask } from '../../src/revoke/end-task.ts'
import { findTokenStanding, type Token } from '../../src/store/tokens.ts'
import { everyRow, STORES, storeOfWrit, type StoreOfWrit } from '../store-of-writ.ts'
import { addIdentity, countEvents, done, eventsOf, openOne, OPERATOR, permits, taskRows, WRIT } from './estate.ts'

const JKT = 'thumbprint-of-the-test'

async function withKey(store: (typeof STORES)[number], t: Parameters<typeof storeOfWrit>[1]): Promise<StoreOfWrit> {
  const of = await storeOfWrit(store, t)
  await done(of.store.change(makeFirstKey, { key: newTokenKey(of.keys.secrets), by: WRIT, now: of.now() }))
  return of
}

type Order = Partial<Omit<AskedToken, 'identity'>> & { readonly identity: IdentityId; readonly uses?: readonly OneTimeUse[]; readonly key?: string }

const tryIssue = (of: StoreOfWrit, { uses = [], key, ...asked }: Order) => of.store.change(issueToken, {
  evidence: { kind: 'private_key_jwt', issuer: null, subject: 'the test', credential: null, binding: null, expiresAt: of.now() }, task: newTask(of), authority: null,
  audience: 'https://writ.acme.example', jkt: JKT, inExchange: null, ...asked, id: of.newId('lease'), uses, now: of.now(),
  once: { caller: asked.identity, key: key ?? null, requestHash: 'h', now: of.now() },
})

const issueOne = async (of: StoreOfWrit, order: Order): Promise<Token> => (await done(tryIssue(of, order))).value

const newTask = (of: StoreOfWrit, more: { readonly authority?: Authority; readonly seconds?: number } = {}): TokenTask => {
  const length = seconds(more.seconds ?? 300)
  return { kind: 'new', id: of.newId('task'), purpose: 'tidy up', asked: { authority: more.authority ?? permits('read', 'write'), length, budgetCalls: 10, idleTimeout: length, heartbeat: length, onBehalfOf: null } }
}

const standing = async (of: StoreOfWrit, jti: LeaseId, kid: string | null = null): Promise<string> => {
  const found = await of.store.read((db) => findTokenStanding(db, { jti, kid }, of.now()))
  return found.kind === 'live' ? 'live' : found.why
}

const useOf = (name: string, kind: OneTimeUse['of']): OneTimeUse => ({ of: kind, hash: new Uint8Array(createHash('sha256').update(name).digest()), until: epochMs(9e12) })

const ACTIONS = ['read', 'write', 'ddl'] as const

for (const store of STORES) {
  test(`${store}: no token outlives or outdoes its task, or the one that it was exchanged for, and each has its event`, async (t) => {
    const of = await withKey(store, t)
    // A token that is bound to its holder's key, and one that is whoever's has it.
    const kinds = [{ identity: await addIdentity(of), jkt: JKT }, { identity: await addIdentity(of, { class: 'chatbot' }), jkt: null }] as const
    await fc.assert(fc.asyncProperty(
      fc.constantFrom(...kinds), fc.subarray([...ACTIONS], { minLength: 1 }), fc.integer({ min: 1, max: 3600 }), fc.nat(999),
      fc.array(fc.record({ actions: fc.option(fc.subarray([...ACTIONS], { minLength: 1 }), { freq: 3 }), from: fc.option(fc.nat(5), { freq: 2 }), later: fc.nat(90_000) }), { maxLength: 6 }),
      async ({ identity, jkt }, actions, length, ms, wishes) => {
        of.clock.advance(ms)
        const first = await tryIssue(of, { identity, jkt, task: newTask(of, { authority: permits(...actions), seconds: length }) })
        if (!first.ok) return assert.equal(first.refusal.kind, 'too_short')
        const tokens = [first.value.value]
        const task = (await taskRows(of)).find((row) => row.id === tokens[0]!.task)!
        for (const wish of wishes) {
          of.clock.advance(wish.later)
          const before = await countEvents(of)
          const above = wish.from === null ? undefined : tokens[wish.from % tokens.length]!
          const got = await tryIssue(of, { identity, jkt, task: { kind: 'open', id: tokens[0]!.task }, inExchange: above?.id ?? null, authority: wish.actions === null ? null : permits(...wish.actions) })
          assert.equal(await countEvents(of), before + (got.ok ? 1 : 0))
          if (!got.ok) continue
          const token = got.value.value
          assert.ok(covers(above?.authority ?? permits(...actions), token.authority), 'outdoes')
          if (above?.jkt === null) assert.ok(token.expiresAt <= above.expiresAt, 'outlives')
          tokens.push(token)
        }
        for (const token of tokens) {
          assert.ok(token.expiresAt <= task.deadline && token.expiresAt <= token.issuedAt + 300_000 && token.expiresAt - token.issuedAt >= 1000 && token.expiresAt % 1000 === 0)
        }
      },
    ), { numRuns: store === 'sqlite' ? 60 : 20 })
    const minted = await eventsOf(of, 'lease.minted')
    assert.equal(minted.length, (await everyRow(of)).get('access_token')!.length)
  })

  test(`${store}: a refused request leaves nothing: no task, no token, no event, no key of a request, no used proof`, async (t) => {
    const of = await withKey(store, t)
    const [identity, other] = [await addIdentity(of), await addIdentity(of)]
    const theirs = await issueOne(of, { identity: other })
    const task = await openOne(of, { identity, length: seconds(3600) })
    await done(of.store.change(endTask, { task: task.id, by: WRIT, because: 'completed', now: of.now() }))
    of.clock.advance(1)
    const spent = useOf('spent', 'evidence')
    await issueOne(of, { identity, uses: [spent] })
    const before = await everyRow(of)
    const orders: readonly (readonly [kind: string, order: Partial<Order>])[] = [
      ['proof_needed', { jkt: null }], ['grant_not_covered', { task: newTask(of, { authority: permits('drop') }) }], ['token_not_covered', { authority: permits('ddl') }],
      ['too_short', { task: newTask(of, { seconds: 1 }) }], ['too_long', { task: newTask(of, { seconds: 3601 }) }], ['no_such_task', { task: { kind: 'open', id: theirs.task } }],
      ['no_such_task', { task: { kind: 'open', id: of.newId('task') as TaskId } }], ['task_not_open', { task: { kind: 'open', id: task.id } }],
      ['token_not_live', { inExchange: theirs.id }], ['replayed', { uses: [useOf('fresh', 'proof'), spent] }],
    ]
    for (const [kind, order] of orders) {
      const got = await tryIssue(of, { identity, uses: [useOf('another', 'proof')], key: 'key-of-the-test', ...order })
      assert.equal(got.ok ? 'issued' : got.refusal.kind, kind)
      assert.deepEqual(await everyRow(of), before, kind)
    }
  })

  test(`${store}: one proof issues one token, also when it comes five times at once`, async (t) => {
    const of = await withKey(store, t)
    const identity = await addIdentity(of)
    const got = await Promise.all([1, 2, 3, 4, 5].map((n) => tryIssue(of, { identity, task: newTask(of), uses: [useOf(`assertion ${n}`, 'evidence'), useOf('one proof', 'proof')] })))
    assert.deepEqual(got.map((one) => (one.ok ? 'issued' : one.refusal.kind)).toSorted(), ['issued', 'replayed', 'replayed', 'replayed', 'replayed'])
    assert.equal((await taskRows(of)).length, 1)
  })

  test(`${store}: a token is refused from the commit on that ended it, whatever ended it`, async (t) => {
    const of = await withKey(store, t)
    const ends: Readonly<Record<string, (token: Token) => Promise<unknown>>> = {
      stopped: (token) => of.store.change(revokeToken, { token: token.id, by: OPERATOR, now: of.now() }),
      task_over: (token) => of.store.change(endTask, { task: token.task, by: OPERATOR, because: 'ended_by_person', now: of.now() }),
      identity_not_active: (token) => of.store.change(changeIdentity, { identity: token.identity, change: 'suspend', reason: 'x', by: OPERATOR, now: of.now() }),
      expired: async () => { of.clock.advance(300_000) },
    }
    for (const [why, end] of Object.entries(ends)) {
      const token = await issueOne(of, { identity: await addIdentity(of), task: newTask(of, { seconds: 3600 }) })
      assert.equal(await standing(of, token.id, token.kid), 'live')
      await end(token)
      const found = await standing(of, token.id, token.kid)
      // Whoever stops an identity ends its tasks, and whoever ends a task stops its tokens: each of these words is right.
      assert.ok([why, 'task_over', 'stopped'].includes(found), `${why}: ${found}`)
    }
    const token = await issueOne(of, { identity: await addIdentity(of) })
    assert.equal(await standing(of, token.id, 'another key'), 'signing_key')
    await done(of.store.change(replaceKeys, { key: newTokenKey(of.keys.secrets), by: OPERATOR, reason: 'x', now: of.now() }))
    assert.equal(await standing(of, token.id, token.kid), 'signing_key')
    assert.equal(await standing(of, of.newId('lease'), token.kid), 'unknown')
    assert.notEqual((await issueOne(of, { identity: await addIdentity(of) })).kid, token.kid)
  })

  test(`${store}: a child's token names the whole chain, and the user at its top`, async (t) => {
    const of = await withKey(store, t)
    const [top, middle, below] = [await addIdentity(of), await addIdentity(of), await addIdentity(of)]
    const name = (id: IdentityId): string => `spiffe://acme.example/${id}`
    const claims = async (identity: IdentityId, id: TaskId) =>
      claimsOf(await issueOne(of, { identity, task: { kind: 'open', id } }), { issuer: 'https://writ.acme.example', holder: name(identity) as SpiffeId })
    for (const user of [null, { issuer: 'https://idp.example', subject: name(top) }]) {
      const root = await openOne(of, { identity: top, onBehalfOf: user })
      const child = await openOne(of, { identity: middle, parent: root.id, budgetCalls: 5 })
      const leaf = await openOne(of, { identity: below, parent: child.id, budgetCalls: 2 })
      const own = await claims(top, root.id)
      const deep = await claims(below, leaf.id)
      const sub = user === null ? name(top) : `https://idp.example|${name(top)}`
      assert.deepEqual([own['sub'], own['act'], own['client_id']], [sub, user === null ? undefined : { sub: name(top) }, name(top)])
      assert.deepEqual([deep['sub'], deep['client_id'], deep['sub_id']], [sub, name(below), user === null ? undefined : { format: 'iss_sub', iss: 'https://idp.example', sub: name(top) }])
      assert.deepEqual(deep['act'], { sub: name(below), act: { sub: name(middle), ...(user === null ? {} : { act: { sub: name(top) } }) } })
    }
  })

  test(`${store}: the store itself refuses what no change does to a token`, async (t) => {
    const of = await withKey(store, t)
    const token = await issueOne(of, { identity: await addIdentity(of) })
    for (const statement of [
      'delete from access_token', 'update access_token set authority = \'[1]\'', 'update access_token set expires_at = expires_at + 1', 'update access_token set jkt = \'x\'',
      'update access_token set audience = \'https://a.example\'', 'update access_token set state = \'ended\', due_at = null', 'update access_token set due_at = null',
      'update access_token set state = \'stopped\'',
    ]) await assert.rejects(of.sql(statement), Error, statement)
    await of.sql(`update access_token set state = 'stopped', stop_at = ${of.now()}`)
    for (const statement of ['update access_token set state = \'live\'', 'update access_token set stop_at = stop_at + 1']) await assert.rejects(of.sql(statement), Error, statement)
    assert.equal(await standing(of, token.id), 'stopped')
  })
}
