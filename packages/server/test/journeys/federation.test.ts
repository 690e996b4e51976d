import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as issuers from '@writ/contract/issuers'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { dpopKey, fakeIssuer, issuerSigner, svidOf, type DpopKey, type FakeIssuer } from '../fakes/issuer.ts'
import { testAuthority } from '../fakes/x509.ts'
import { GRANT } from '../governed-writ.ts'
import { eventually } from '../eventually.ts'
import { eventsOf, keptIn } from '../kept.ts'
import { rawRequest, withoutTrace, type RawAnswer } from '../raw-request.ts'
import { REGISTRATION, startWrit, type RunningWrit } from '../running-writ.ts'
import { STORES } from '../store-of-writ.ts'

const AUDIENCE = 'writ-of-acme'

/** A workload that holds no secret of ours: what its platform gives it, and a key that it has made for itself. */
type Workload = { readonly token: (more?: Readonly<Record<string, unknown>>) => string; readonly key: DpopKey }

const BODY = JSON.stringify({ purpose: 'rolls out the shop', authorization_details: GRANT })

function open(writ: RunningWrit, { token, key }: Workload, shown = token()): Promise<RawAnswer> {
  const headers = [['authorization', `DPoP ${shown}`], ['dpop', key.proof('POST', `${writ.url}/v1/tasks`, shown)], ['content-type', 'application/json']] as const
  return rawRequest(writ.url, { method: 'POST', path: '/v1/tasks', headers, body: BODY })
}

const openedBy = async (writ: RunningWrit, workload: Workload): Promise<tasks.TaskReply> => {
  const got = await open(writ, workload)
  assert.equal(got.status, 201, got.text)
  return JSON.parse(got.text) as tasks.TaskReply
}

/** Registers an identity without any key, that this binding alone lets somebody claim. */
async function bound(writ: RunningWrit, name: string, binding: registry.Registration['bindings'], more: Partial<registry.Registration> = {}): Promise<registry.IdentityReply> {
  const got = await writ.operator(registry.registerIdentity, { body: { ...REGISTRATION, spiffe_id: `spiffe://acme.example/${name}`, class: 'autonomous', bindings: binding, ...more } })
  assert.equal(got.status, 201, got.text)
  return got.reply.identity!
}

for (const store of STORES) {
  describe(`workloads that already have an identity open tasks without holding a secret of ours, on ${store}`, () => {
    const authority = testAuthority('the cluster\'s own authority')
    let github: FakeIssuer
    let gitlab: FakeIssuer
    let cluster: FakeIssuer
    let writ: RunningWrit
    before(async () => {
      github = await fakeIssuer({ alg: 'RS256' })
      gitlab = await fakeIssuer({ alg: 'RS256' })
      cluster = await fakeIssuer({ alg: 'RS256', tls: authority.certify({ names: ['localhost'] }), hostname: 'localhost' })
      writ = await startWrit({ store, env: { WRIT_OUTBOUND_ALLOW: [github, gitlab, cluster].map(({ host }) => host).join(',') } })
    })
    after(async () => {
      await writ?.stop()
      await Promise.all([github, gitlab, cluster].map((one) => one?.close()))
    })

    test('a GitHub Actions job, by its repository and branch', async () => {
      assert.equal((await writ.operator(issuers.trustIssuer, { body: { url: github.url } })).status, 201)
      const claims = { sub: 'repo:acme/shop:ref:refs/heads/main', aud: AUDIENCE, repository: 'acme/shop', repository_owner: 'acme', ref: 'refs/heads/main', job_workflow_ref: 'acme/shop/.github/workflows/deploy.yml@refs/heads/main', run_id: '1' }
      const identity = await bound(writ, 'github-job', [{ issuer: github.url, audience: AUDIENCE, claims: { sub: 'repo:acme/shop:*', repository: 'acme/shop', ref: 'refs/heads/main' } }])
      const job = { key: dpopKey(), token: (more = {}) => github.token({ ...claims, ...more }) }
      const task = await openedBy(writ, job)
      assert.deepEqual([task.identity, task.spiffe_id, task.state], [identity.id, 'spiffe://acme.example/github-job', 'open'])
      const event = (await eventsOf(writ, 'non-human')).findLast((one) => one.type === 'task.opened')!
      assert.deepEqual([event.task, event.facts['evidence'], (event.facts['issuer'] as string).slice(0, 4)], [task.id, 'oidc', 'iss_'])
      for (const other of [{ ref: 'refs/heads/dev' }, { repository: 'acme/other' }, { sub: 'repo:evil/shop:ref:refs/heads/main' }, { aud: 'another' }]) {
        assert.equal((await open(writ, { ...job, key: dpopKey() }, job.token(other))).status, 401, JSON.stringify(other))
      }
    })

    test('a GitLab job, by its project and protected branch', async () => {
      assert.equal((await writ.operator(issuers.trustIssuer, { body: { url: gitlab.url, jwks_uri: `${gitlab.url}/keys` } })).status, 201)
      const claims = { sub: 'project_path:acme/shop:ref_type:branch:ref:main', aud: AUDIENCE, project_path: 'acme/shop', ref: 'main', ref_type: 'branch', ref_protected: 'true', user_login: 'maya' }
      await bound(writ, 'gitlab-job', [{ issuer: gitlab.url, audience: AUDIENCE, claims: { sub: 'project_path:acme/shop:*', ref_protected: 'true' } }])
      const job = { key: dpopKey(), token: (more = {}) => gitlab.token({ ...claims, ...more }) }
      assert.equal((await openedBy(writ, job)).spiffe_id, 'spiffe://acme.example/gitlab-job')
      assert.equal((await open(writ, job, job.token({ ref_protected: 'false' }))).status, 401)
      assert.deepEqual(gitlab.asked.filter((path) => path !== '/keys'), [])
    })

    test('a Kubernetes pod, by its service account, where the API server has an authority of its own', async () => {
      const strange = await writ.operator(issuers.trustIssuer, { body: { url: cluster.url, ca: authority.cert } })
      assert.equal(strange.status, 201, strange.text)
      assert.deepEqual([strange.reply.own_ca, strange.reply.keys], [true, { source: 'discovery', url: null, inline: [] }])
      const sub = 'system:serviceaccount:shop:deployer'
      await bound(writ, 'pod', [{ issuer: cluster.url, audience: AUDIENCE, claims: { sub, '/kubernetes.io/namespace': 'shop' } }])
      const pod = {
        key: dpopKey(),
        token: (more = {}) => cluster.token({ sub, aud: [AUDIENCE], exp: Math.floor(Date.now() / 1000) + 3600, 'kubernetes.io': { namespace: 'shop', pod: { name: 'web-0' }, serviceaccount: { name: 'deployer' } }, ...more }, { header: { typ: undefined } }),
      }
      assert.equal((await openedBy(writ, pod)).spiffe_id, 'spiffe://acme.example/pod')
      assert.equal((await open(writ, pod, pod.token({ 'kubernetes.io': { namespace: 'other' } }))).status, 401)
      // Without its authority nobody vouches for it any more; with it again, it is believed again.
      await writ.operator(issuers.changeIssuer, { parameters: { id: cluster.url }, body: { reason: 'a mistake' } })
      assert.equal((await open(writ, pod)).status, 401)
      assert.match(writ.log(), /UNABLE_TO_VERIFY_LEAF_SIGNATURE/)
      await writ.operator(issuers.changeIssuer, { parameters: { id: cluster.url }, body: { ca: authority.cert, reason: 'mended' } })
      assert.equal((await open(writ, pod)).status, 201)
    })

    test('a SPIFFE workload, by its SVID and the bundle of its trust domain', async () => {
      const signer = issuerSigner('ES256', 'authority-1')
      const bundle = { keys: [{ ...signer.jwk, use: 'jwt-svid' }], spiffe_sequence: 1, spiffe_refresh_hint: 60 }
      const trusted = await writ.operator(issuers.trustIssuer, { body: { url: 'spiffe://prod.example', kind: 'spiffe', bundle } })
      assert.equal(trusted.status, 201, trusted.text)
      const sub = 'spiffe://prod.example/shop/deployer'
      await bound(writ, 'svid', [{ issuer: 'spiffe://prod.example', audience: AUDIENCE, claims: { sub } }])
      const workload = { key: dpopKey(), token: () => svidOf(signer, sub, AUDIENCE) }
      assert.equal((await openedBy(writ, workload)).spiffe_id, 'spiffe://acme.example/svid')
      const next = issuerSigner('ES256', 'authority-2')
      const changed = await writ.operator(issuers.changeIssuer, { parameters: { id: trusted.reply.id }, body: { bundle: { keys: [{ ...next.jwk, use: 'jwt-svid' }] }, reason: 'rotated' } })
      assert.deepEqual([changed.status, changed.reply.keys.inline.map(({ kid }) => kid)], [200, ['authority-2']], changed.text)
      assert.equal((await open(writ, workload)).status, 401)
      assert.equal((await open(writ, { ...workload, token: () => svidOf(next, sub, AUDIENCE) })).status, 201)
    })

    test('nobody else: every no looks the same outside, and the log says why by the number of the request', async () => {
      const job = { key: dpopKey(), token: (more = {}) => github.token({ sub: 'repo:acme/shop:ref:refs/heads/main', aud: AUDIENCE, repository: 'acme/shop', ref: 'refs/heads/main', ...more }) }
      const good = job.token()
      assert.equal((await open(writ, job, good)).status, 201)
      const kept = await keptIn(writ)
      const answers = [
        await open(writ, job, job.token({ iss: 'https://stranger.example' })), await open(writ, job, job.token({ iss: `${github.url}/` })), await open(writ, job, job.token({ exp: 1 })),
        await open(writ, job, job.token({ aud: [AUDIENCE, 'x'] })), await open(writ, job, job.token({ sub: '' })), await open(writ, job, job.token({ nonce: 'n' })),
        await open(writ, job, github.token({ sub: 'x', aud: AUDIENCE }, { header: { typ: 'at+jwt' } })), await open(writ, job, `${good}x`), await open(writ, job, 'nonsense'),
        await rawRequest(writ.url, { method: 'POST', path: '/v1/tasks', headers: [['authorization', `Bearer ${job.token()}`], ['content-type', 'application/json']], body: BODY }),
      ]
      for (const answer of answers) assert.equal(withoutTrace(answer), withoutTrace(answers[0]!), answer.text)
      assert.equal(answers[0]!.status, 401)
      assert.deepEqual(await keptIn(writ), kept)
      for (const kind of ['unknown_issuer', 'expired', 'wrong_audience', 'malformed_claim', 'claim_not_allowed', 'proof_needed']) {
        await eventually(`the log says ${kind}`, () => writ.log().includes(`"kind":"${kind}"`))
      }
      // Shown by another key: the same answer, and a finding besides.
      assert.equal(withoutTrace(await open(writ, { ...job, key: dpopKey() }, good)), withoutTrace(answers[0]!))
      const { findings } = (await writ.operator(registry.listFindings)).reply
      assert.ok(findings.some(({ kind }) => kind === 'evidence_shown_by_another_key'))
    })

    test('two workloads at once under an identity that has one alone are a finding, and their tasks go on (WID-8)', async () => {
      const identity = await bound(writ, 'reused', [{ issuer: github.url, audience: AUDIENCE, claims: { sub: 'repo:acme/reused:*', repository: 'acme/reused' } }])
      const by = (branch: string): Workload => ({ key: dpopKey(), token: () => github.token({ sub: `repo:acme/reused:ref:refs/heads/${branch}`, aud: AUDIENCE, repository: 'acme/reused' }) })
      const found = async () => (await writ.operator(registry.listFindings)).reply.findings.filter((one) => one.identity === identity.id)
      const first = await openedBy(writ, by('main'))
      await openedBy(writ, by('main'))
      assert.deepEqual(await found(), [])
      const second = await openedBy(writ, by('dev'))
      const [finding, ...more] = await found()
      assert.deepEqual([finding!.kind, more.length, (finding!.evidence['tasks'] as readonly string[])[1]], ['shared_identity', 0, second.id])
      assert.equal((await writ.operator(tasks.showTask, { parameters: { id: first.id } })).reply.state, 'open')
      await openedBy(writ, by('third'))
      assert.equal((await found()).length, 1)
    })

    test('a token that fits two identities is nobody\'s, unless the token request says whose it is meant to be', async () => {
      const claims = { sub: 'repo:acme/twice:*' }
      for (const name of ['twice-one', 'twice-two']) await bound(writ, name, [{ issuer: github.url, audience: AUDIENCE, claims }])
      const job = { key: dpopKey(), token: () => github.token({ sub: 'repo:acme/twice:ref:refs/heads/main', aud: AUDIENCE }) }
      assert.equal((await open(writ, job)).status, 401)
      await eventually('the log says why', () => writ.log().includes('ambiguous_binding'))
      const ask = async (client?: string): Promise<{ readonly status: number; readonly body: Readonly<Record<string, unknown>> }> => {
        const answer = await fetch(`${writ.url}/oauth/token`, {
          method: 'POST', headers: { dpop: job.key.proof('POST', `${writ.url}/oauth/token`, '', { ath: undefined }) },
          body: new URLSearchParams({
            grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: job.token(), purpose: 'rolls out', authorization_details: JSON.stringify(GRANT),
            ...(client === undefined ? {} : { client_id: client }),
          }),
        })
        return { status: answer.status, body: await answer.json() as Readonly<Record<string, unknown>> }
      }
      const unnamed = await ask()
      assert.deepEqual([unnamed.status, unnamed.body['error']], [400, 'invalid_grant'])
      const named = await ask('spiffe://acme.example/twice-two')
      assert.deepEqual([named.status, named.body['token_type']], [200, 'DPoP'], JSON.stringify(named.body))
      const task = (await writ.operator(tasks.showTask, { parameters: { id: String(named.body['task']) } })).reply
      assert.equal(task.spiffe_id, 'spiffe://acme.example/twice-two')
      assert.equal((await ask('spiffe://acme.example/pod')).status, 400)
    })

    test('an issuer that is removed is refused from that moment, and its identities retire', async () => {
      const identity = await bound(writ, 'hanging', [{ issuer: gitlab.url, audience: AUDIENCE, claims: { sub: 'project_path:acme/hanging:*' } }], { trigger: { kind: 'issuer_removed', issuer: gitlab.url } })
      const job = { key: dpopKey(), token: () => gitlab.token({ sub: 'project_path:acme/hanging:ref:main', aud: AUDIENCE }) }
      await openedBy(writ, job)
      assert.equal((await writ.operator(issuers.removeIssuer, { parameters: { id: gitlab.url }, body: { reason: 'we left' } })).status, 200)
      assert.equal((await open(writ, job)).status, 401)
      const shown = (await writ.operator(registry.showIdentity, { parameters: { id: identity.id } })).reply
      assert.deepEqual([shown.state, shown.bindings.map(({ state }) => state)], ['retired', ['revoked']])
    })
  })
}
