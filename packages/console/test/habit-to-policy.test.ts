import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as approvals from '@writ/contract/approvals'
import * as policies from '@writ/contract/policies'
import * as tasks from '@writ/contract/tasks'
import type { Browser } from 'playwright-core'
import { eventually } from '../../server/test/eventually.ts'
import { accessTo, connected, denied, governServer, type Access, type Connected } from '../../server/test/mcp/estate.ts'
import { recordingHttp, type RecordingHttp } from '../../server/test/mcp/recording-http.ts'
import { signInAs, type SignedInPerson } from '../../server/test/people.ts'
import { startWrit, type RunningWrit } from '../../server/test/running-writ.ts'
import { NEEDS_BROWSER, openBrowser, openPage, seriousFaults, shown, type ConsolePage } from './browser.ts'

const inputSchema = { type: 'object', properties: { amount: { type: 'integer' }, order: { type: 'string' } } }
const TOOLS = [{ name: 'refund', description: 'Pays money back.', inputSchema }, { name: 'mail', description: 'Writes to a customer.', inputSchema }]
/** More than the twenty that a habit takes. */
const ROUTINE = 21

describe('from a habit to a policy, in a browser', NEEDS_BROWSER, () => {
  let [recording, writ, browser]: [RecordingHttp, RunningWrit, Browser] = [undefined!, undefined!, undefined!]
  let [maya, ana, access, agent, desk]: [SignedInPerson, SignedInPerson, Access, Connected, ConsolePage] = [undefined!, undefined!, undefined!, undefined!, undefined!]
  let newest = ''
  before(async () => {
    browser = await openBrowser()
    recording = await recordingHttp({ tools: TOOLS })
    writ = await startWrit({ env: { WRIT_OUTBOUND_ALLOW: recording.host, WRIT_LOG: 'warn', WRIT_ENVIRONMENT: 'production' } })
    await governServer(writ, { name: 'shop', transport: 'http', url: recording.urlOf('newer') }, () => ({ effect: 'external', reversible: false }))
    const bot = await writ.register('refund-agent', { authority: ['mcp:shop:refund', 'mcp:shop:mail'], owners: { technical: 'person:li@acme.example', business: 'team:shop' } })
    maya = await signInAs(writ, { roles: ['reviewer'], email: 'maya@acme.example', name: 'Maya Okafor' })
    ana = await signInAs(writ, { roles: ['policy_author'], email: 'ana@acme.example', name: 'Ana Lima' })
    access = await accessTo(writ, bot, { server: 'shop', tools: ['refund', 'mail'] })
    agent = await connected(access, '2025-11-25')
    desk = await openPage(browser, writ, { as: maya })
  })
  after(async () => {
    await agent?.close().catch(() => undefined)
    await browser?.close()
    await writ?.stop()
    recording?.stop()
  })
  const call = (name: 'refund' | 'mail', args: Readonly<Record<string, unknown>>) => agent.client.callTool({ name, arguments: args })
  const asked = async (name: 'refund' | 'mail', args: Readonly<Record<string, unknown>>): Promise<string> => String((await denied(call(name, args))).data['approval'])
  const approve = async (id: string): Promise<void> => {
    const { envelope_sha256: hash, signing } = (await maya.api(approvals.showApproval, { parameters: { id } })).reply
    const assertion = maya.authenticator.sign({
      challenge: signing!.challenge, rpId: signing!.rp_id, timeout: 1000, allowCredentials: signing!.credentials.map((one) => ({ type: 'public-key', id: one })), userVerification: 'required',
    }, maya.origin)
    const done = await maya.api(approvals.approveApproval, { parameters: { id }, body: { choice: { scope: 'once' }, envelope_sha256: hash!, reason: 'checked', assertion } })
    assert.equal(done.status, 200, done.text)
  }

  test('what waits for somebody is counted in the menu and in the title as it comes, and for nobody who does not answer', async () => {
    const others = await openPage(browser, writ, { as: ana })
    await Promise.all([desk.open('/'), others.open('/')])
    assert.equal(await desk.page.title(), 'Home · Writ')
    assert.equal(await desk.page.locator('.w-nav-count').count(), 0)
    const ids = [await asked('mail', { amount: 1, order: 'a' }), await asked('mail', { amount: 2, order: 'a' })]
    await desk.page.waitForFunction(() => document.title === '(2) Home · Writ')
    assert.equal(await desk.page.getByRole('link', { name: 'Approvals 2 wait for you' }).count(), 1)
    assert.equal(await others.page.title(), 'Home · Writ')
    for (const pill of [desk, others]) assert.equal(await pill.page.locator('.w-environment').innerText(), 'PROD')
    assert.deepEqual(await seriousFaults(desk.page), [])
    for (const id of ids) await approve(id)
    await desk.page.waitForFunction(() => document.title === 'Home · Writ')
    assert.equal(await desk.page.locator('.w-nav-count').count(), 0)
    await others.close()
  })

  test('what a person approved stands beside what was allowed and denied, in the chart, in its table and in the task', async () => {
    for (let i = 1; i <= ROUTINE; i++) await approve(newest = await asked('refund', { amount: i * 100, order: `o${i % 3}` }))
    await call('refund', { amount: ROUTINE * 100, order: `o${ROUTINE % 3}` })
    await desk.open('/')
    await desk.page.locator('.w-legend').waitFor()
    await eventually('it is counted', async () => {
      await desk.page.reload()
      await shown(desk.page)
      await desk.page.locator('.w-legend').waitFor()
      return /approved by a person 1\b/.test(await desk.page.locator('.w-legend').innerText())
    })
    const patterns = await desk.page.locator('pattern').evaluateAll((all) => all.map((one) => one.querySelector('path')?.getAttribute('d') ?? 'plain'))
    assert.equal(new Set(patterns).size, 4, 'no two parts differ by colour alone')
    assert.deepEqual(await seriousFaults(desk.page), [])
    await desk.page.getByRole('button', { name: 'as a table' }).click()
    assert.deepEqual(await desk.page.getByRole('region', { name: 'Decisions per hour' }).getByRole('columnheader').allInnerTexts(), ['Hour', 'allowed', 'approved by a person', 'observed: would be denied', 'denied'])
    await desk.open(`/tasks/${access.task}`)
    await desk.page.getByText('approved, done').waitFor()
    assert.equal(await desk.page.locator('.w-bar[data-approved="true"]').count(), 1)
    assert.deepEqual(await seriousFaults(desk.page), [])
  })

  test('whoever says yes nearly always is led to a policy: an author to its text, everybody else to a link', async () => {
    await desk.open('/approvals')
    const note = desk.page.getByRole('note')
    await note.getByText(`policies?like=${newest}`).waitFor()
    assert.match(await note.innerText(), /look routine[^]*100 % of your last 23[^]*refund-agent for shop\/refund: 21 times yes, never no/)
    assert.deepEqual(await seriousFaults(desk.page), [])
    await desk.open(`/policies?like=${newest}`)
    await desk.page.getByText('Send them this page').waitFor()
    assert.equal(await desk.page.getByText('proposed-').count(), 0, 'nothing is made for somebody who could not apply it')
  })

  test('a proposal is text in the editor that decides nothing until its author applies it', async () => {
    const before = (await writ.operator(policies.showCurrentPolicies)).reply.version
    const at = await openPage(browser, writ, { as: ana })
    await at.open(`/policies?like=${newest}`)
    await at.page.getByText('A proposal, not applied.').waitFor()
    const text = await at.page.locator('.cm-content').innerText()
    assert.match(text, /from the 21 requests below, which people approved[^]*high risk[^]*principal == Writ::Agent::"[^"]*refund-agent"[^]*amount >= 100 &&[^]*amount <= 2100 &&[^]*\["o0", "o1", "o2"\]\.contains\(context\.arguments\.order\)/)
    await at.page.getByText('well written').waitFor()
    await at.page.getByRole('button', { name: 'Check types, run tests' }).click()
    await at.page.getByText(/types fit, and all \d+ cases pass/).waitFor()
    assert.deepEqual(await seriousFaults(at.page), [])
    assert.equal((await writ.operator(policies.showCurrentPolicies)).reply.version, before)
    await at.page.getByRole('button', { name: 'Ask what was asked' }).click()
    await at.page.getByText(/\d+ decisions asked anew: 21 answers change/).waitFor()
    await at.page.getByRole('button', { name: '21 went from approval to allow: show them' }).click()
    assert.equal(await at.page.getByRole('region', { name: 'Decisions that change' }).getByRole('row').count(), 22)
    assert.match(await at.page.getByRole('region', { name: 'Decisions that change' }).innerText(), /refund-agent\s+call\s+shop\/refund\s+proposed-/)
    assert.deepEqual(await seriousFaults(at.page), [])
    await at.page.getByRole('button', { name: 'Apply' }).click()
    await at.page.getByLabel('Reason').fill('21 of 21 were approved')
    await at.page.getByRole('dialog').getByRole('button', { name: 'Apply' }).click()
    await at.page.getByText(`version ${before + 1}`).first().waitFor()
    await eventually('the proposal is no longer one', async () => await at.page.getByText('A proposal, not applied.').count() === 0)
    await call('refund', { amount: 1500, order: 'o1' })
    assert.equal((await denied(call('refund', { amount: 2101, order: 'o1' }))).data['code'], 'approval_required')
    assert.deepEqual(at.faults(), [])
    await at.close()
  })

  test('a task that somebody stopped shows when, after what it did', async () => {
    await writ.operator(tasks.endTask, { parameters: { id: access.task }, body: { reason: 'enough' } })
    await eventually('it is closed', async () => (await writ.operator(tasks.showTask, { parameters: { id: access.task } })).reply.state === 'closed')
    await desk.open(`/tasks/${access.task}`)
    assert.match(await desk.page.locator('.w-step').last().innerText(), /a person ended it\s+■\s+stopped/)
    assert.deepEqual(await seriousFaults(desk.page), [])
    assert.deepEqual(desk.faults(), [])
  })

  test('a simulation can be cancelled, and says how far it came', async () => {
    const at = await openPage(browser, writ, { as: ana, scheme: 'dark' })
    await at.page.route('**/v1/decisions/evaluated?*', () => {})
    const versions = (await writ.operator(policies.listPolicies)).reply.versions
    await at.open(`/policies?version=${versions.at(-1)!.version}`)
    await at.page.getByRole('button', { name: 'Ask what was asked' }).click()
    await at.page.getByText('loading what was decided').waitFor()
    await at.page.getByRole('button', { name: 'Cancel' }).click()
    await at.page.getByText('cancelled: nothing was asked').waitFor()
    await at.page.unroute('**/v1/decisions/evaluated?*')
    await at.page.getByRole('button', { name: 'Ask what was asked' }).click()
    await at.page.getByText(/decisions asked anew/).waitFor()
    assert.deepEqual(await seriousFaults(at.page), [])
    assert.deepEqual(at.faults(), [])
    await at.close()
  })
})
