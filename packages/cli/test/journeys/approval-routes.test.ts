import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { showApprovalRoutes, type ApprovalRouteBody } from '@writ/contract/approvals'
import { signInAs } from '../../../server/test/people.ts'
import { startWrit as startServer, type RunningWrit } from '../../../server/test/running-writ.ts'
import { writeConfig } from '../../src/config.ts'
import { signedIn } from '../estate.ts'
import { emptyStage, type Stage } from '../run-writ.ts'
import { warmWritForFile } from '../warm-writ.ts'

const writ = warmWritForFile()

let server: RunningWrit
let machine: Stage
let viewer: Stage
const ends: (() => unknown)[] = []
before(async () => {
  const stage = (): Promise<Stage> => emptyStage({ after: (end: unknown) => ends.push(end as () => unknown) })
  server = await startServer({ env: { WRIT_LOG: 'warn' } })
  ends.push(() => server.stop());
  [machine, viewer] = [await stage(), await stage()]
  await signedIn(machine, server)
  const vera = await signInAs(server, { roles: ['viewer'], kind: 'cli', passkey: false })
  await writeConfig(viewer.environment, { url: server.url, sign_in: { id: vera.signIn, secret: vera.secret, person: vera.id, name: 'Vera', ends_at: '2099-01-01T00:00:00.000Z' }, identities: {} })
})
after(async () => {
  for (const end of ends.toReversed()) await end()
})

const exits = async (args: readonly string[], code: number, at: Stage = machine): Promise<{ readonly out: string; readonly err: string }> => {
  const ended = await writ(at, ['approvals', 'routes', ...args])
  assert.equal(ended.code, code, `${args.join(' ')}: ${ended.err}`)
  return ended
}
const because = ['--reason', 'as agreed'] as const
const names = async (): Promise<readonly string[]> => (JSON.parse((await exits(['list', '--json'], 0)).out) as readonly ApprovalRouteBody[]).map(({ name }) => name)

test('who is asked about what is said route by route, in their order, and taken back', async () => {
  assert.match((await exits([], 0)).err, /nothing to show/)
  await exits(['set', 'money', '--label', 'payments', '--group', 'finance', '--quorum', '2', '--within', '30m', '--signed', ...because], 0)
  await exits(['set', 'large', '--amount', 'amount=100000', '--class', 'autonomous', '--before', 'money', ...because], 0)
  const { out, err } = await exits(['--plain'], 0)
  assert.equal(out, 'large\tclass autonomous, amount >= 100000\tany reviewer\t1\t15 min\tno\nmoney\tlabel payments\tfinance\t2\t30 min\tyes\n')
  assert.match(err, /^version 2, by opr_\w+ .*: as agreed$/m)
  assert.deepEqual((await server.operator(showApprovalRoutes)).reply.routes[0], { name: 'large', when: { class: 'autonomous', amount: { argument: 'amount', from: 100_000 } }, group: null, quorum: 1, seconds: 900, signed: false })
  assert.match((await exits(['show', 'money', '--plain'], 0)).out, /^asks\tfinance$/m)

  await exits(['set', 'large', ...because], 0)
  assert.match((await exits(['show', 'large', '--plain'], 0)).out, /^when\talways$/m)
  assert.deepEqual(await names(), ['large', 'money'])
  await exits(['set', 'money', '--before', 'large', '--label', 'payments', ...because], 0)
  assert.deepEqual(await names(), ['money', 'large'])
  await exits(['remove', 'large', ...because], 0)
  assert.deepEqual(await names(), ['money'])
})

test('all routes are made as a file says, after a look at the difference; what is listed is such a file', async () => {
  writeFileSync(join(machine.folder, 'routes.yaml'), '- name: payouts\n  when: { label: payouts }\n  group: treasury\n- name: everything\n  quorum: 2\n')
  const dry = await exits(['apply', '-f', 'routes.yaml', '--dry-run'], 0)
  assert.equal(dry.out, '+ payouts  label payouts -> 1 of treasury within 900 s\n+ everything  always -> 2 of any reviewer within 900 s\n- money  label payments -> 1 of any reviewer within 900 s\n')
  assert.match(dry.err, /nothing was done/)
  assert.deepEqual(await names(), ['money'])
  assert.match((await exits(['apply', '-f', 'routes.yaml', ...because], 2)).err, /--yes is needed/)
  await exits(['apply', '-f', 'routes.yaml', '--yes', ...because], 0)
  assert.deepEqual(await names(), ['payouts', 'everything'])
  const { out: listed } = await exits(['list', '--json'], 0)
  writeFileSync(join(machine.folder, 'listed.json'), listed)
  assert.match((await exits(['apply', '-f', 'listed.json', '--yes'], 0)).err, /nothing to do/)
  writeFileSync(join(machine.folder, 'turned.json'), JSON.stringify((JSON.parse(listed) as readonly object[]).toReversed()))
  assert.match((await exits(['apply', '-f', 'turned.json', '--dry-run'], 0)).out, /^~ everything .* \(was at place 2\)\n~ payouts/)
})

test('whoever may not say it is refused and changes nothing; so is what is no route', async () => {
  const before = (await server.operator(showApprovalRoutes)).reply
  await exits(['list'], 0, viewer)
  assert.match((await exits(['set', 'mine', ...because], 4, viewer)).err, /policy_author/)
  await exits(['show', 'none'], 5)
  assert.match((await exits(['remove', 'none', ...because], 5)).err, /`writ approvals routes` names them/)
  await exits(['set', 'x', '--before', 'none', ...because], 5)
  for (const wrong of [['set', 'x', '--amount', 'amount>5'], ['set', 'x', '--class', 'king'], ['set', 'x', '--quorum', '0'], ['set', 'x', '--quorum', '9', ...because], ['set', 'x', '--within', '1s', ...because], ['set', 'x', '--before', 'x', ...because], ['set', 'x'], ['sett', 'x']]) await exits(wrong, 2)
  writeFileSync(join(machine.folder, 'wrong.yaml'), '- name: payouts\n  when: { labels: payouts }\n')
  assert.match((await exits(['apply', '-f', 'wrong.yaml', '--yes', ...because], 2)).err, /wrong\.yaml:2 \[0\]\.when: /)
  assert.deepEqual((await server.operator(showApprovalRoutes)).reply, before)
})
