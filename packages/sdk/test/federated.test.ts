import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as issuers from '@writ/contract/issuers'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { fakeIssuer, type FakeIssuer } from '../../server/test/fakes/issuer.ts'
import { closureIn, logKey } from '../../server/test/proofs.ts'
import { REGISTRATION, startWrit, type RunningWrit } from '../../server/test/running-writ.ts'
import { Denied, Killed, Writ, type Task, type TaskOptions } from '../src/writ.ts'
import { listening, sendJson } from './listening.ts'

const WORK: TaskOptions = { purpose: 'rolls out the shop', grants: ['tickets:queue:read'] }
const RESOURCE = 'https://tickets.acme.example'

describe('a workload that already has an identity works through the SDK without a secret of ours', { concurrency: 1 }, () => {
  let issuer: FakeIssuer
  let writ: RunningWrit
  before(async () => {
    issuer = await fakeIssuer({ alg: 'RS256' })
    writ = await startWrit({ env: { WRIT_OUTBOUND_ALLOW: issuer.host } })
    const trusted = await writ.operator(issuers.trustIssuer, { body: { url: issuer.url } })
    assert.equal(trusted.status, 201, trusted.text)
  })
  after(async () => {
    await writ?.stop()
    await issuer?.close()
  })

  async function bind(name: string, sub: string): Promise<registry.IdentityReply> {
    const bindings = [{ issuer: issuer.url, audience: writ.issuer, claims: { sub } }]
    const got = await writ.operator(registry.registerIdentity, { body: { ...REGISTRATION, spiffe_id: `spiffe://acme.example/${name}`, authority: ['tickets:queue:read'], bindings } })
    assert.equal(got.status, 201, got.text)
    return got.reply.identity!
  }

  /** As an auditor reads it: with the log's public key and nothing else. */
  async function assertProved(task: Task): Promise<void> {
    const certificate = await task.certificate()
    const closure = closureIn(await logKey(writ), certificate!)
    assert.deepEqual([closure.task, closure.reason], [task.id, 'completed'])
    assert.ok(closure.leases.length >= 1 && closure.leases.every(({ end }) => end.kind !== 'incident'))
  }

  const count = async (): Promise<number> => (await writ.operator(tasks.listTasks, { query: { limit: '1000' } })).reply.tasks.length

  test('a GitHub Actions job, by the token that its runner gives', async (t) => {
    const identity = await bind('github-job', 'repo:acme/shop:ref:refs/heads/main')
    const runnerFor = async (sub: string) => {
      const runner = await listening(t, ({ path, headers }, response) => {
        if (headers.authorization !== 'Bearer of-the-runner') return sendJson(response, 401, {})
        sendJson(response, 200, { value: issuer.token({ sub, aud: new URL(path, 'http://runner').searchParams.get('audience') }) })
      })
      return { WRIT_URL: writ.url, ACTIONS_ID_TOKEN_REQUEST_URL: `${runner.url}/token?api-version=2.0`, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'of-the-runner' }
    }
    const environment = await runnerFor('repo:acme/shop:ref:refs/heads/main')
    let left: Task
    {
      await using task = await new Writ({ environment }).task(WORK)
      left = task
      assert.ok((await task.token({ resource: RESOURCE })).value.reveal())
      const shown = (await writ.operator(tasks.showTask, { parameters: { id: task.id } })).reply
      assert.deepEqual([shown.identity, shown.state, shown.heartbeat_seconds], [identity.id, 'open', 60])
    }
    await assertProved(left)

    const before = await count()
    const dev = await runnerFor('repo:acme/shop:ref:refs/heads/dev')
    await assert.rejects(new Writ({ environment: dev }).task(WORK), (fault) => fault instanceof Denied && fault.code === 'invalid_grant')
    assert.equal(await count(), before)
  })

  test('a pod, by its projected token, that is renewed in place while the task runs', async (t) => {
    const sub = 'system:serviceaccount:shop:deployer'
    await bind('pod', sub)
    const folder = mkdtempSync(join(tmpdir(), 'writ-pod-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const file = join(folder, 'token')
    const project = (): void => writeFileSync(file, `${issuer.token({ sub, aud: [writ.issuer], 'kubernetes.io': { namespace: 'shop' } }, { header: { typ: undefined } })}\n`)
    project()
    const environment = { WRIT_URL: writ.url, WRIT_TOKEN_FILE: file }
    const task = await new Writ({ environment }).task(WORK)
    // Another part of the same program: the token is the same, and so is the key that shows it.
    await using other = await new Writ({ environment }).task({ ...WORK, purpose: 'counts the tickets' })
    assert.notEqual(other.id, task.id)
    project()
    await task.token({ resource: RESOURCE })
    await task.end()
    await assertProved(task)
  })

  test('a GitLab job, by the token in its environment; one that has ended opens nothing', async () => {
    const sub = 'project_path:acme/shop:ref_type:branch:ref:main'
    await bind('gitlab-job', sub)
    const jobWith = (more: object): Writ => new Writ({ environment: { WRIT_URL: writ.url, WRIT_ID_TOKEN: issuer.token({ sub, aud: writ.issuer, ...more }) } })
    const task = await jobWith({}).task(WORK)
    await task.token({ resource: RESOURCE })
    await task.end()
    await assertProved(task)
    const before = await count()
    await assert.rejects(jobWith({ exp: 1 }).task(WORK), Denied)
    assert.equal(await count(), before)
  })

  test('that is suspended hears it from its task, and opens no other', async () => {
    const sub = 'repo:acme/suspended:ref:refs/heads/main'
    const identity = await bind('suspended-job', sub)
    const sdk = new Writ({ environment: { WRIT_URL: writ.url, WRIT_ID_TOKEN: issuer.token({ sub, aud: writ.issuer }) } })
    const task = await sdk.task(WORK)
    await writ.operator(registry.suspendIdentity, { parameters: { id: identity.id }, body: { reason: 'under investigation' } })
    await assert.rejects(task.widen(['tickets:queue:read'], 'once more'), (fault) => fault instanceof Killed && fault.code === 'task_identity_suspended')
    assert.ok(task.signal.aborted)
    const before = await count()
    await assert.rejects(sdk.task(WORK), Denied)
    assert.equal(await count(), before)
  })

  test('whose one token was revoked alone gets another, and its task goes on', async () => {
    const sub = 'repo:acme/revoked:ref:refs/heads/main'
    await bind('revoked-job', sub)
    await using task = await new Writ({ environment: { WRIT_URL: writ.url, WRIT_ID_TOKEN: issuer.token({ sub, aud: writ.issuer }) } }).task(WORK)
    const { leases: [lease] } = (await writ.operator(tasks.showTask, { parameters: { id: task.id } })).reply
    const revoked = await writ.operator(tasks.revokeLease, { parameters: { id: lease!.id }, body: { reason: 'seen in a log' } })
    assert.equal(revoked.status, 200, revoked.text)
    assert.ok(await task.token({ resource: RESOURCE }))
    await task.widen(['tickets:queue:read'], 'nothing more')
    assert.ok(!task.signal.aborted)
  })
})
