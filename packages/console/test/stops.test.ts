import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as registry from '@writ/contract/registry'
import * as contract from '@writ/contract/stops'
import * as tasks from '@writ/contract/tasks'
import type { Browser, Page } from 'playwright-core'
import { eventually } from '../../server/test/eventually.ts'
import { GRANT, opened } from '../../server/test/governed-writ.ts'
import { accessTo, governServer, rawNewer } from '../../server/test/mcp/estate.ts'
import { json, rawHttp, type RawHttp } from '../../server/test/mcp/raw-http.ts'
import { signInAs, type SignedInPerson } from '../../server/test/people.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../../server/test/running-writ.ts'
import { NEEDS_BROWSER, openBrowser, openPage, seriousFaults, type ConsolePage } from './browser.ts'

describe('stopping, in a browser', NEEDS_BROWSER, () => {
  let shop: RawHttp
  let called = 0
  let writ: RunningWrit
  let browser: Browser
  let bot: TestIdentity
  let rosa: SignedInPerson
  before(async () => {
    // Its one tool never answers.
    shop = await rawHttp((asked) => {
      if (asked.method === 'tools/list') return json(asked, { tools: [{ name: 'buy', inputSchema: { type: 'object' } }] })
      if (asked.method !== 'tools/call') return false
      called += 1
      return true
    })
    writ = await startWrit({ env: { WRIT_OUTBOUND_ALLOW: new URL(shop.url).host, WRIT_LOG: 'warn' } })
    browser = await openBrowser()
    await governServer(writ, { name: 'shop', transport: 'http', url: shop.url })
    bot = await writ.register('buyer', { authority: ['mcp:shop:buy'] })
    rosa = await signInAs(writ, { roles: ['responder'], name: 'Rosa', passkey: false })
  })
  after(async () => {
    await browser?.close()
    await writ?.stop()
    shop?.stop()
  })
  const at = async (as: SignedInPerson, use: (page: ConsolePage) => Promise<void>): Promise<void> => {
    const page = await openPage(browser, writ, { as })
    try {
      await use(page)
      assert.deepEqual(page.faults(), [])
    } finally {
      await page.close()
    }
  }
  const copied = async (page: Page, label: string): Promise<string> => {
    await page.getByRole('button', { name: label }).last().click()
    await page.getByRole('menuitem', { name: 'CLI' }).click()
    return page.evaluate(() => navigator.clipboard.readText())
  }
  const stopsMade = async (): Promise<number> => (await writ.operator(contract.listStops)).reply.stops.length
  const stateOf = async (id: string): Promise<string> => (await writ.operator(registry.showIdentity, { parameters: { id } })).reply.state
  /** A line of what the dry run says. */
  const said = (page: Page, line: string): Promise<string> => page.locator('.w-facts > div', { has: page.getByText(line, { exact: true }) }).locator('dd').innerText()

  test('a task is stopped from its page by one key: first what it touches, then a reason; its call is cancelled, and who has confirmed comes by itself', () => at(rosa, async ({ page, open }) => {
    const access = await accessTo(writ, bot, { server: 'shop', tools: ['buy'] })
    const answering = rawNewer(access, 'tools/call', { params: { name: 'buy', arguments: {} } })
    await eventually('it is in flight', () => called === 1)
    await open(`/tasks/${access.task}`)
    await page.keyboard.press('x')
    assert.deepEqual(await seriousFaults(page), [])
    await page.getByRole('menuitem', { name: 'This task…' }).and(page.locator(':focus')).waitFor()
    await page.keyboard.press('Enter')
    await page.getByText('Will suspend').waitFor()
    assert.equal(page.url().replace(/^[^/]+\/\/[^/]+/, ''), `/stops/new?of=${access.task}`)
    assert.deepEqual([await said(page, 'Will stop'), await said(page, 'Will cancel')], ['1 task · 1 access token · 1 call in flight', '1 call in flight · 1 open way to MCP servers'])
    assert.equal(await copied(page, 'Copy the dry run as'), `writ stop task ${access.task} --dry-run`)
    const button = page.getByRole('button', { name: 'Stop the task' })
    assert.equal(await button.getAttribute('title'), 'type a reason first')
    await button.click({ force: true })
    assert.deepEqual([await stopsMade(), (await writ.operator(tasks.showTask, { parameters: { id: access.task } })).reply.state], [0, 'open'], 'nothing is changed before there is a reason')
    await page.getByLabel('Reason').fill('it buys everything')
    assert.equal(await copied(page, 'Copy as'), `writ stop task ${access.task} --reason 'it buys everything'`)
    await button.click()
    await page.waitForURL(/\/stops\/stp_/)
    await page.getByText(/contained in /).waitFor()
    assert.match(await page.locator('main').innerText(), /2 of 2[^]*acknowledged[^]*1 call[^]*refused when it was tried again[^]*it buys everything/)
    assert.match(await (await answering).text(), /task_ended/)
    const [made] = (await writ.operator(contract.listStops)).reply.stops
    assert.deepEqual([made!.target, made!.by, made!.reason], [{ kind: 'task', id: access.task }, { kind: 'person', id: rosa.id }, 'it buys everything'])
    assert.deepEqual(await seriousFaults(page), [])
    await page.goBack()
    await page.getByText('a person ended it').first().waitFor()
    assert.equal(await page.getByRole('button', { name: 'Stop…' }).getAttribute('title'), 'it is closed already')
  }))

  test('an identity is stopped with whoever it has delegated to, and by an owner only where all of them are theirs', async () => {
    const [lead, hand] = [await writ.register('lead', { owners: { technical: 'person:li@acme.example', business: 'team:shop' } }), await writ.register('hand')]
    const above = await opened(lead)
    await lead.api(tasks.delegateTask, { parameters: { id: above }, body: { identity: hand.spiffeId, purpose: 'helps', authorization_details: GRANT, ttl_seconds: 60 } })
    const before = await stopsMade()
    await at(await signInAs(writ, { roles: ['owner'], email: 'li@acme.example', name: 'Li', passkey: false }), async ({ page, open }) => {
      await open(`/stops/new?of=${lead.id}&scope=identity_tree`)
      await page.getByText('it has delegated to identities that are not yours: 1').waitFor()
      await page.getByLabel('Reason').fill('all of them')
      await page.getByRole('button', { name: 'Stop it' }).click()
      await page.getByText('it has delegated to identities that are not yours: 1').nth(1).waitFor()
      await page.getByRole('radio', { name: 'this identity it is' }).check()
      await page.getByText('1 approval').or(page.getByText('2 tasks')).first().waitFor()
    })
    assert.deepEqual([await stopsMade(), await stateOf(lead.id)], [before, 'active'])
    await at(rosa, async ({ page, open }) => {
      await open(`/identities/${lead.id}`)
      await page.getByRole('button', { name: 'Stop…' }).click()
      await page.getByRole('radio', { name: /whoever it has delegated to/ }).check()
      await page.getByText('2 tasks').waitFor()
      assert.deepEqual((await page.locator('.w-facts .w-chips li').allInnerTexts()).toSorted(), ['hand', 'lead'])
      assert.equal(await copied(page, 'Copy the dry run as'), `writ stop identity ${lead.id} --tree --dry-run`)
      await page.getByLabel('Reason').fill('both')
      await page.getByRole('button', { name: 'Stop it' }).click()
      await page.getByText(/contained in /).waitFor()
      assert.match(await page.locator('main').innerText(), /2 identities suspended/)
      await page.getByRole('link', { name: 'lead' }).first().click()
      await page.getByRole('button', { name: 'Resume…' }).waitFor()
    })
    assert.deepEqual([await stateOf(lead.id), await stateOf(hand.id)], ['suspended', 'suspended'])
  })

  test('who may not stop anything sees it off, and who can; nothing is asked of the server', async () => {
    const task = await opened(bot, { authorization_details: [{ type: 'mcp', locations: ['shop'], actions: ['buy'] }] })
    const before = await stopsMade()
    await at(await signInAs(writ, { roles: ['viewer'], name: 'Vera', passkey: false }), async ({ page, open }) => {
      const asked: string[] = []
      page.on('request', (request) => { if (request.method() === 'POST') asked.push(request.url()) })
      await open(`/tasks/${task}`)
      assert.equal(await page.getByRole('button', { name: 'Stop…' }).getAttribute('title'), 'only owner, responder or admin may do this')
      await page.getByRole('button', { name: 'Stop', exact: true }).click()
      await page.getByText('Stopping is not yours: only owner, responder or admin may do this').waitFor()
      assert.deepEqual(await seriousFaults(page), [])
      for (const item of ['This task…', 'Its identity…', 'Something else…']) assert.ok(await page.getByRole('menuitem', { name: item }).isDisabled(), item)
      await page.getByRole('menuitem', { name: 'What was stopped' }).click()
      await page.getByRole('row', { name: /it buys everything/ }).waitFor()
      await open(`/stops/new?of=${task}`)
      await page.getByText('not evaluated').waitFor()
      await page.getByLabel('Reason').fill('because')
      await page.getByRole('button', { name: 'Stop the task' }).click({ force: true })
      assert.deepEqual(await seriousFaults(page), [])
      assert.deepEqual(asked, [])
    })
    assert.equal(await stopsMade(), before)
  })

  test('what nobody can tell is not evaluated, and what is awaited is not contained', () => at(rosa, async ({ page, open }) => {
    const [made] = (await writ.operator(contract.listStops)).reply.stops
    const { reply } = await writ.operator(contract.showStop, { parameters: { id: made!.id } })
    const server = { kind: 'server' as const, after_ms: null, at: reply.at, calls: 2, calls_lost: 0 }
    const login = { kind: 'login' as const, backend: 'shop', since: reply.at, incident: null }
    const points: readonly contract.StopPointReply[] = [
      { ...server, id: 'srv_1', address: 'http://one.example', state: 'pending' }, { ...server, id: 'srv_2', address: null, state: 'gone', after_ms: 12 },
      { ...server, id: 'srv_3', address: 'http://three.example', state: 'lost', after_ms: 900, calls_lost: 2 },
      { ...login, id: 'lse_1', state: 'pending' }, { ...login, id: 'lse_2', state: 'incident', incident: 'inc_1' }, { ...login, id: 'lse_3', state: 'not_evaluated', since: null },
      { ...login, id: 'lse_4', state: 'never_issued', since: null },
    ]
    let shown: object = { ...reply, state: 'containing', settled_at: null, after_ms: null, confirmed: 2, of: 7, points }
    await page.route(`**/v1/stops/${reply.id}`, (route) => route.fulfill({ json: shown }))
    await open(`/stops/${reply.id}`)
    assert.match(await page.getByRole('region', { name: 'State' }).innerText(), /2 of 7[^]*containing for /)
    const rows = await page.getByRole('row').allInnerTexts()
    const rowOf = (text: string): string => rows.find((row) => row.includes(text)) ?? assert.fail(text)
    assert.match(rowOf('one.example'), /awaited\tnot yet, for .*2 calls/)
    assert.match(rowOf('srv_2'), /gone, with nothing in flight\t\d{4}-/)
    assert.match(rowOf('three.example'), /lost\tnot evaluated\t900 ms\t2 calls, 2 of them not evaluated/)
    for (const [id, end] of [['lse_1', /awaited for/], ['lse_2', /not withdrawn incident inc_1/], ['lse_3', /not evaluated$/], ['lse_4', /never issued$/]] as const) assert.match(rowOf(id), end)
    assert.deepEqual(await seriousFaults(page), [])
    shown = { ...reply, state: 'not_proved', confirmed: 6, of: 7, points }
    await open(`/stops/${reply.id}`)
    assert.match(await page.getByRole('region', { name: 'State' }).innerText(), /6 of 7[^]*not proved[^]*not known whether it has ended/)
    await page.unroute(`**/v1/stops/${reply.id}`)
  }))
})
