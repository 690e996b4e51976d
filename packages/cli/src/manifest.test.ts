import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CommandFailure, EXIT } from './exit.ts'
import { readManifest } from './manifest.ts'

const GOOD = `identities:
  - spiffe_id: spiffe://acme.example/deploy-bot
    admission: { answer: identity, reason: it runs by night }
    kind: pipeline
    class: script
    purpose: rolls out releases
    owners: { technical: 'team:platform', business: 'person:maya@acme.example' }
    system_scope: [shop]
    environment: production
    authority: ['postgres:shop:ddl']
    ends_at: 2027-06-30
    trigger: { kind: unused, days: 30 }
    key_file: ./deploy.pub.jwk
`
const PUBLIC = '{"kty":"EC","crv":"P-256","x":"a","y":"b"}'
const read = (text: string, key = PUBLIC) => readManifest(text, 'etc/writ.yaml', async (path) => {
  assert.match(path, /etc\/deploy\.pub\.jwk$/)
  return key
})

/** The fields of the refusal, as they are printed. */
async function faultsOf(text: string, key?: string): Promise<readonly string[]> {
  const fault: unknown = await read(text, key).then(() => undefined, (thrown: unknown) => thrown)
  assert.ok(fault instanceof CommandFailure && fault.exit === EXIT.usage, String(fault))
  return fault.fields.map(({ field, message }) => `${field}: ${message}`)
}

test('a manifest is read with the key that lies beside it, and a date stays a date', async () => {
  const { identities: [first] } = await read(GOOD)
  assert.deepEqual([first?.ends_at, first?.key], ['2027-06-30', JSON.parse(PUBLIC)])
})

for (const { when, text, line } of [
  { when: 'a key stands twice', text: GOOD.replace('    class: script', '    kind: agent\n    class: script'), line: /^etc\/writ\.yaml:5:5: map keys must be unique/ },
  { when: 'it is not YAML', text: 'identities:\n  - a: [1\n', line: /^etc\/writ\.yaml:\d+:\d+: / },
  { when: 'a field is wrong', text: GOOD.replace('pipeline', 'robot'), line: /^etc\/writ\.yaml:4 identities\[0\]\.kind: / },
  { when: 'a field is missing', text: GOOD.replace(/ {4}purpose.*\n/, ''), line: /^etc\/writ\.yaml:2 identities\[0\]\.purpose: / },
  { when: 'a field is unknown', text: GOOD.replace('purpose:', 'purpos: x\n    purpose:'), line: /^etc\/writ\.yaml:2 identities\[0\]: .*purpos/ },
  { when: 'an owner is missing', text: GOOD.replace(/, business: [^}]*/, ' '), line: /^etc\/writ\.yaml:7 identities\[0\]\.owners\.business: / },
  { when: 'it says both key and key_file', text: `${GOOD}    key: {}\n`, line: /^etc\/writ\.yaml:13 identities\[0\]\.key_file: .*exclude/ },
  { when: 'there are no identities', text: 'identities: []\n', line: /^etc\/writ\.yaml:1 identities: / },
  { when: 'it is empty', text: '', line: /^etc\/writ\.yaml/ },
]) {
  test(`a manifest is refused with the line when ${when}`, async () => {
    const faults = await faultsOf(text)
    assert.ok(faults.some((fault) => line.test(fault)), faults.join('\n'))
  })
}

test('all missing fields are named at once', async () => {
  const faults = await faultsOf('identities:\n  - spiffe_id: spiffe://acme.example/x\n')
  for (const field of ['admission', 'kind', 'class', 'purpose', 'owners', 'system_scope', 'environment', 'authority', 'ends_at', 'trigger']) {
    assert.ok(faults.some((fault) => fault.includes(`.${field}:`)), field)
  }
})

test('a private key in a manifest is refused and not quoted', async () => {
  const faults = await faultsOf(GOOD, '{"kty":"EC","crv":"P-256","x":"a","y":"b","d":"canary"}')
  assert.match(faults.join(), /holds a private key/)
  assert.doesNotMatch(faults.join(), /canary/)
})

test('an alias bomb is refused', async () => {
  const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]', ...'bcdefghi'.split('').map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[i]}`).join(',')}]`)].join('\n')
  await assert.rejects(read(bomb), CommandFailure)
})
