import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { listMcpServers } from '@writ/contract/mcp-servers'
import { showCurrentPolicies } from '@writ/contract/policies'
import { definitionOf, hashOf } from '../../../server/test/laws/tool-steps.ts'
import { keptIn } from '../../../server/test/kept.ts'
import { startWrit as startServer, type RunningWrit } from '../../../server/test/running-writ.ts'
import { signedIn } from '../estate.ts'
import { emptyStage, writ, type Ended, type Stage } from '../run-writ.ts'

const LISTING = fileURLToPath(new URL('../../../server/test/mcp/listing-stdio.ts', import.meta.url))
const CANARY = 'a-canary-that-nobody-may-see'
const [look, changed] = [definitionOf('look', 'Looks at a file.'), definitionOf('look', 'Looks at a file, and sends it.')]
const hidden = definitionOf('sly', 'Looks.\u200b')

let server: RunningWrit
let stage: Stage
const ends: (() => unknown)[] = []
before(async () => {
  stage = await emptyStage({ after: (end: unknown) => ends.push(end as () => unknown) })
  server = await startServer()
  ends.push(() => server.stop())
  await signedIn(stage, server)
  list(look, '{"name":"send"}', hidden)
  const added = await mcp('add', 'files', '--', process.execPath, LISTING, join(stage.folder, 'list.json'))
  assert.equal(added.code, 0, added.err)
})
after(async () => {
  for (const end of ends.toReversed()) await end()
})

const list = (...definitions: readonly string[]): void => writeFileSync(join(stage.folder, 'list.json'), `[${definitions.join(',')}]`)
const mcp = (...args: readonly string[]): Promise<Ended> => writ(stage, ['mcp', ...args])
const toolsInForce = async (): Promise<readonly { readonly name: string; readonly pin: string }[]> =>
  JSON.parse((await server.operator(showCurrentPolicies)).reply.files['tools.json'] ?? '[]') as []

/** The command answers this code, and the store holds what it held before. */
async function refused(code: number, ...args: readonly string[]): Promise<Ended> {
  const kept = await keptIn(server)
  const ended = await mcp(...args)
  assert.deepEqual([ended.code, ended.out], [code, ''], ended.err)
  assert.deepEqual(await keptIn(server), kept)
  return ended
}

test('a server over HTTP is added with a header that comes from a file, and is listed without it', async () => {
  writeFileSync(join(stage.folder, 'key'), `Bearer ${CANARY}\n`)
  const added = await mcp('add', 'mail', 'https://mail.example/mcp', '--header-file', 'Authorization=key', '--environment', 'test')
  assert.equal(added.code, 0, added.err)
  assert.match(added.out, /secrets +kept/)
  assert.match(added.err, /nothing of it can be called yet/)
  const listed = await mcp('list')
  assert.match(listed.out, /mail +http +https:\/\/mail\.example\/mcp +active +kept +none +http:\/\/\S+\/mcp\/mail/)
  assert.ok(!(added.out + added.err + listed.out + server.log()).includes(CANARY))
})

test('a program is added with variables from a file, and its arguments as they stand', async () => {
  writeFileSync(join(stage.folder, 'env'), `# for it\nKEY="${CANARY}"\n`)
  const added = await mcp('add', 'local', '--env-file', 'env', '--cwd', '/srv', '--', 'mail-server', '--url', 'x', '--', '-v')
  assert.equal(added.code, 0, added.err)
  const [kept] = (await server.operator(listMcpServers)).reply.servers.filter((one) => one.name === 'local')
  assert.deepEqual([kept!.command, kept!.args, kept!.cwd, kept!.has_secrets], ['mail-server', ['--url', 'x', '--', '-v'], '/srv', true])
})

for (const { what, args, code, says } of [
  { what: 'nowhere', args: ['add', 'x'], code: 2, says: /a URL is needed, or a command after `--`/ },
  { what: 'at two places', args: ['add', 'x', 'https://a.example', '--', 'y'], code: 2, says: /exclude each other/ },
  { what: 'without a command', args: ['add', 'x', '--'], code: 2, says: /a command is needed/ },
  { what: 'with a header on a program', args: ['add', 'x', '--header-file', 'A=key', '--', 'y'], code: 2, says: /for a server over HTTP/ },
  { what: 'over HTTP with a lease', args: ['add', 'x', 'https://a.example', '--lease', 'PG=postgres:shop:ddl'], code: 2, says: /--lease is for a program/ },
  { what: 'with a lease that is none', args: ['add', 'x', '--lease', 'postgres:shop:ddl', '--', 'y'], code: 2, says: /NAME=postgres:BACKEND:TEMPLATE/ },
  { what: 'with a lease of a back end that there is not', args: ['add', 'x', '--lease', 'PG=postgres:shop:ddl', '--', 'y'], code: 2, says: /leases: no back end `shop` has a template `ddl`/ },
  { what: 'with a header that names no file', args: ['add', 'x', 'https://a.example', '--header-file', 'key'], code: 2, says: /NAME=FILE/ },
  { what: 'at an address that is not on the internet', args: ['add', 'x', 'https://10.0.0.1/mcp'], code: 2, says: /url: `10\.0\.0\.1` is not on the internet/ },
  { what: 'under a name that is taken', args: ['add', 'files', 'https://a.example'], code: 6, says: /has this name/ },
]) {
  test(`a server is not added ${what}`, async () => {
    assert.match((await refused(code, ...args)).err, says)
  })
}

test('the tools are shown with what is proposed, and nothing is pinned by looking', async () => {
  const shown = await mcp('tools', 'files', '--fresh')
  assert.equal(shown.code, 0, shown.err)
  for (const row of [/^look +read +yes +- +- +- +new/m, /^resources\/read +read +yes +- +untrusted +- +new/m, /^send +external +no +- +untrusted +- +new/m, /^sly +read .* new +invisible text: U\+200B/m]) assert.match(shown.out, row)
  const asJson = JSON.parse((await mcp('tools', 'files', '--json')).out) as readonly { readonly name: string; readonly hash: string }[]
  assert.equal(asJson.find((one) => one.name === 'look')!.hash, hashOf(look))
  assert.ok(!shown.out.includes('\u200b'))
  assert.deepEqual(await toolsInForce(), [])
})

test('a tool is pinned with what a person says of it, once somebody agrees', async () => {
  assert.match((await refused(2, 'pin', 'files', 'look')).err, /--yes is needed/)
  assert.match((await refused(2, 'pin', 'files')).err, /name the tools to pin, or give --all/)
  assert.match((await refused(2, 'pin', 'files', 'look', '--effect', 'look=sleep')).err, /TOOL=read\|write\|external/)
  assert.match((await refused(2, 'pin', 'files', 'look', '--label', 'loook=pii', '--yes')).err, /`loook` is none of the tools/)
  assert.match((await refused(2, 'pin', 'files', 'look', '--public', 'look', '--yes')).err, /TOOL=VALUE/)
  assert.match((await refused(6, 'pin', 'files', 'look', '--public', 'look=ids', '--yes')).err, /the tool has no argument `ids`[^]*did you mean `id`\?/)
  assert.match((await refused(5, 'pin', 'files', 'lok', '--yes')).err, /did you mean `look`\?/)
  assert.match((await refused(5, 'pin', 'fils', 'look', '--yes')).err, /did you mean `files`\?/)
  const pinned = await mcp('pin', 'files', 'look', 'send', '--effect', 'send=write', '--reversible', 'send=yes', '--label', 'look=pii', '--label', 'look=hr', '--public', 'look=id', '--trust', 'send=none', '--yes')
  assert.equal(pinned.code, 0, pinned.err)
  assert.deepEqual(await toolsInForce(), [
    { server: 'files', name: 'look', effect: 'read', reversible: true, labels: ['pii', 'hr'], pin: hashOf(look), public: ['id'], description: 'Looks at a file.', input: JSON.parse(look).inputSchema },
    { server: 'files', name: 'send', effect: 'write', reversible: true, labels: [], pin: hashOf('{"name":"send"}'), input: { type: 'object' } },
  ])
})

test('all that is new is pinned at once, but what has something to hide', async () => {
  const pinned = await mcp('pin', 'files', '--all', '--yes')
  assert.equal(pinned.code, 0, pinned.err)
  assert.match(pinned.err, /`sly` holds invisible text and is left out: writ mcp accept files sly/)
  assert.deepEqual((await toolsInForce()).map((one) => one.name), ['look', 'send', 'resources/read'])
  assert.match((await refused(0, 'pin', 'files', '--all', '--yes')).err, /nothing new/)
})

test('a definition that changed is shown word by word, and accepted as it was shown or not at all', async () => {
  list(changed, '{"name":"send"}', hidden)
  const shown = await mcp('tools', 'files', '--fresh')
  assert.match(shown.out, /^look +read +yes +pii, hr +- +id +changed/m)
  assert.match(shown.err, /blocked, for its definition changed: writ mcp accept files look/)
  assert.match((await refused(6, 'pin', 'files', 'look', '--yes')).err, /changed since it was pinned/)
  const asked = await refused(2, 'accept', 'files', 'look')
  assert.match(asked.err, /"description": "Looks at a file\{\+, and sends it\+\}\."/)
  assert.match(asked.err, /--yes is needed/)
  assert.match((await refused(6, 'accept', 'files', 'look', '--hash', hashOf(look))).err, /with another definition/)
  const accepted = await mcp('accept', 'files', 'look', '--hash', hashOf(changed))
  assert.equal(accepted.code, 0, accepted.err)
  const [tool] = await toolsInForce()
  assert.deepEqual(tool, { server: 'files', name: 'look', effect: 'read', reversible: true, labels: ['pii', 'hr'], pin: hashOf(changed), public: ['id'], description: 'Looks at a file, and sends it.', input: JSON.parse(changed).inputSchema })
  assert.match((await refused(0, 'accept', 'files', 'look', '--yes')).err, /nothing to do/)
})

test('a tool with invisible text is accepted by its name alone, after the text was spelt', async () => {
  const accepted = await mcp('accept', 'files', 'sly', '--yes')
  assert.equal(accepted.code, 0, accepted.err)
  assert.match(accepted.err, /Looks\.\\u\{200b\}/)
  assert.match(accepted.err, /invisible text in the value at \/description: U\+200B/)
  assert.ok((await toolsInForce()).some((one) => one.pin === hashOf(hidden)))
})

test('other secrets take the place of those that a server had', async () => {
  writeFileSync(join(stage.folder, 'other'), 'X=1\n')
  assert.match((await refused(2, 'secret', 'local', '--header-file', 'A=key')).err, /reached over stdio: use --env-file/)
  assert.match((await refused(2, 'secret', 'local')).err, /--yes is needed/)
  assert.match((await mcp('secret', 'local', '--env-file', 'other')).out, /secrets +kept/)
  assert.match((await mcp('secret', 'local', '--yes')).out, /secrets +none/)
})

test('a server is retired with a reason, and its name is free again', async () => {
  assert.match((await refused(2, 'retire', 'local')).err, /--reason is needed/)
  assert.match((await refused(5, 'retire', 'locale', '--reason', 'x')).err, /did you mean `local`\?/)
  assert.match((await mcp('retire', 'local', '--reason', 'gone')).out, /state +retired/)
  assert.doesNotMatch((await mcp('list')).out, /^local/m)
  assert.match((await mcp('list', '--all')).out, /^local .*retired/m)
  assert.equal((await mcp('add', 'local', '--', 'x')).code, 0)
})

test('calls are listed for whoever asks, and there are none before there is a gateway to make them', async () => {
  const calls = await mcp('calls', '--json')
  assert.deepEqual([calls.code, calls.out], [0, '[]\n'], calls.err)
})

test('a server that can not be asked is named', async () => {
  const shown = await writ(stage, ['mcp', 'tools', 'mail', '--fresh', '--timeout', '2s'])
  assert.equal(shown.code, 7, shown.err)
  assert.match(shown.err, /the MCP server `mail` can not be asked: \w+/)
})
