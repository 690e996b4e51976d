import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { done, OPERATOR } from '../../test/laws/estate.ts'
import { applyRefund, approve, attempt, personOf, previewed, requested, shownOf, signatureOf, stageOf, stateOf, taskOf, type TestPerson } from '../../test/approvals/stage.ts'
import { everyRow, storeForSuite, STORES, type StoreOfWrit } from '../../test/store-of-writ.ts'
import type { EventActor } from '@writ/domain/event'
import type { ApprovalId, IdentityId } from '@writ/domain/id'
import { parseRegisteredKey, type VerificationKey } from '../authenticate/registered-key.ts'
import { bindIdentity } from '../registry/bindings.ts'
import { changeIssuer, trustIssuer } from '../registry/issuers.ts'
import { addOperator } from '../registry/operators.ts'
import { addKey } from '../registry/register.ts'
import { mayAnswer as mayAnswerIt } from './card.ts'
import { setApprovalRoutes } from './routes.ts'
import { denyApproval } from './vote.ts'
import { createHash, generateKeyPairSync } from 'node:crypto'

function newKey(): VerificationKey {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const parsed = parseRegisteredKey(publicKey.export({ format: 'jwk' }))
  return parsed.ok ? parsed.value : assert.fail(parsed.refusal.kind)
}

async function mayAnswer(writ: StoreOfWrit, id: ApprovalId, looker: TestPerson): Promise<string> {
  const approval = await shownOf(writ, id)
  const may = await writ.store.read((db) => mayAnswerIt(db, approval, { looker, votes: [], now: writ.now() }))
  return may.ok ? 'ok' : may.refusal
}

const SUBJECT = { issuer: 'https://idp.example', subject: 'ana' }

for (const name of STORES) {
  describe(`who may answer, on ${name}`, () => {
    const opened = storeForSuite(name)
    before(() => applyRefund(opened()))
    const refused = async (writ: StoreOfWrit, id: Awaited<ReturnType<typeof requested>>, person: TestPerson, refusal: object) => {
      const before = await everyRow(writ)
      assert.deepEqual(await approve(writ, id, person), { ok: false, refusal })
      assert.deepEqual(await everyRow(writ), before)
    }
    const why = (reason: string) => ({ kind: 'may_not', why: reason })

    test('nobody who stands behind a task answers for it, by whatever account', async () => {
      const writ = opened()
      const parent = await stageOf(writ, { owner: 'person:Boss@acme.example', onBehalfOf: SUBJECT })
      const child = await stageOf(writ, { owner: 'team:bots', parent, budget: 5 })
      const id = await requested(writ, child)
      const other = { email: null, issuer: 'https://other.example', subject: 'x' }
      for (const [who, reason] of [
        [await personOf(writ, { email: null, ...SUBJECT }), 'on_behalf_of_you'], [await personOf(writ, { ...other, email: 'ANA' }), 'on_behalf_of_you'],
        [await personOf(writ, { ...other, email: 'boss@ACME.example' }), 'you_own_the_agent'], [await personOf(writ, { groups: ['bots'] }), 'you_own_the_agent'],
        [await personOf(writ, { roles: ['admin', 'viewer'] }), 'not_a_reviewer'],
      ] as const) await refused(writ, id, who, why(reason))
      const { sign: _, ...owner } = await personOf(writ, { groups: ['bots'] })
      assert.deepEqual(await writ.store.change(denyApproval, { id, voter: owner, reason: null, now: writ.now() }), { ok: false, refusal: why('you_own_the_agent') })
      assert.equal(await done(approve(writ, id, await personOf(writ))), 'approved')
    })

    test('nobody answers who put in place what an agent of the chain proves itself with, whoever carried it there', async () => {
      const writ = opened()
      const [by, none] = [(one: TestPerson): EventActor => ({ kind: 'person', id: one.person }), writ.now()]
      const [registrar, binder, issuerKeys, keyMaker, good] = [await personOf(writ), await personOf(writ), await personOf(writ), await personOf(writ), await personOf(writ)]
      const parent = await stageOf(writ)
      const child = await stageOf(writ, { parent, budget: 5 })
      const add = (identity: IdentityId, actor: EventActor) => done(writ.store.change(addKey, { identity, credential: writ.newId('credential'), key: newKey(), replace: true, by: actor, now: writ.now() }))
      // An operator key that this person made, and one that was made with that.
      const [first, second] = [writ.newId('operator'), writ.newId('operator')]
      for (const [operator, maker] of [[first, by(keyMaker)], [second, { kind: 'operator', id: first }]] as const) {
        await done(writ.store.change(addOperator, { operator, name: 'ci', keyHash: createHash('sha256').update(operator).digest(), by: maker, now: none }))
      }
      await add(parent.identity, { kind: 'operator', id: second })
      const [issuer, url] = [writ.newId('issuer'), `https://${child.identity.slice(4)}.example`]
      await done(writ.store.change(trustIssuer, { id: issuer, url, kind: 'oidc', source: { kind: 'discovery' }, ca: null, by: by(good), now: writ.now() }))
      await done(writ.store.change(bindIdentity, { identity: child.identity, asked: { issuer: url, audience: 'writ', claims: { sub: 'pod' } }, by: by(binder), replace: false, now: writ.now() }))
      const id = await requested(writ, child)
      for (const one of [binder, keyMaker]) {
        await refused(writ, id, one, why('you_could_act_as_it'))
        await refused(writ, id, await personOf(writ, { email: one.email!.toUpperCase() }), why('you_could_act_as_it'))
        await refused(writ, id, await personOf(writ, { email: null, issuer: one.issuer, subject: one.subject }), why('you_could_act_as_it'))
      }
      // Whoever trusts an issuer that says itself what its keys are holds none of them.
      const shown = await mayAnswer(writ, id, good)
      assert.deepEqual([shown, await mayAnswer(writ, id, registrar), await mayAnswer(writ, id, issuerKeys)], ['ok', 'ok', 'ok'])
      // As of the answer: what was put in place since counts too, and what was replaced since the task was opened still does.
      await done(writ.store.change(changeIssuer, { reference: issuer, source: { kind: 'url', url: `${url}/keys` }, ca: null, reason: 'moved', by: by(issuerKeys), now: writ.now() }))
      await add(child.identity, by(registrar))
      await add(child.identity, OPERATOR)
      for (const one of [registrar, issuerKeys, binder, keyMaker]) await refused(writ, id, one, why('you_could_act_as_it'))
      const { sign: _, ...voter } = registrar
      assert.deepEqual(await writ.store.change(denyApproval, { id, voter, reason: null, now: writ.now() }), { ok: false, refusal: why('you_could_act_as_it') })
      assert.equal(await done(approve(writ, id, good)), 'approved')
      // A task that is opened afterwards has nothing to do with a key that was gone by then.
      writ.clock.advance(1)
      const later = await requested(writ, await taskOf(writ, child))
      assert.equal(await mayAnswer(writ, later, registrar), 'ok')
    })

    test('the database refuses them too, where the program would not', async () => {
      const writ = opened()
      const stage = await stageOf(writ, { owner: 'team:bots', onBehalfOf: SUBJECT })
      const holder = await personOf(writ)
      await done(writ.store.change(addKey, { identity: stage.identity, credential: writ.newId('credential'), key: newKey(), replace: false, by: { kind: 'person', id: holder.person }, now: writ.now() }))
      const id = await requested(writ, stage)
      const shown = await previewed(writ, id)
      const envelope = shown.ok ? shown.value.envelopeSha256 : ''
      await writ.sql('update approval set choice = $2, envelope_sha256 = $3, calls_most = 1 where id = $1', [id, '{"scope":"once"}', envelope])
      const [mate, ana, good] = [await personOf(writ, { groups: ['x', 'bots'] }), await personOf(writ, { email: null, ...SUBJECT }), await personOf(writ)]
      const vote = (voter: TestPerson, more: { readonly envelope?: string; readonly email?: string | null } = {}) => writ.sql(
        `insert into approval_vote (approval_id, person_id, name, email, issuer, subject, group_names, answer, reason, envelope_sha256, passkey_id, assertion, at, event_id)
         values ($1, $2, 'x', $3, $4, $5, $6, 'approve', null, $7, null, null, $8, 'evt_x')`,
        [id, voter.person, more.email === undefined ? voter.email : more.email, voter.issuer, voter.subject, JSON.stringify(voter.groups), more.envelope ?? envelope, writ.now()])
      const broken = (rule: string) => (error: unknown) => String((error as { constraint?: string }).constraint ?? (error as Error).message).includes(rule)
      await assert.rejects(vote(mate), broken('approval_vote_not_by_the_chain'))
      await assert.rejects(vote(ana), broken('approval_vote_not_by_the_chain'))
      for (const one of [holder, await personOf(writ, { email: holder.email }), { ...await personOf(writ, { email: null }), issuer: holder.issuer, subject: holder.subject }]) {
        await assert.rejects(vote(one), broken('approval_vote_not_by_the_chain'))
      }
      await assert.rejects(vote(good, { envelope: 'f'.repeat(64) }), broken('approval_vote_is_of_what_was_shown'))
      await assert.rejects(writ.sql(`update approval set state = 'approved', decided_at = $2 where id = $1`, [id, writ.now()]), broken('approval_has_its_quorum'))
      await vote(good)
      await assert.rejects(vote(await personOf(writ, { groups: [] }), { email: good.email }), (error: Error) => /unique/i.test(error.message))
      await assert.rejects(writ.sql('delete from approval_vote'), broken('approval_vote_stays_delete'))
      await assert.rejects(writ.sql(`update approval set nonce = 'x' where id = $1`, [id]), broken('approval_is_frozen'))
    })

    test('two are needed where a route says so, and one human with two accounts is one', async () => {
      const writ = opened()
      const routes = [{ name: 'large', when: { amount: { argument: 'amount', from: 1000 } }, group: 'payments', quorum: 2, seconds: 300, signed: false }]
      const { version } = await done(writ.store.change(setApprovalRoutes, { routes, version: 0, reason: 'two pairs of eyes', by: OPERATOR, now: writ.now() }))
      assert.deepEqual(await writ.store.change(setApprovalRoutes, { routes, version: 0, reason: 'late', by: OPERATOR, now: writ.now() }), { ok: false, refusal: { kind: 'other_version', version } })
      const stage = await stageOf(writ)
      assert.equal((await shownOf(writ, await requested(writ, stage, { arguments: '{"amount":999,"order":"1"}' }))).route.quorum, 1)
      const id = await requested(writ, stage)
      const [one, two] = [await personOf(writ), await personOf(writ)]
      await refused(writ, id, await personOf(writ, { groups: ['sales'] }), why('not_in_group'))
      assert.equal(await done(approve(writ, id, one)), 'waiting')
      assert.equal((await attempt(writ, stage)).approval?.kind, 'waiting')
      await refused(writ, id, one, why('answered_already'))
      await refused(writ, id, await personOf(writ, { email: one.email!.toUpperCase() }), why('answered_already'))
      await refused(writ, id, await personOf(writ, { email: null, issuer: one.issuer, subject: one.subject }), why('answered_already'))
      assert.deepEqual(await approve(writ, id, two, { choice: { scope: 'edited', arguments: '{"amount":1000,"order":"551"}' } }), { ok: false, refusal: { kind: 'other_choice' } })
      // Of as much as a permission would allow the same have to be asked.
      const bound = { arguments: { amount: { most: 5000 }, order: { any: true as const } }, calls: 2, until: (await shownOf(writ, id)).expiresAt }
      const small = await requested(writ, stage, { arguments: '{"amount":10,"order":"551"}' })
      assert.deepEqual(await previewed(writ, small, { scope: 'task', bound }), { ok: false, refusal: { kind: 'bound_of_another_route', route: 'large' } })
      assert.equal(await done(approve(writ, id, two)), 'approved')
      assert.equal((await attempt(writ, stage)).answer, 'allow')
      await done(writ.store.change(setApprovalRoutes, { routes: [], version, reason: 'enough', by: OPERATOR, now: writ.now() }))
    })

    test('of two who answer at once one decides, and what is over stays over', async () => {
      const writ = opened()
      const id = await requested(writ, await stageOf(writ))
      const { sign: _, ...no } = await personOf(writ)
      const shown = await Promise.all([approve(writ, id, await personOf(writ)), writ.store.change(denyApproval, { id, voter: no, reason: 'no', now: writ.now() })])
      const state = await stateOf(writ, id)
      assert.deepEqual(shown.map((one) => (one.ok ? one.value : one.refusal.kind)).toSorted(), [state, 'over'].toSorted())
      await refused(writ, id, await personOf(writ), { kind: 'over', state, why: state === 'denied' ? 'denied' : null })
    })

    test('high risk is signed by the passkey of whoever says yes, over what was shown, and looked at again when it is used', async () => {
      const writ = opened()
      await applyRefund(writ, { effect: 'external' })
      const stage = await stageOf(writ)
      const maya = await personOf(writ)
      const id = await requested(writ, stage)
      assert.deepEqual([(await shownOf(writ, id)).risk, (await shownOf(writ, id)).route.signed], ['high', true])
      const shown = await previewed(writ, id)
      const envelope = shown.ok ? shown.value.envelopeSha256 : ''
      const [stranger, other] = [generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, await personOf(writ)]
      await refused(writ, id, maya, { kind: 'signature_needed' })
      const bad = async (more: Parameters<typeof approve>[3], kind: string) => assert.deepEqual(await approve(writ, id, maya, more), { ok: false, refusal: { kind } })
      await bad({ isSigned: true, reason: null }, 'reason_needed')
      await bad({ signature: maya.sign('f'.repeat(64)) }, 'bad_signature')
      await bad({ signature: signatureOf(stranger, maya.sign(envelope).passkey, envelope) }, 'bad_signature')
      await bad({ signature: other.sign(envelope) }, 'bad_signature')
      assert.equal(await done(approve(writ, id, maya, { isSigned: true })), 'approved')
      // A row that says that it was signed is not enough, nor a key that Writ never enrolled.
      const [vote] = await writ.sql('select assertion, passkey_id from approval_vote where approval_id = $1', [id])
      for (const guard of ['approval_vote_stays_update', 'passkey_is_frozen']) await writ.sql(`drop trigger ${guard}${name === 'postgres' ? ` on ${guard.startsWith('passkey') ? 'passkey' : 'approval_vote'}` : ''}`)
      await writ.sql('update approval_vote set assertion = $2 where approval_id = $1', [id, signatureOf(stranger, vote!['passkey_id'] as never, envelope).assertion])
      assert.deepEqual((await attempt(writ, stage)).approval?.kind, 'not_signed')
      await writ.sql('update approval_vote set assertion = $2 where approval_id = $1', [id, vote!['assertion']])
      const [key] = await writ.sql('select public_key from passkey where id = $1', [vote!['passkey_id']])
      const { coseOf } = await import('../../test/approvals/stage.ts')
      const planted = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      await writ.sql('update passkey set public_key = $2 where id = $1', [vote!['passkey_id'], coseOf(planted.publicKey)])
      await writ.sql('update approval_vote set assertion = $2 where approval_id = $1', [id, signatureOf(planted.privateKey, vote!['passkey_id'] as never, envelope).assertion])
      assert.deepEqual((await attempt(writ, stage)).approval?.kind, 'not_signed')
      await writ.sql('update passkey set public_key = $2 where id = $1', [vote!['passkey_id'], key!['public_key']])
      await writ.sql('update approval_vote set assertion = $2 where approval_id = $1', [id, vote!['assertion']])
      assert.equal((await attempt(writ, stage)).answer, 'allow')
      await applyRefund(writ)
    })
  })
}

