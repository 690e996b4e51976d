import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseSpiffeId, shortNameOf, trustDomainOf, type SpiffeId } from './spiffe-id.ts'

const longest = (bytes: number): string => `spiffe://acme.example/${'a'.repeat(bytes - 'spiffe://acme.example/'.length)}`

for (const { id, kind } of [
  { id: 'spiffe://acme.example/deploy-bot', kind: 'accepted' },
  { id: 'spiffe://acme.example', kind: 'accepted' },
  { id: 'spiffe://acme.example/a/b/C.d_e-f', kind: 'accepted' },
  { id: `spiffe://${'a'.repeat(255)}`, kind: 'accepted' },
  { id: `spiffe://${'a'.repeat(256)}`, kind: 'too_long' },
  { id: longest(2048), kind: 'accepted' },
  { id: longest(2049), kind: 'too_long' },
  { id: '', kind: 'empty' },
  { id: 'https://acme.example/bot', kind: 'wrong_scheme' },
  { id: 'SPIFFE://acme.example/bot', kind: 'wrong_scheme' },
  { id: ' spiffe://acme.example/bot', kind: 'wrong_scheme' },
  { id: 'spiffe://acme.example:443/bot', kind: 'bad_trust_domain_character' },
  { id: 'spiffe://user@acme.example/bot', kind: 'bad_trust_domain_character' },
  { id: 'spiffe://Acme.example/bot', kind: 'bad_trust_domain_character' },
  { id: 'spiffe://acme.example?x/bot', kind: 'bad_trust_domain_character' },
  { id: 'spiffe://acme.example/bot?x=1', kind: 'bad_path_character' },
  { id: 'spiffe://acme.example/bot#x', kind: 'bad_path_character' },
  { id: 'spiffe://acme.example/bot\n', kind: 'bad_path_character' },
  { id: 'spiffe://acme.example/böt', kind: 'bad_path_character' },
  { id: 'spiffe://acme.example/b%6ft', kind: 'bad_path_character' },
]) {
  test(`\`${id.length > 60 ? `${id.slice(0, 30)}... (${id.length} characters)` : id.replaceAll('\n', '\\n')}\` is ${kind}`, () => {
    const parsed = parseSpiffeId(id)
    assert.equal(parsed.ok ? 'accepted' : parsed.refusal.kind, kind)
  })
}

test('any text at all is answered, never thrown at, and what is accepted is kept as written', () => {
  fc.assert(fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.webUrl(), fc.string().map((path) => `spiffe://acme.example/${path}`)), (text) => {
    const parsed = parseSpiffeId(text)
    if (parsed.ok) assert.ok(parsed.value === text && /^spiffe:\/\/[a-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/.test(text))
  }), { numRuns: 5000 })
})

for (const { id, domain, short } of [
  { id: 'spiffe://acme.example/ci/deploy-bot', domain: 'acme.example', short: 'deploy-bot' },
  { id: 'spiffe://acme.example', domain: 'acme.example', short: 'acme.example' },
]) {
  test(`\`${id}\` is called \`${short}\` in \`${domain}\``, () => {
    assert.equal(trustDomainOf(id as SpiffeId), domain)
    assert.equal(shortNameOf(id as SpiffeId), short)
  })
}
