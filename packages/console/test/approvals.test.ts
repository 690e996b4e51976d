import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import * as approvals from '@writ/contract/approvals'
import * as policies from '@writ/contract/policies'
import type { Browser, Page } from 'playwright-core'
import { eventually } from '../../server/test/eventually.ts'
import { accessTo, connected, denied, governServer, type Connected } from '../../server/test/mcp/estate.ts'
import { recordingHttp, type RecordingHttp } from '../../server/test/mcp/recording-http.ts'
import { signInAs, type SignedInPerson } from '../../server/test/people.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../../server/test/running-writ.ts'
import { addAuthenticator, NEEDS_BROWSER, openBrowser, openPage, seriousFaults, type ConsolePage } from './browser.ts'
import { HOSTILE } from './estate.ts'

const input = { type: 'object', properties: { amount: { type: 'integer' }, order: { type: 'string' } } }
const TOOLS = [{ name: 'refund', description: 'Pays money back.', inputSchema: input }, { name: 'note', description: 'Writes a note.', inputSchema: input }]
const ASK_FIRST = `@id("notes-are-approved")
forbid (principal, action in Writ::Action::"call", resource == Writ::Tool::"newer/note")
unless { context.approved };
`

describe('approvals, in a browser', NEEDS_BROWSER, () => {
  let recording: RecordingHttp
  let writ: RunningWrit
  let browser: Browser
  let bot: TestIdentity
  let maya: SignedInPerson
  let desk: ConsolePage
  const agents: Connected[] = []
  before(async () => {
    // One after the other: what has started is there to be stopped when the next one does not.
    browser = await openBrowser()
    recording = await recordingHttp({ tools: TOOLS })
    writ = await startWrit({ env: { WRIT_OUTBOUND_ALLOW: recording.host, WRIT_LOG: 'warn' } })
    await governServer(writ, { name: 'newer', transport: 'http', url: recording.urlOf('newer') }, (tool) =>
      (tool === 'refund' ? { effect: 'external', reversible: false, labels: ['payments'], public: ['amount'] } : { effect: 'write', reversible: true }))
    const { files } = (await writ.operator(policies.showCurrentPolicies)).reply
    assert.equal((await writ.operator(policies.applyPolicies, { body: { files: { ...files, 'policies/notes.cedar': ASK_FIRST }, reason: 'ask first' } })).status, 201)
    bot = await writ.register('refund-agent', { authority: ['mcp:newer:refund', 'mcp:newer:note'], owners: { technical: 'person:li@acme.example', business: 'team:shop' } })
    maya = await signInAs(writ, { roles: ['reviewer'], email: 'maya@acme.example', name: 'Maya Okafor', passkey: false })
    desk = await openPage(browser, writ, { as: maya })
    await addAuthenticator(desk)
    await desk.open('/approvals')
    await enrolHere(desk.page)
  })
  after(async () => {
    for (const { close } of agents) await close().catch(() => undefined)
    await browser?.close()
    await writ?.stop()
    recording?.stop()
  })
  /** An agent at work in a task of its own. */
  const agentFor = async (purpose = 'refund order 551, parcel lost') => {
    const { client, close } = await connected(await accessTo(writ, bot, { server: 'newer', tools: ['refund', 'note'], form: { purpose } }), '2025-11-25')
    agents.push({ client, close })
    return (name: 'refund' | 'note', args: Readonly<Record<string, unknown>>) => client.callTool({ name, arguments: args })
  }
  const askedFor = async (call: Promise<unknown>): Promise<string> => String((await denied(call)).data['approval'])
  const ran = (): readonly (string | undefined)[] => recording.written.filter(({ message }) => message.method === 'tools/call').map(({ body }) => /"arguments":(\{[^}]*\})/.exec(body.toString('utf8'))?.[1])
  const button = (name: string | RegExp, page = desk.page) => page.getByRole('button', { name })

  test('with nothing that waits the page says what would be there', async () => {
    await desk.open('/approvals')
    assert.match(await desk.page.locator('.w-empty').innerText(), /Nothing waits[^]*No answer is no[^]*writ approvals watch/)
    assert.deepEqual(await seriousFaults(desk.page), [])
  })

  test('what a gateway denied comes into the inbox by itself, its card shows the stored bytes, a signed yes lets it run once, and no more', async () => {
    const call = await agentFor(HOSTILE)
    const args = { amount: 9007199254740991, order: '551 <img src=x onerror=alert(1)>' }
    const id = await askedFor(call('refund', args))
    await desk.page.locator(`[data-inbox][href*="${id}"]`).click()
    await desk.page.waitForURL(`**/approvals/${id}`)
    const card = desk.page.locator('.w-approval')
    const { reply: kept } = await maya.api(approvals.showApproval, { parameters: { id } })
    assert.equal(kept.arguments, JSON.stringify(args))
    const approve = button('Approve once, signed')
    await eventually('it is checked', async () => /type a reason/.test(await approve.getAttribute('title') ?? ''))
    assert.equal(await card.getByTitle(createHash('sha256').update(kept.arguments!).digest('hex')).count(), 1)
    assert.deepEqual(await card.locator('.w-approval-arguments > div').evaluateAll((rows) => rows.map((row) => row.textContent)), ['amount9007199254740991', `order${JSON.stringify(args.order)}`])
    await button('raw').click()
    assert.equal(await card.locator('.w-approval-raw').evaluate((raw) => raw.textContent), kept.arguments)
    assert.match(await card.innerText(), /high risk[^]*can not be undone[^]*Time left[^]*DENIED[^]*Why a person is asked[^]*Who is behind it[^]*refund-agent[^]*person:li@acme\.example[^]*the first time/)
    assert.deepEqual(await card.locator('blockquote *').evaluateAll((all) => [...new Set(all.map((one) => one.tagName))]), ['BDI', 'SPAN'])
    assert.doesNotMatch(await card.locator('.w-chain').evaluate((chain) => chain.textContent), /[\p{Cc}\p{Cf}]/u)
    const box = await approve.boundingBox()
    assert.ok(box !== null && box.y + box.height < 820, 'the answer stays in sight')
    assert.deepEqual(await seriousFaults(desk.page), [])
    assert.equal(await desk.page.locator('[data-inbox][data-opened="true"]').count(), 1)
    await approve.click({ force: true })
    assert.equal((await maya.api(approvals.showApproval, { parameters: { id } })).reply.state, 'waiting', 'no reason, no answer')
    await desk.page.getByLabel('Reason').fill('order 551 lost, checked with the carrier')
    const before = ran().length
    await approve.click()
    await card.getByText('Approved, and not used yet').waitFor()
    await card.getByText('signed with a passkey').waitFor()
    await call('refund', args)
    assert.deepEqual(ran().slice(before), [kept.arguments])
    assert.equal((await denied(call('refund', args))).data['code'], 'approval_used')
    await card.getByText('It can not be used again').waitFor()
    assert.equal(ran().length, before + 1)
  })

  test('whoever answers for the agent sees who can decide, and buttons that are off', async () => {
    const call = await agentFor()
    const id = await askedFor(call('note', { amount: 1, order: 'own' }))
    const li = await signInAs(writ, { roles: ['reviewer'], email: 'li@acme.example', name: 'Li', passkey: false })
    const at = await openPage(browser, writ, { as: li, scheme: 'dark' })
    await at.open(`/approvals/${id}`)
    await at.page.getByText('You can not approve this: you answer for an agent that asks.').waitFor()
    assert.match(await at.page.locator('.w-answer-off').innerText(), /Can decide: Maya Okafor \(any reviewer/)
    for (const name of ['Approve once', 'Deny']) {
      assert.equal(await button(name, at.page).getAttribute('title'), 'you answer for an agent that asks')
      await button(name, at.page).click({ force: true })
    }
    assert.equal((await maya.api(approvals.showApproval, { parameters: { id } })).reply.state, 'waiting')
    assert.deepEqual(await seriousFaults(at.page), [])
    assert.deepEqual(at.faults(), [])
    await at.close()
    await desk.open(`/approvals/${id}`)
    await eventually('it is checked', async () => await button('Approve once').getAttribute('title') === null)
    await desk.page.keyboard.press('d')
    await desk.page.keyboard.press('Enter')
    await desk.page.getByText('Somebody said no.').waitFor()
    assert.equal((await denied(call('note', { amount: 1, order: 'own' }))).data['code'], 'approval_denied')
  })

  test('a browser without passkeys is told before anything is filled in', async () => {
    const id = await askedFor((await agentFor())('refund', { amount: 7, order: 'no key' }))
    const at = await openPage(browser, writ, { as: maya })
    await at.page.addInitScript(() => { Reflect.deleteProperty(window, 'PublicKeyCredential') })
    await at.open(`/approvals/${id}`)
    await at.page.getByText('a yes has to be signed with a passkey').waitFor()
    assert.match(await button('Approve once, signed', at.page).getAttribute('title') ?? '', /no passkey/)
    assert.equal(await button('Deny', at.page).getAttribute('title'), null)
    assert.deepEqual(at.faults(), [])
    await at.close()
  })

  test('numbers may be lowered and never lifted, and what is lowered is what runs', async () => {
    const call = await agentFor()
    const id = await askedFor(call('note', { amount: 4200, order: 'n2' }))
    await desk.open(`/approvals/${id}`)
    await button('Edit + approve').click()
    const field = desk.page.getByLabel('amount')
    await field.fill('4201')
    await desk.page.getByText('at most 4200: it may only be lowered').waitFor()
    assert.equal(await button('Approve as lowered').getAttribute('title'), 'lower a number first')
    await field.fill('1000')
    await desk.page.getByText('this call with the lowered arguments, once').waitFor()
    assert.deepEqual(await seriousFaults(desk.page), [])
    await eventually('it is checked', async () => await button('Approve as lowered').getAttribute('title') === null)
    await button('Approve as lowered').click()
    await desk.page.getByText('Approved, and not used yet').waitFor()
    const before = ran().length
    await call('note', { amount: 4200, order: 'n2' })
    assert.deepEqual(ran().slice(before), ['{"amount":1000,"order":"n2"}'])
  })

  test('a permission for the task shows its bound, and lets through what is within it', async () => {
    const call = await agentFor()
    const id = await askedFor(call('note', { amount: 40, order: 'n3' }))
    await desk.open(`/approvals/${id}`)
    await button('For this task').click()
    await desk.page.getByLabel('calls').fill('2')
    await desk.page.getByLabel('amount').fill('50')
    assert.match(await desk.page.getByText(/up to 2 calls of this task until/).innerText(), /amount <= 50, order = "n3"/)
    assert.deepEqual(await seriousFaults(desk.page), [])
    await eventually('it is checked', async () => await button('Approve for this task').getAttribute('title') === null)
    await button('Approve for this task').click()
    await desk.page.getByText('0 of 2 calls used').waitFor()
    await call('note', { amount: 40, order: 'n3' })
    await call('note', { amount: 50, order: 'n3' })
    await desk.page.getByText('2 of 2 calls used').waitFor()
    assert.equal((await denied(call('note', { amount: 50, order: 'n3' }))).code, -32001)
  })

  test('equal requests are one list with every value, and each is approved by its own hash', async () => {
    const call = await agentFor()
    const ids = [await askedFor(call('note', { amount: 1, order: 'a1' })), await askedFor(call('note', { amount: 2, order: 'a2' })), await askedFor(call('note', { amount: 3, order: 'a3' }))]
    await desk.open('/approvals')
    await desk.page.locator('[data-inbox]', { hasText: 'alike' }).click()
    await desk.page.locator('.w-alike').waitFor()
    const text = await desk.page.locator('.w-alike').innerText()
    for (const value of ['"a1"', '"a2"', '"a3"']) assert.ok(text.includes(value), value)
    assert.deepEqual(await seriousFaults(desk.page), [])
    for (const id of [ids[0]!, ids[2]!]) await desk.page.getByLabel(`approve ${id}`).check()
    await button('Approve these 2 once').click()
    await eventually('two are approved', async () => (await Promise.all(ids.map(async (id) => (await maya.api(approvals.showApproval, { parameters: { id } })).reply.state))).join() === 'approved,waiting,approved')
  })

  test('a card whose words are not those of its envelope can not be approved', async () => {
    const id = await askedFor((await agentFor())('note', { amount: 1, order: 'other' }))
    await desk.page.route(`**/v1/approvals/${id}`, async (route) => {
      const answer = await route.fetch()
      const card = await answer.json() as approvals.ApprovalCardReply
      await route.fulfill({ response: answer, json: { ...card, arguments: card.arguments!.replace('other', 'mine') } })
    })
    await desk.open(`/approvals/${id}`)
    await desk.page.getByText('the arguments differs').waitFor()
    await button('Approve once').click({ force: true })
    assert.equal((await maya.api(approvals.showApproval, { parameters: { id } })).reply.state, 'waiting')
    await desk.page.unroute(`**/v1/approvals/${id}`)
  })

  test('whoever says yes nearly always is told that a policy would say it as well', async () => {
    await desk.page.route('**/v1/approvals?*', async (route) => {
      const answer = await route.fetch()
      await route.fulfill({ response: answer, json: { ...await answer.json() as object, habit: { answered: 24, approve_rate: 0.96, median_seconds: 3, propose_policy: true } } })
    })
    await desk.open('/approvals?state=all')
    assert.match(await desk.page.getByRole('note').innerText(), /look routine[^]*96 % of your last 24[^]*Write a policy instead/)
    assert.deepEqual(await seriousFaults(desk.page), [])
    await desk.page.unroute('**/v1/approvals?*')
    await desk.page.keyboard.press('j')
    await desk.page.keyboard.press('Enter')
    await desk.page.locator('.w-approval-title').waitFor()
    assert.deepEqual(desk.faults(), [])
  })
})

/** A passkey of the browser's own authenticator for whoever is signed in on the page. */
async function enrolHere(page: Page): Promise<void> {
  const status = await page.evaluate(async () => {
    const send = (path: string, body: object): Promise<Response> => fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
    const { options } = await (await send('/v1/passkeys/begin', {})).json() as { readonly options: PublicKeyCredentialCreationOptionsJSON }
    const made = await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) }) as PublicKeyCredential
    return (await send('/v1/passkeys', { name: 'of the test', response: made.toJSON() })).status
  })
  assert.equal(status, 201)
}
