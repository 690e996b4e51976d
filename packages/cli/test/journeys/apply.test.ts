import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { listIdentities } from '@writ/contract/registry'
import { eventsOf } from '../../../server/test/kept.ts'
import { startWrit as startServer, type RunningWrit } from '../../../server/test/running-writ.ts'
import { signedIn } from '../estate.ts'
import { emptyStage, type Stage } from '../run-writ.ts'
import { warmWritForFile } from '../warm-writ.ts'

const writ = warmWritForFile()

let server: RunningWrit
let stage: Stage
const ends: (() => unknown)[] = []
before(async () => {
  stage = await emptyStage({ after: (end: unknown) => ends.push(end as () => unknown) })
  server = await startServer()
  ends.push(() => server.stop())
  await signedIn(stage, server)
  put('bot.pub.jwk', JSON.stringify(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })))
})
after(async () => {
  for (const end of ends.toReversed()) await end()
})

const put = (name: string, text: string): void => writeFileSync(join(stage.folder, name), text)
const identities = async (): Promise<readonly string[]> => (await server.operator(listIdentities)).reply.identities.map((one) => `${one.spiffe_id} ${one.purpose}`)

const MANIFEST = `# two answers
identities:
  - spiffe_id: spiffe://acme.example/bot
    kind: pipeline
    class: script
    purpose: rolls out releases
    admission: { answer: identity, reason: it runs by night }
    owners: { technical: "team:platform", business: "person:maya@acme.example" }
    system_scope: [shop]
    environment: production
    authority: ["postgres:shop:ddl"]
    ends_at: 2099-12-31
    trigger: { kind: unused, days: 30 }
    key_file: ./bot.pub.jwk
  - spiffe_id: spiffe://acme.example/widget
    kind: copilot
    class: assisted
    purpose: draws charts
    admission: { answer: delegated_token, reason: it acts for the person in front of it }
    owners: { technical: "team:platform", business: "person:maya@acme.example" }
    system_scope: [shop]
    environment: production
    authority: ["postgres:shop:read"]
    ends_at: 2099-12-31
    trigger: { kind: unused, days: 30 }
`

test('a manifest is shown, applied, and then there is nothing to do', async () => {
  put('writ.yaml', MANIFEST)
  const eventsBefore = (await eventsOf(server)).length
  const dry = await writ(stage, ['apply', '-f', 'writ.yaml', '--dry-run'])
  assert.equal(dry.code, 0, dry.err)
  assert.match(dry.out, /^\+ spiffe:\/\/acme\.example\/bot {2}register\n[\s\S]*^- spiffe:\/\/acme\.example\/widget {2}decline/m)
  assert.match(dry.err, /2 to do; nothing was done/)
  const unasked = await writ(stage, ['apply', '-f', 'writ.yaml'])
  assert.equal(unasked.code, 2)
  assert.match(unasked.err, /--yes is needed/)
  assert.deepEqual([await identities(), (await eventsOf(server)).length], [[], eventsBefore])

  const done = await writ(stage, ['apply', '-f', 'writ.yaml', '--yes'])
  assert.equal(done.code, 0, done.err)
  assert.match(done.err, /applied: 2 of 2/)
  assert.deepEqual(await identities(), ['spiffe://acme.example/bot rolls out releases'])

  const eventsAfter = (await eventsOf(server)).length
  const again = await writ(stage, ['apply', '-f', 'writ.yaml'])
  assert.equal(again.code, 0, again.err)
  assert.match(again.err, /nothing to do/)
  assert.equal((await eventsOf(server)).length, eventsAfter)
})

test('a change is shown by its field, and only it is made', async () => {
  put('changed.yaml', MANIFEST.replace('rolls out releases', 'rolls out patches'))
  const done = await writ(stage, ['apply', '-f', 'changed.yaml', '--yes'])
  assert.equal(done.code, 0, done.err)
  assert.match(done.out, /^~ spiffe:\/\/acme\.example\/bot {2}change\n {4}purpose {2}rolls out releases -> rolls out patches\n= spiffe:/)
  assert.match(done.err, /applied: 1 of 2/)
  assert.deepEqual(await identities(), ['spiffe://acme.example/bot rolls out patches'])
  const shown = await writ(stage, ['identity', 'show', 'spiffe://acme.example/bot', '--json'])
  assert.equal((JSON.parse(shown.out) as { readonly purpose: string }).purpose, 'rolls out patches')
})

for (const { what, text, says } of [
  { what: 'a field with a wrong value', text: MANIFEST.replace('class: script', 'class: robot'), says: /^ {2}bad\.yaml:5 identities\[0\]\.class: /m },
  { what: 'a misspelt field', text: MANIFEST.replace('purpose: rolls', 'purpos: rolls'), says: /^ {2}bad\.yaml:3 identities\[0\]: .*`?"?purpos/m },
  { what: 'a missing owner', text: MANIFEST.replace('technical: "team:platform", ', ''), says: /^ {2}bad\.yaml:8 identities\[0\]\.owners\.technical: /m },
  { what: 'a key twice', text: MANIFEST.replace('    class: script', '    class: script\n    class: chatbot'), says: /^ {2}bad\.yaml:6:5: .*unique/m },
  { what: 'a key file that is not there', text: MANIFEST.replace('./bot.pub.jwk', './nowhere.jwk'), says: /^ {2}bad\.yaml:14 identities\[0\]\.key_file: there is no file/m },
  { what: 'an unclosed bracket', text: MANIFEST.replace('[shop]', '[shop'), says: /^ {2}bad\.yaml:\d+:\d+: /m },
]) {
  test(`a manifest with ${what} is refused by file, line and field, and nothing is done`, async () => {
    const before = [await identities(), (await eventsOf(server)).length]
    put('bad.yaml', text)
    const done = await writ(stage, ['apply', '-f', 'bad.yaml', '--yes'])
    assert.deepEqual([done.code, done.out], [2, ''], done.err)
    assert.match(done.err, says)
    assert.deepEqual([await identities(), (await eventsOf(server)).length], before)
  })
}

test('what only the server can know is refused by it with its field, and nothing is done', async () => {
  const before = [await identities(), (await eventsOf(server)).length]
  put('bad.yaml', MANIFEST.replace('trigger: { kind: unused, days: 30 }\n    key_file', 'trigger: { kind: backend_removed, backend: nowhere }\n    key_file').replaceAll('acme.example/bot', 'acme.example/other'))
  const done = await writ(stage, ['apply', '-f', 'bad.yaml', '--yes'])
  assert.ok([2, 5, 6].includes(done.code!), done.err)
  assert.match(done.err, /nowhere|trigger/)
  assert.deepEqual([await identities(), (await eventsOf(server)).length], before)
})
