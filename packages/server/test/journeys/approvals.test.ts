import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as requests from '@writ/contract/access-requests'
import * as approvals from '@writ/contract/approvals'
import * as authzen from '@writ/contract/authzen'
import * as decisions from '@writ/contract/decisions'
import * as overview from '@writ/contract/overview'
import * as policies from '@writ/contract/policies'
import { eventually } from '../eventually.ts'
import { inStoreOf, refused } from '../kept.ts'
import { accessTo, connected, denied, governServer, rawNewer, type Access } from '../mcp/estate.ts'
import { recordingHttp, type RecordingHttp } from '../mcp/recording-http.ts'
import { signInAs, type SignedInPerson } from '../people.ts'
import { eventsOf } from '../proofs.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'
import { STORES } from '../store-of-writ.ts'

const input = { type: 'object', properties: { amount: { type: 'integer' }, order: { type: 'string' } } }
const TOOLS = [{ name: 'refund', description: 'Pays money back.', inputSchema: input }, { name: 'note', description: 'Writes a note.', inputSchema: input }]

const ASK_FIRST = `@id("notes-are-approved")
forbid (principal, action in Writ::Action::"call", resource == Writ::Tool::"newer/note")
unless { context.approved };
`
const ELICITS = { elicitation: { url: {} } }

for (const store of STORES) {
  describe(`a person is asked before something risky happens, on ${store}`, () => {
    let recording: RecordingHttp
    let writ: RunningWrit
    let bot: TestIdentity
    let maya: SignedInPerson
    before(async () => {
      recording = await recordingHttp({ tools: TOOLS })
      writ = await startWrit({ store, env: { WRIT_OUTBOUND_ALLOW: recording.host, WRIT_LOG: 'warn' } })
      await governServer(writ, { name: 'newer', transport: 'http', url: recording.urlOf('newer') }, (tool) =>
        (tool === 'refund' ? { effect: 'external', reversible: false, labels: ['payments'], public: ['amount'] } : { effect: 'write', reversible: true }))
      const { files } = (await writ.operator(policies.showCurrentPolicies)).reply
      assert.equal((await writ.operator(policies.applyPolicies, { body: { files: { ...files, 'policies/notes.cedar': ASK_FIRST }, reason: 'ask first' } })).status, 201)
      bot = await writ.register('refunder', { authority: ['mcp:newer:refund', 'mcp:newer:note'], owners: { technical: 'person:li@acme.example', business: 'team:shop' } })
      maya = await signInAs(writ, { roles: ['reviewer'], email: 'maya@acme.example', name: 'Maya' })
    })
    after(async () => {
      await writ.stop()
      recording.stop()
    })
    const accessNow = (): Promise<Access> => accessTo(writ, bot, { server: 'newer', tools: ['refund', 'note'] })
    const cardOf = async (id: string, person = maya) => {
      const got = await person.api(approvals.showApproval, { parameters: { id } })
      assert.equal(got.status, 200, got.text)
      return got.reply
    }
    const approveAs = async (person: SignedInPerson, id: string, more: { readonly choice?: approvals.ApprovalChoice; readonly reason?: string } = {}) => {
      const choice = more.choice ?? { scope: 'once' as const }
      const shown = await person.api(approvals.previewApproval, { parameters: { id }, body: { choice } })
      assert.equal(shown.status, 200, shown.text)
      const { signing } = await cardOf(id, person)
      const assertion = signing === null ? undefined : person.authenticator.sign({
        challenge: shown.reply.challenge, rpId: signing.rp_id, timeout: 1000, allowCredentials: signing.credentials.map((one) => ({ type: 'public-key', id: one })), userVerification: 'required',
      }, person.origin)
      return person.api(approvals.approveApproval, { parameters: { id }, body: { choice, envelope_sha256: shown.reply.envelope_sha256, reason: more.reason ?? 'checked', ...(assertion === undefined ? {} : { assertion }) } })
    }
    const ran = () => recording.written.filter(({ message }) => message.method === 'tools/call').map(({ body }) => /"arguments":(\{[^}]*\})/.exec(body.toString('utf8'))?.[1])

    test('a client that can not be sent to a page gets an error with the link, and its retry runs once on exactly what was shown', async () => {
      const access = await accessNow()
      const { client, close } = await connected(access, '2025-11-25')
      const call = () => client.callTool({ name: 'note', arguments: { amount: 42, order: 'n1 <b>' } })
      const first = await denied(call())
      const { approval: id, url, code, who_can_decide: who } = first.data as Record<string, string>
      assert.deepEqual([first.code, code, url, who], [-32001, 'approval_required', `${maya.origin}/approvals/${id}`, 'any reviewer; nobody who stands behind this task'])
      assert.equal((await denied(call())).data['approval'], id)
      const { reply: listed } = await maya.api(approvals.listApprovals, { query: { state: 'waiting', task: access.task } })
      assert.deepEqual(listed.approvals.map((one) => [one.id, one.risk, one.you_may]), [[id, 'medium', true]])
      const card = await cardOf(id!)
      assert.deepEqual([card.arguments, card.chain.map((one) => one.identity), card.explanation?.verdict, card.you.may, card.signing], ['{"amount":42,"order":"n1 <b>"}', [bot.id], 'approval_required', true, null])
      assert.equal(card.who_can_decide.people.some((one) => one.person === maya.id), true)
      assert.equal((await approveAs(maya, id!)).reply.state, 'approved')
      const before = ran().length
      await call()
      assert.deepEqual(ran().slice(before), ['{"amount":42,"order":"n1 <b>"}'])
      assert.deepEqual((await denied(call())).data['code'], 'approval_used')
      const { decisions: made } = (await writ.operator(decisions.listDecisions, { query: { task: access.task } })).reply
      const calls = made.filter(({ action }) => action === 'call')
      assert.deepEqual(calls.map(({ answer, approval }) => [answer, approval]), [['deny', null], ['allow', id], ['deny', null], ['deny', null]])
      assert.equal((await writ.operator(decisions.showDecision, { parameters: { id: calls[1]!.id } })).reply.approval, id)
      const counted = await eventually('its hour has it as approved', async () => {
        const { hours } = (await writ.operator(overview.showOverview)).reply
        const sum = (of: 'allowed' | 'approved') => hours.reduce((all, hour) => all + hour[of], 0)
        return sum('approved') > 0 && { allowed: sum('allowed'), approved: sum('approved') }
      })
      assert.deepEqual(counted, { allowed: made.filter(({ answer }) => answer === 'allow').length - 1, approved: 1 })
      assert.equal((await cardOf(id!)).arguments, '{"amount":42,"order":"n1 <b>"}')
      await close()
    })

    test('a client that can be sent to a page is, and goes on within a second of a signed yes', async () => {
      const access = await accessNow()
      const params = { name: 'refund', arguments: { amount: 4200, order: '551' } }
      const asked = await (await rawNewer(access, 'tools/call', { params, capabilities: ELICITS })).json() as { result: { resultType: string; requestState: string; inputRequests: { approval: { method: string; params: { mode: string; url: string; elicitationId: string } } } } }
      const { approval: { method, params: { mode, url, elicitationId: id } } } = asked.result.inputRequests
      assert.deepEqual([asked.result.resultType, method, mode, url], ['input_required', 'elicitation/create', 'url', `${maya.origin}/approvals/${id}`])
      const again = { ...params, requestState: asked.result.requestState, inputResponses: { approval: { action: 'accept' } } }
      const [came] = [rawNewer(access, 'tools/call', { params: again, capabilities: ELICITS, id: 2 }).then(async (got) => ({ text: await got.text(), at: Date.now() }))]
      const yes = await approveAs(maya, id, { reason: 'order 551 lost, checked with the carrier' })
      assert.equal(yes.reply.state, 'approved', yes.text)
      const at = Date.now()
      const { text, at: resumedAt } = await came
      assert.match(text, /"amount\\":4200/)
      assert.ok(resumedAt - at < 1000, `resumed after ${resumedAt - at} ms`)
      const events = (await eventsOf(writ, access.task)).map(({ type }) => type).filter((type) => type.startsWith('approval.'))
      assert.deepEqual(events, ['approval.requested', 'approval.voted', 'approval.approved', 'approval.used'])
      const declined = await (await rawNewer(access, 'tools/call', { params: { ...params, arguments: { amount: 1, order: 'x' } }, capabilities: {} })).json() as { error: { data: Record<string, unknown> } }
      assert.equal(declined.error.data['code'], 'approval_required')
    })

    test('what is lowered is what runs, and what is lifted is refused', async () => {
      const access = await accessNow()
      const { client, close } = await connected(access)
      const call = () => client.callTool({ name: 'note', arguments: { amount: 4200, order: 'n2' } })
      const { approval: id } = (await denied(call())).data as Record<string, string>
      const shown = await maya.api(approvals.previewApproval, { parameters: { id: id! }, body: { choice: { scope: 'edited', arguments: '{"amount":4201,"order":"n2"}' } } })
      assert.deepEqual([shown.status, shown.problem.errors?.[0]?.field], [400, 'choice.arguments'])
      assert.equal((await approveAs(maya, id!, { choice: { scope: 'edited', arguments: '{"amount":1000,"order":"n2"}' } })).reply.state, 'approved')
      const before = ran().length
      await call()
      assert.deepEqual(ran().slice(before), ['{"amount":1000,"order":"n2"}'])
      await close()
    })

    test('an agent asks, waits and takes back by the AuthZEN profile, and its approval is context for one new decision', async () => {
      const { task } = await accessNow()
      const question = (order: string, more: object = {}) => ({ subject: { type: 'agent', id: bot.spiffeId }, action: { name: 'call', properties: { amount: 7, order } }, resource: { type: 'tool', id: 'newer/note' }, context: { task, ...more } })
      const decide = async (order: string, more: object = {}) => (await bot.api(authzen.evaluateAccess, { body: question(order, more) })).reply as authzen.AuthzenAnswer
      const denial = await decide('a1')
      assert.deepEqual([denial.decision, denial.context.reason], [false, 'approval_required'])
      const begin = (of: authzen.AuthzenAnswer, justification = 'the customer called') => bot.api(requests.requestAccess, { body: { ...question('a1'), denial: { evaluation_id: of.context.evaluation_id! }, justification } })
      const asked = await begin(denial)
      assert.equal(asked.status, 202, asked.text)
      assert.deepEqual([asked.reply.task.status, asked.headers.get('location')], ['pending', asked.reply.task.status_endpoint])
      const { id } = asked.reply.task
      assert.equal((await begin(denial)).reply.task.id, id)
      assert.equal((await cardOf(id)).intent, 'the customer called')
      const waiting = bot.api(requests.showAccessRequest, { parameters: { id }, query: { wait_seconds: '20' } })
      assert.equal((await approveAs(maya, id)).reply.state, 'approved')
      const told = (await waiting).reply
      assert.deepEqual([told.task.status, told.result?.mode, told.result?.approval.state], ['approved', 'reevaluate', 'active'])
      const allowed = await decide('a1', { approval: { id } })
      assert.deepEqual([allowed.decision, allowed.context.approval], [true, { id, is: 'ran', arguments: '{"amount":7,"order":"a1"}' }])
      assert.equal((await decide('a1', { approval: { id } })).decision, false)
      assert.equal((await bot.api(requests.showAccessRequest, { parameters: { id } })).reply.result?.approval.state, 'used')

      const other = (await begin(await decide('a2'))).reply.task.id
      assert.equal((await bot.api(requests.cancelAccessRequest, { parameters: { id: other }, body: {} })).reply.task.status, 'cancelled')
      const late = await refused(writ, () => bot.api(requests.cancelAccessRequest, { parameters: { id }, body: {} }), { status: 409, code: 'approval_used' })
      assert.equal(late.status, 409)
      const stranger = await writ.register(`stranger-${store}`, {})
      await refused(writ, () => stranger.api(requests.showAccessRequest, { parameters: { id } }), { status: 404, code: 'approval_not_found' })
    })

    test('whoever stands behind it, has no passkey, or is no person, is refused and told who can decide', async () => {
      const access = await accessNow()
      const { client, close } = await connected(access)
      const { approval: id } = (await denied(client.callTool({ name: 'refund', arguments: { amount: 9, order: 'r1' } }))).data as Record<string, string>
      const body = { envelope_sha256: (await cardOf(id!)).envelope_sha256!, reason: 'yes' }
      const at = { parameters: { id: id! }, body }
      const li = await signInAs(writ, { roles: ['reviewer'], email: 'Li@acme.example' })
      const got = await refused(writ, () => li.api(approvals.approveApproval, at), { status: 403, code: 'you_own_the_agent' })
      assert.equal(got.problem.hint, 'who can decide: any reviewer, with a passkey; nobody who stands behind this task')
      assert.deepEqual((await cardOf(id!, li)).you.why_not, 'you_own_the_agent')
      const bare = await signInAs(writ, { roles: ['reviewer'], email: 'x@acme.example', passkey: false })
      assert.equal((await cardOf(id!, bare)).you.why_not, 'no_passkey')
      await refused(writ, () => bare.api(approvals.approveApproval, at), { status: 400, code: 'invalid_fields' })
      await refused(writ, () => maya.api(approvals.approveApproval, { ...at, body: { ...body, envelope_sha256: 'f'.repeat(64) } }), { status: 409, code: 'other_envelope' })
      const viewer = await signInAs(writ, { roles: ['admin', 'policy_author'] })
      for (const [api, endpoint] of [[viewer.api, approvals.approveApproval], [writ.operator, approvals.approveApproval], [writ.operator, approvals.denyApproval], [bot.api, approvals.approveApproval]] as const) {
        assert.equal((await api(endpoint, at)).status, 403)
      }
      assert.equal((await maya.api(approvals.denyApproval, { parameters: { id: id! }, body: { reason: 'not for this' } })).reply.state, 'denied')
      assert.deepEqual((await denied(client.callTool({ name: 'refund', arguments: { amount: 9, order: 'r1' } }))).data['code'], 'approval_denied')
      const { habit } = (await maya.api(approvals.listApprovals, { query: { mine: 'true', state: 'waiting' } })).reply
      assert.ok(habit !== null && habit.answered >= 1 && habit.approve_rate! < 1 && habit.median_seconds !== null)
      await close()
    })

    test('no answer in time is no, and a new version of the policies takes what waits off the list', async () => {
      const routes = (await writ.operator(approvals.showApprovalRoutes)).reply
      const set = await writ.operator(approvals.setApprovalRoutes, { body: { routes: [{ name: 'quick', when: { amount: { argument: 'amount', from: 100_000 } }, seconds: 10 }], version: routes.version, reason: 'large ones wait for nobody' } })
      assert.equal(set.status, 200, set.text)
      const access = await accessNow()
      const { client, close } = await connected(access)
      const ask = async (amount: number) => (await denied(client.callTool({ name: 'note', arguments: { amount, order: 'l' } }))).data as Record<string, string>
      const [quick, slow] = [(await ask(100_000))['approval']!, (await ask(1))['approval']!]
      assert.equal((await cardOf(quick)).who_can_decide.quorum, 1)
      await inStoreOf(writ, `${store === 'sqlite' ? 'drop trigger approval_is_frozen' : 'drop trigger approval_is_frozen on approval'}`)
      await inStoreOf(writ, 'update approval set requested_at = requested_at - 60000, expires_at = $2, due_at = $2 where id = $1 returning id', [quick, Date.now()])
      await eventually('it lapses', async () => (await cardOf(quick)).state === 'lapsed')
      assert.equal((await ask(100_000))['code'], 'approval_lapsed')
      const { files } = (await writ.operator(policies.showCurrentPolicies)).reply
      await writ.operator(policies.applyPolicies, { body: { files: { ...files, 'note.md': 'as before' }, reason: 'a word' } })
      await eventually('it is taken off the list', async () => (await cardOf(slow)).state === 'cancelled')
      assert.equal((await cardOf(slow)).why, 'policies_changed')
      await close()
    })
  })
}
