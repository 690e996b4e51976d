import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import type { EventReply } from '@writ/contract/events'
import * as policies from '@writ/contract/policies'
import type { Browser, Page } from 'playwright-core'
import { signInAs, type SignedInPerson } from '../../server/test/people.ts'
import { startWrit, type RunningWrit } from '../../server/test/running-writ.ts'
import { NEEDS_BROWSER, openBrowser, openPage, seriousFaults, type ConsolePage } from './browser.ts'
import { fillEstate } from './estate.ts'

describe('what is on record, and what decides, in a browser', NEEDS_BROWSER, () => {
  let writ: RunningWrit
  let browser: Browser
  let people: Readonly<Record<'author' | 'auditor' | 'viewer', SignedInPerson>>
  let first = ''
  before(async () => {
    [writ, browser] = await Promise.all([startWrit(), openBrowser()])
    await fillEstate(writ)
    const [author, auditor, viewer] = await Promise.all([
      signInAs(writ, { roles: ['policy_author'], name: 'Li', passkey: false }), signInAs(writ, { roles: ['auditor'], name: 'Noor', passkey: false }), signInAs(writ, { roles: ['viewer'], name: 'Ada', passkey: false }),
    ])
    people = { author, auditor, viewer }
    first = String((await writ.operator(policies.showCurrentPolicies)).reply.version)
  })
  after(async () => {
    await browser?.close()
    await writ?.stop()
  })
  const at = async (as: SignedInPerson, use: (page: ConsolePage) => Promise<void>): Promise<void> => {
    const opened = await openPage(browser, writ, { as })
    try {
      await use(opened)
      assert.deepEqual(opened.faults(), [])
    } finally {
      await opened.close()
    }
  }
  const proofOn = async (page: Page): Promise<string> => {
    await page.locator('.w-proof[data-kind]').waitFor()
    return page.locator('.w-proof').innerText()
  }
  const openDenial = async ({ page, open }: ConsolePage): Promise<void> => {
    await open('/audit?q=outcome:denied')
    await page.locator('[role="row"][data-index="0"]').click()
  }

  test('an event is proved in the browser, in both lanes, and who may not read the log is told so', async () => {
    await at(people.auditor, async (opened) => {
      await openDenial(opened)
      assert.match(await proofOn(opened.page), /unbroken checked in this browser[\s\S]*Leaf \d+ of \d+ in writ\.local/)
      assert.deepEqual(await seriousFaults(opened.page), [])
      const event = new URL(opened.page.url()).searchParams.get('event')
      await opened.open(`/go/${event}`)
      assert.match(await proofOn(opened.page), /unbroken/)
      await opened.open('/audit?lane=human')
      await opened.page.locator('[role="row"][data-index="0"]').click()
      assert.match(await proofOn(opened.page), /unbroken[\s\S]*\/human/)
    })
    await at(people.viewer, async (opened) => {
      await openDenial(opened)
      assert.match(await proofOn(opened.page), /^not evaluated: the entries of a log[\s\S]*only an auditor or an admin/)
    })
  })

  test('whoever changes an answer on its way, or in the log itself, is found out: it says what does not hold', () => at(people.auditor, async (opened) => {
    const { page } = opened
    await page.route('**/v1/events?*', async (route) => {
      const answer = await route.fetch()
      const { events, next } = await answer.json() as { readonly events: readonly EventReply[]; readonly next: string }
      await route.fulfill({ response: answer, json: { events: events.map((event) => (event.type === 'decision.made' ? { ...event, facts: { ...event.facts, resource: 'files/read_text_file' } } : event)), next } })
    })
    await openDenial(opened)
    assert.match(await proofOn(page), /broken found out in this browser[\s\S]*the log says otherwise than what is shown: facts/)
    await page.unroute('**/v1/events?*')

    await page.route('**/tile/entries/**', async (route) => {
      const answer = await route.fetch()
      await route.fulfill({ response: answer, body: Buffer.from((await answer.body()).toString('latin1').replaceAll('"answer":"deny"', '"answer":"pass"'), 'latin1') })
    })
    await openDenial(opened)
    assert.match(await proofOn(page), /broken[\s\S]*is not leaf \d+ of the log of \d+/)
    await page.unroute('**/tile/entries/**')

    await page.route('**/tile/0/**', async (route) => {
      const answer = await route.fetch()
      await route.fulfill({ response: answer, body: (await answer.body()).map((byte) => byte ^ 1) as Buffer })
    })
    await openDenial(opened)
    assert.match(await proofOn(page), /broken[\s\S]*is not leaf/)
    await page.unroute('**/tile/0/**')

    await page.route('**/logs/non-human/tile/**', (route) => route.abort())
    await openDenial(opened)
    assert.match(await proofOn(page), /^not evaluated: no answer came/)
  }))

  test('the record is narrowed by lane, event, time and words, all in the URL, and exported as it is seen', () => at(people.auditor, async ({ page, open }) => {
    for (const path of ['/audit?lane=human&chart=table', '/audit?task=tsk_none']) {
      await open(path)
      assert.deepEqual(await seriousFaults(page), [], path)
      assert.equal(page.url().replace(/^[^/]+\/\/[^/]+/, ''), path)
    }
    await open('/audit')
    assert.match((await page.getByRole('img', { name: /^non-human: \d+ events, 2 of them denied/ }).getAttribute('aria-label')) ?? '', /the table has each bar/)
    await page.getByRole('combobox', { name: 'event' }).selectOption('decision.made')
    await page.getByRole('searchbox').fill('outcome:denied')
    await page.waitForFunction(() => document.querySelectorAll('[role="row"][data-index]').length === 2)
    await page.getByRole('button', { name: 'table', exact: true }).click()
    await page.getByRole('button', { name: /^Look closer/ }).first().click()
    await page.getByRole('button', { name: 'zoomed' }).waitFor()
    const search = Object.fromEntries(new URL(page.url()).searchParams)
    assert.deepEqual([search['type'], search['q'], search['chart'], Date.parse(search['to']!) - Date.parse(search['from']!)], ['decision.made', 'outcome:denied', 'table', 1000])
    await page.getByRole('button', { name: 'all time' }).click()
    await page.getByRole('button', { name: 'Export' }).click()
    const [lines] = await Promise.all([page.waitForEvent('download'), page.getByRole('menuitem', { name: 'JSON lines' }).click()])
    const rows = readFileSync(await lines.path(), 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>)
    assert.deepEqual(rows.map((row) => [row['type'], row['outcome'], row['lane']]), [['decision.made', 'denied', 'non-human'], ['decision.made', 'denied', 'non-human']])
  }))

  test('a fault is shown at its line as it is typed, types and cases are checked, and what is applied decides, until it is rolled back', () => at(people.author, async ({ page, open }) => {
    await open('/policies?file=permits.cedar')
    await page.getByText('well written').waitFor()
    assert.deepEqual(await seriousFaults(page), [])
    const text = page.locator('.cm-content')
    await text.click()
    await page.keyboard.press('Control+Home')
    await page.keyboard.type('// mine\n@id("none-at-night")\nforbid (principal, action, resouce);\n')
    await page.getByRole('button', { name: 'permits.cedar:3:28' }).click()
    await page.locator('.cm-activeLine', { hasText: 'resouce' }).waitFor()
    assert.match(await page.locator('.w-complaints').innerText(), /resouce/)
    assert.equal(await page.getByRole('button', { name: 'Apply' }).getAttribute('title'), 'what is wrong has to be mended first')
    assert.deepEqual(await seriousFaults(page), [])
    await page.keyboard.press('End')
    for (let i = 0; i < 'resouce);'.length; i++) await page.keyboard.press('Backspace')
    await page.keyboard.insertText('resource) when { context.hourr > 20 };')
    await page.getByText('well written').waitFor()
    await page.getByRole('button', { name: 'Check types, run tests' }).click()
    await page.getByRole('button', { name: /^permits\.cedar:3:/ }).waitFor()
    await page.getByRole('button', { name: 'Put back' }).click()
    await page.getByText('edit, check, apply').waitFor()
    assert.doesNotMatch(await text.innerText(), /mine/)
    await text.click()
    await page.keyboard.press('Control+Home')
    await page.keyboard.insertText('// mine\n@id("nobody-lists")\nforbid (principal, action == Writ::Action::"list", resource);\n')
    await page.getByText('well written').waitFor()
    await page.getByRole('button', { name: 'Check types, run tests' }).click()
    await page.getByRole('button', { name: /^tests\/permits\.json:\d+:1/ }).waitFor()
    await page.keyboard.press('Escape')
    await text.click()
    await page.keyboard.press('Control+Home')
    for (let i = 0; i < 2; i++) await page.keyboard.press('ArrowDown')
    await page.keyboard.press('End')
    await page.keyboard.press('Backspace')
    await page.keyboard.insertText(' when { context.budget_left < -5 };')
    await page.getByText('well written').waitFor()
    await page.getByRole('button', { name: 'Check types, run tests' }).click()
    await page.getByText(/types fit, and all \d+ cases pass/).waitFor()
    await page.getByRole('button', { name: 'Apply' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Reason').fill('nobody has to look')
    assert.match(await dialog.locator('.w-diff').innerText(), /\+\s*added\s*@id\("nobody-lists"\)/)
    await dialog.getByRole('button', { name: 'Apply' }).click()
    const refused = dialog.locator('.w-problem')
    await refused.or(page.getByText(`version ${Number(first) + 1}`).first()).waitFor()
    assert.equal(await refused.count() === 0 ? '' : await refused.innerText(), '')
    const { reply } = await writ.operator(policies.showCurrentPolicies)
    assert.deepEqual([String(reply.version), reply.reason, reply.files['permits.cedar']!.startsWith('// mine\n@id("nobody-lists")')], [String(Number(first) + 1), 'nobody has to look', true])
  }))

  test('a request is tried, two versions are compared, an older one comes back, and who may only look is told who may do more', async () => {
    await at(people.author, async ({ page, open }) => {
      await open('/policies')
      await page.getByLabel('On: SERVER/TOOL, or TYPE:ID').fill('files/write_file')
      await page.getByRole('button', { name: 'Ask' }).click()
      await page.locator('.w-explanation').waitFor()
      assert.match(await page.locator('.w-explanation').innerText(), /^what/)
      await page.getByRole('link', { name: /^compare with/ }).first().click()
      await page.locator('.w-diff').waitFor()
      assert.match(await page.locator('.w-diff').innerText(), /nobody-lists/)
      assert.deepEqual(await seriousFaults(page), [])
      await page.getByRole('button', { name: 'Roll back' }).first().click()
      await page.getByRole('dialog').getByLabel('Reason').fill('they do have to look')
      await page.getByRole('dialog').getByRole('button', { name: 'Roll back' }).click()
      await page.getByText(`brings back ${first}`).waitFor()
      assert.deepEqual((await writ.operator(policies.showCurrentPolicies)).reply.rolled_back_to, Number(first))
    })
    await at(people.viewer, async ({ page, open }) => {
      await open('/policies')
      assert.equal(await page.getByRole('button', { name: 'Apply' }).getAttribute('title'), 'only policy author or admin may do this')
      assert.equal(await page.locator('.cm-content').getAttribute('aria-readonly'), 'true')
    })
  })
})
