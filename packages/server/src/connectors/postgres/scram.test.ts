import assert from 'node:assert/strict'
import { test } from 'node:test'
import { scramVerifier } from './scram.ts'

test('a verifier has the shape that PostgreSQL takes for a verifier, and not for a password', async () => {
  const verifier = await scramVerifier('writ_pg_secret', new Uint8Array(16).fill(7))
  assert.match(verifier, /^SCRAM-SHA-256\$4096:[A-Za-z0-9+/]{22}==\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=$/)
  assert.notEqual(verifier, await scramVerifier('writ_pg_secret', new Uint8Array(16).fill(8)))
})

for (const secret of ['', 'two words', 'naïve', 'line\n']) {
  test(`a secret that PostgreSQL might normalise is not taken: ${JSON.stringify(secret)}`, async () => {
    await assert.rejects(scramVerifier(secret, new Uint8Array(16)), (error: Error) => secret === '' || !error.message.includes(secret))
  })
}
