import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { listEvents } from '@writ/contract/events'
import { postBox } from '../../../server/test/post-box.ts'
import { startWrit as startServer, type RunningWrit } from '../../../server/test/running-writ.ts'
import { signedIn } from '../estate.ts'
import { emptyStage, startWrit, type Stage } from '../run-writ.ts'
import { warmWritForFile } from '../warm-writ.ts'

const writ = warmWritForFile()
const posts = await postBox()

let server: RunningWrit
let stage: Stage
const ends: (() => unknown)[] = []
before(async () => {
  stage = await emptyStage({ after: (end: unknown) => ends.push(end as () => unknown) })
  server = await startServer({ env: { WRIT_OUTBOUND_ALLOW: `127.0.0.1:${posts.port}` } })
  ends.push(() => server.stop(), () => posts.stop())
  await signedIn(stage, server)
})
after(async () => {
  for (const end of ends.toReversed()) await end()
})

const exits = async (args: readonly string[], code: number): Promise<{ readonly out: string; readonly err: string }> => {
  const ended = await writ(stage, args)
  assert.equal(ended.code, code, `${args.join(' ')}: ${ended.err}`)
  return ended
}

test('a webhook is added, tried, listed and removed; its secret is shown once', async () => {
  const { out } = await exits(['notice', 'add', 'pager', '--webhook', posts.urlOf('/pager'), '--about', 'incident.opened', '--plain'], 0)
  const secret = /whsec_\S+/.exec(out)![0]
  await exits(['notice', 'test', 'pager'], 0)
  assert.equal((JSON.parse(posts.on('/pager')[0]!.body) as { type: string }).type, 'writ.test')
  posts.answer('/pager', 500)
  assert.match((await exits(['notice', 'test', 'pager'], 7)).err, /status_500/)
  const listed = (await exits(['notice', 'list', '--plain'], 0)).out
  assert.match(listed, /^pager\twebhook\thttp:\/\/127\.0\.0\.1:\d+\tincident\.opened\tactive\t0\t0\tnever|-/m)
  assert.ok(!listed.includes(secret))
  assert.match((await exits(['notice', 'remove', 'pager', '--reason', 'it moved', '--plain'], 0)).out, /state\tremoved/)
  await exits(['notice', 'test', 'pager'], 5)
})

test('the address of a channel comes from a file, and stands nowhere', async () => {
  writeFileSync(join(stage.folder, 'slack'), `${posts.urlOf('/services/T0/B0/canary')}\n`)
  const { out, err } = await exits(['notice', 'add', 'ops', '--slack-url-file', 'slack', '--json'], 0)
  assert.doesNotMatch(out + err, /canary/)
  await exits(['notice', 'test', 'ops'], 0)
  assert.equal(posts.on('/services/T0/B0/canary').length, 1)
})

for (const { what, args } of [
  { what: 'two ways at once', args: ['--webhook', 'https://a.example', '--mail', 'a@b.example'] }, { what: 'none', args: [] },
  { what: 'mail without a server', args: ['--mail', 'a@b.example'] }, { what: 'a matter that there is not', args: ['--webhook', 'https://a.example', '--about', 'weather'] },
  { what: 'a name without a password', args: ['--mail', 'a@b.example', '--from', 'c@d.example', '--smtp', 'mail.example:587', '--username', 'x'] },
  { what: 'a webhook in a private network', args: ['--webhook', 'https://10.0.0.1/'] },
]) {
  test(`a target with ${what} is wrong usage`, async () => { await exits(['notice', 'add', 'wrong', ...args], 2) })
}

test('writ watch shows what is recorded, goes on over a restart of the server and ends after as many as were asked for', async () => {
  const newest = (await server.operator(listEvents, { query: { newest: 'true', limit: '1' } })).reply.events[0]!
  const watching = startWrit(stage, ['watch', '--json', '--limit', '6', '--after', newest.id])
  await server.register('watched')
  await watching.saw('identity.registered')
  await server.kill('SIGKILL')
  await server.restart()
  await server.register('after')
  const { code, out, err } = await watching.ended
  assert.equal(code, 0, err)
  const lines = out.trim().split('\n').map((line) => JSON.parse(line) as { readonly type: string; readonly id: string })
  assert.equal(new Set(lines.map(({ id }) => id)).size, 6)
  assert.deepEqual(lines.slice(0, 4).map(({ type }) => type), ['admission.decided', 'identity.registered', 'credential.registered', 'server.started'])
  assert.match(err, /the stream was cut/)
})
