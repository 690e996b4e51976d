import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proofDesk, signProof } from '../../test/fakes/proof.ts'
import { tokenDesk } from '../../test/fakes/token-desk.ts'
import { authenticatorFor, ISSUER, signToken, workload } from '../../test/fakes/workload.ts'

/** R31: what is meant for another server, and for none. Our own issuer is the first of the texts that they play with. */
const AUDIENCES: readonly { readonly what: string; readonly aud: unknown }[] = [
  { what: 'another server', aud: 'https://other.example' },
  { what: 'a trailing slash', aud: `${ISSUER}/` },
  { what: 'capitals in the scheme', aud: ISSUER.replace('https', 'HTTPS') },
  { what: 'capitals in the host', aud: ISSUER.replace('writ', 'Writ') },
  { what: 'the default port', aud: `${ISSUER}:443` },
  { what: 'another port', aud: `${ISSUER}:444` },
  { what: 'another scheme', aud: ISSUER.replace('https', 'http') },
  { what: 'our name as a prefix of its name', aud: `${ISSUER}.evil.example` },
  { what: 'our name as its user', aud: `${ISSUER}@evil.example` },
  { what: 'our name as its path', aud: `https://evil.example/${ISSUER}` },
  { what: 'a path', aud: `${ISSUER}/oauth/token` },
  { what: 'a query', aud: `${ISSUER}?x` },
  { what: 'a fragment', aud: `${ISSUER}#x` },
  { what: 'a final dot', aud: `${ISSUER}.` },
  { what: 'our host alone', aud: new URL(ISSUER).host },
  { what: 'a part of our name', aud: ISSUER.slice(0, -1) },
  { what: 'a blank before', aud: ` ${ISSUER}` },
  { what: 'a blank behind', aud: `${ISSUER} ` },
  { what: 'a line break', aud: `${ISSUER}\n` },
  { what: 'a tab behind', aud: `${ISSUER}\t` },
  { what: 'a letter that looks like ours', aud: ISSUER.replace('a', '\u0430') },
  { what: 'percent-encoding', aud: ISSUER.replace('w', '%77') },
  { what: 'nothing', aud: '' },
  { what: 'no audience', aud: undefined },
  { what: 'null', aud: null },
  { what: 'a list of ours', aud: [ISSUER] },
  { what: 'a list of ours and another', aud: [ISSUER, 'https://other.example'] },
  { what: 'a list of another and ours', aud: ['https://other.example', ISSUER] },
  { what: 'an empty list', aud: [] },
  { what: 'an object', aud: { [ISSUER]: true } },
  { what: 'any', aud: '*' },
]

const bot = workload()

for (const { what, aud } of AUDIENCES) {
  test(`a client assertion for ${what} opens nothing here`, async () => {
    const server = authenticatorFor([bot])
    const answer = await server.authenticator.authenticate(signToken(bot, { alg: 'ES256' }, server.claims({ aud })))
    assert.deepEqual(answer, { ok: false, refusal: { kind: 'wrong_audience' } })
    assert.equal(server.used.size, 0)
  })

  test(`an access token for ${what} opens nothing here, though we signed it`, async () => {
    const desk = tokenDesk()
    const answer = await desk.authenticator.authenticate(desk.token({ aud }), { thumbprint: desk.holder.registered.thumbprint })
    assert.deepEqual(answer, { ok: false, refusal: { kind: 'wrong_audience' } })
    assert.deepEqual(desk.asked, [])
  })

  // A proof says for whom it is in `htu`, where RFC 9449 §4.3 wants other spellings of our address to be known as ours.
  const isOurs = ['capitals in the scheme', 'capitals in the host', 'the default port', 'percent-encoding'].includes(what)
  test(`a DPoP proof for ${what} ${isOurs ? 'is for us' : 'opens nothing here'}`, () => {
    const desk = proofDesk()
    const checked = desk.check(desk.shown(signProof(bot, desk.claims({ htu: typeof aud === 'string' ? `${aud}/v1/tasks` : aud }))))
    if (isOurs) assert.ok(checked.ok)
    else assert.deepEqual(checked, { ok: false, refusal: { kind: 'bad_proof', because: 'htu' } })
  })
}
