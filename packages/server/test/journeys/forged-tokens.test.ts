import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import * as registry from '@writ/contract/registry'
import { boundToken, doorNamed, evidenceEstate, type Door, type EvidenceEstate, type Signer } from '../evidence-estate.ts'
import { signToken, type Members } from '../fakes/workload.ts'
import { forgeries, type Original } from '../forgeries.ts'
import { keptIn } from '../kept.ts'
import { withoutTrace, type RawAnswer } from '../raw-request.ts'
import { startWrit, type RunningWrit } from '../running-writ.ts'

type Kind = { readonly name: string; readonly doors: readonly string[]; readonly original: (at: EvidenceEstate, door: Door) => Promise<Original> }

const decoded = (part: string): Members => JSON.parse(Buffer.from(part, 'base64url').toString()) as Members

function originalOf(at: EvidenceEstate, token: string, signer: Signer): Original {
  const [header, claims] = token.split('.').slice(0, 2).map(decoded) as [Members, Members]
  return { token, header, claims, jwk: { ...at.signers[signer].registered.jwk }, sign: (head, body) => signToken(at.signers[signer], head, body) }
}

const KINDS: readonly Kind[] = [
  {
    name: 'client assertion', doors: ['Bearer', 'client_assertion', 'whoever introspects, by client_assertion'],
    original: async (at) => originalOf(at, at.sign('registered key', {}, at.claims('client assertion')), 'registered key'),
  },
  {
    name: 'federated workload token', doors: ['DPoP', 'assertion', 'subject_token, as a JWT'],
    original: async (at) => originalOf(at, at.sign('provider', {}, at.claims('federated token')), 'provider'),
  },
  { name: 'JWT-SVID', doors: ['DPoP', 'client_assertion, as an SVID'], original: async (at) => originalOf(at, at.sign('trust domain', {}, at.claims('JWT-SVID')), 'trust domain') },
  {
    name: 'DPoP proof', doors: ['the DPoP header', 'the DPoP header of a token request'],
    original: async (at, { htm, path, name }) => originalOf(at, at.proof({ htm, path, ...(name === 'the DPoP header' ? { token: await boundToken(at) } : {}) }), 'DPoP key'),
  },
  {
    name: 'access token', doors: ['DPoP', 'subject_token, as an access_token', 'introspection'],
    // The key that signs these is the server's own: a forger has its public part alone.
    original: async (at) => ({ ...originalOf(at, await boundToken(at), 'stranger'), jwk: at.jwks[0]!, sign: undefined }),
  },
]

describe('forged tokens', () => {
  let writ: RunningWrit
  let at: EvidenceEstate
  let lure: Server
  let calls = 0
  let place = ''
  before(async () => {
    lure = createServer((_, response) => response.end('{"keys":[]}'))
    lure.on('connection', () => { calls += 1 })
    lure.listen(0, '127.0.0.1')
    await once(lure, 'listening')
    place = `127.0.0.1:${(lure.address() as AddressInfo).port}`
    // It may be called, as far as that goes: only nobody should want to.
    writ = await startWrit({ env: { WRIT_OUTBOUND_ALLOW: place } })
    at = await evidenceEstate(writ)
    await boundToken(at)
  })
  after(async () => {
    await writ?.stop()
    lure.close()
  })

  for (const { name, doors, original } of KINDS) {
    for (const door of doors.map(doorNamed)) {
      test(`no forged ${name} opens ${door.name}, whatever was done to it, and every answer is the same`, async (t) => {
        const before = await keptIn(writ)
        const forged = forgeries(await original(at, door), at.signers.stranger, `http://${place}`)
        assert.ok(forged.length >= 60, `${forged.length}`)
        const answers = new Set<string>()
        for (const { what, token } of forged.filter((one) => isForged(name, one.what))) {
          const answer = await shown(door, at, token)
          if (answer === undefined) continue
          assert.equal(door.opens(answer), false, `${what}: ${answer.text}`)
          assert.ok(answer.status < 500, `${what}: ${answer.status} ${answer.text}`)
          // What is longer than a header may be never comes so far; a form has bounds of its own.
          if (token.length < 8000) answers.add(withoutTrace(answer).replace(/,"trace_id":"[^"]*"/, ''))
        }
        assert.ok(answers.size <= (door.path === '/oauth/token' ? 2 : 1), [...answers].join('\n'))
        assert.deepEqual(await keptIn(writ), before)
        t.diagnostic(`${forged.length} forgeries`)
      })

      test(`the ${name} that they were made of opens ${door.name}`, async () => {
        const answer = await door.show(at, (await original(at, door)).token)
        assert.ok(door.opens(answer), `${answer.status} ${answer.text}`)
      })
    }
  }

  test('after all of it nothing was fetched, nothing failed, and the server is as it was', async () => {
    assert.equal(calls, 0)
    assert.equal(writ.log().includes('request failed'), false)
    assert.equal((await writ.stranger(registry.health)).status, 200)
    await (await fetch(`http://${place}/`)).text()
    assert.equal(calls, 1)
  })
})

/** A proof brings its own key: whoever signs anew with another key, and says so, has made a good one. */
const isForged = (kind: string, what: string): boolean => kind !== 'DPoP proof' || what !== 'its own key in jwk'

/** Undefined where the server hung up before it had read it all. */
async function shown(door: Door, at: EvidenceEstate, token: string): Promise<RawAnswer | undefined> {
  try {
    return await door.show(at, token)
  } catch (error) {
    if (error instanceof Error && 'code' in error && ['ECONNRESET', 'EPIPE', 'HPE_HEADER_OVERFLOW', 'ERR_INVALID_CHAR'].includes(error.code as string)) return undefined
    throw error
  }
}
