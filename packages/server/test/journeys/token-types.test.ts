import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { DOORS, evidenceEstate, PROVIDER, SIGNERS, boundToken, type Door, type EvidenceEstate, type Signer } from '../evidence-estate.ts'
import type { Members } from '../fakes/workload.ts'
import { keptIn } from '../kept.ts'
import { startWrit, type RunningWrit } from '../running-writ.ts'

type Kind = {
  readonly name: string
  readonly make: (at: EvidenceEstate, signer: Signer, door: Door) => string | Promise<string>
  /** Which signer's word is good at which doors. */
  readonly good?: Readonly<Partial<Record<Signer, readonly string[]>>>
}

/** What the signer could say best, had it wanted to make evidence: so that only the kind of token stands in the way. */
function ownClaims(at: EvidenceEstate, signer: Signer): Members {
  return at.claims(signer === 'provider' ? 'federated token' : signer === 'trust domain' ? 'JWT-SVID' : 'client assertion')
}

const otherUse = (name: string, header: Members, more: (at: EvidenceEstate) => Members): Kind =>
  ({ name, make: (at, signer) => at.sign(signer, header, { ...ownClaims(at, signer), ...more(at) }) })

const WORKLOAD_DOORS = ['DPoP', 'assertion', 'subject_token, as a JWT', 'subject_token, as an ID token']
const BACK_CHANNEL = { 'http://schemas.openid.net/event/backchannel-logout': {} }

const KINDS: readonly Kind[] = [
  {
    name: 'client assertion', make: (at, signer) => at.sign(signer, { typ: 'client-authentication+jwt' }, at.claims('client assertion')),
    good: { 'registered key': ['Bearer', 'DPoP', 'client_assertion', 'whoever introspects, as a bearer', 'whoever introspects, by client_assertion'] },
  },
  { name: 'federated workload token', make: (at, signer) => at.sign(signer, { typ: 'JWT' }, at.claims('federated token')), good: { provider: WORKLOAD_DOORS } },
  { name: 'JWT-SVID', make: (at, signer) => at.sign(signer, { typ: 'JOSE' }, at.claims('JWT-SVID')), good: { 'trust domain': [...WORKLOAD_DOORS, 'client_assertion, as an SVID'] } },
  {
    name: 'DPoP proof',
    make: async (at, by, { htm, path, name }) => at.proof({ htm, path, by, ...(name === 'the DPoP header' ? { token: await boundToken(at) } : {}) }),
    // Whoever makes a proof holds its key; only a token says which key it has to be.
    good: { ...Object.fromEntries(SIGNERS.map((signer) => [signer, ['the DPoP header of a token request']])), 'DPoP key': ['the DPoP header', 'the DPoP header of a token request'] },
  },
  { name: 'DPoP proof that claims to be evidence too', make: (at, signer, { htm, path }) => at.proof({ htm, path, by: signer, changes: { ...ownClaims(at, signer), ath: undefined, htm: 'HEAD' } }) },
  {
    name: 'forged access token',
    make: (at, signer) => {
      const kid = at.jwks[0]!.kid
      return at.sign(signer, { typ: 'at+jwt', kid }, { ...at.claims('client assertion'), iss: at.writ.url, client_id: at.spiffeId, jti: 'lse_00000000000000000000000000', txn: 'tsk_00000000000000000000000000', cnf: { jkt: at.signers['DPoP key'].registered.thumbprint } })
    },
  },
  otherUse('access token in a claim\'s clothes', { typ: 'at+jwt' }, () => ({ client_id: 'x' })),
  otherUse('ID token', { typ: 'JWT' }, () => ({ nonce: 'n', at_hash: 'x', auth_time: 1 })),
  otherUse('logout token', { typ: 'logout+jwt' }, () => ({ events: BACK_CHANNEL, sid: 'x' })),
  otherUse('security event token', { typ: 'secevent+jwt' }, () => ({ events: { 'https://schemas.openid.net/secevent/caep/event-type/session-revoked': {} } })),
  otherUse('refresh token that is a JWT', { typ: 'rt+jwt' }, () => ({ scope: 'offline_access' })),
  otherUse('delegation token', { typ: 'delegation+jwt' }, (at) => ({ act: { sub: at.spiffeId } })),
  otherUse('transaction token', { typ: 'txntoken+jwt' }, () => ({ txn: 'tsk_00000000000000000000000000' })),
  otherUse('identity assertion for another server', { typ: 'oauth-id-jag+jwt' }, (at) => ({ client_id: at.spiffeId })),
  otherUse('token introspection reply', { typ: 'token-introspection+jwt' }, () => ({ token_introspection: { active: true } })),
  otherUse('evidence for another audience', { typ: 'JWT' }, () => ({ aud: PROVIDER })),
]

/** Values that no key makes. */
const OTHERS: readonly { readonly name: string; readonly make: (at: EvidenceEstate) => string | Promise<string>; readonly good?: readonly string[] }[] = [
  { name: 'access token', make: (at) => boundToken(at), good: ['DPoP', 'subject_token, as an access_token', 'introspection'] },
  { name: 'refresh token', make: () => randomBytes(32).toString('base64url') },
  { name: 'operator key of nobody', make: () => `writ_op_${randomBytes(32).toString('base64url')}000000` },
  { name: 'id of a task', make: () => 'tsk_00000000000000000000000000' },
  { name: 'UUID', make: () => randomUUID() },
]

describe('each kind of token opens its own doors and no other', () => {
  let writ: RunningWrit
  let at: EvidenceEstate
  before(async () => {
    writ = await startWrit()
    at = await evidenceEstate(writ)
    await boundToken(at)
  })
  after(async () => { await writ?.stop() })

  const cells = [
    ...KINDS.flatMap((kind) => SIGNERS.flatMap((signer) => DOORS.map((door) => ({
      what: `${kind.name} by the ${signer}`, door, isGood: kind.good?.[signer]?.includes(door.name) ?? false, make: () => kind.make(at, signer, door),
    })))),
    ...OTHERS.flatMap((one) => DOORS.map((door) => ({ what: one.name, door, isGood: one.good?.includes(door.name) ?? false, make: () => one.make(at) }))),
  ]

  test('in no cell off the diagonal is anything accepted, and nothing is written', async (t) => {
    const before = await keptIn(writ)
    const accepted: string[] = []
    const off = cells.filter((cell) => !cell.isGood)
    for (const { what, door, make } of off) {
      const answer = await door.show(at, await make())
      if (door.opens(answer)) accepted.push(`${what} at ${door.name}: ${answer.text}`)
      assert.ok([200, 400, 401, 403].includes(answer.status), `${what} at ${door.name}: ${answer.status} ${answer.text}`)
    }
    assert.deepEqual(accepted, [])
    assert.deepEqual(await keptIn(writ), before)
    assert.ok(off.length >= 100)
    t.diagnostic(`${off.length} cells off the diagonal, ${DOORS.length} doors`)
  })

  test('in every cell of the diagonal it is accepted', async () => {
    const refused: string[] = []
    for (const { what, door, make } of cells.filter((cell) => cell.isGood)) {
      const answer = await door.show(at, await make())
      if (!door.opens(answer)) refused.push(`${what} at ${door.name}: ${answer.status} ${answer.text}`)
    }
    assert.deepEqual(refused, [])
  })
})
