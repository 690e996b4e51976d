import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import type { EventReply } from '@writ/contract/events'
import * as policies from '@writ/contract/policies'
import type { Browser, Page } from 'playwright-core'
import { signInAs, type SignedInPerson } from '../../server/test/people.ts'
import { allEvents } from '../../server/test/proofs.ts'
import { startWrit, type RunningWrit } from '../../server/test/running-writ.ts'
import { NEEDS_BROWSER, openBrowser, openPage, seriousFaults, type ConsolePage } from './browser.ts'
import { fillEstate } from './estate.ts'

describe('what is on record, and what decides, in a browser', NEEDS_BROWSER, () => {
  let writ: RunningWrit
  let browser: Browser
  let people: Readonly<Record<'author' | 'auditor' | 'viewer' | 'owner', SignedInPerson>>
  let first = ''
  let all: readonly EventReply[] = []
  const eventOf = (type: string): EventReply => all.find((event) => event.type === type)!
  before(async () => {
    writ = await startWrit()
    browser = await openBrowser()
    await fillEstate(writ)
    const [author, auditor, viewer, owner] = await Promise.all([
      signInAs(writ, { roles: ['policy_author'], name: 'Li', passkey: false }), signInAs(writ, { roles: ['auditor'], name: 'Noor', passkey: false }), signInAs(writ, { roles: ['viewer'], name: 'Ada', passkey: false }),
      signInAs(writ, { roles: ['owner'], name: 'Maya', email: 'maya@acme.example', passkey: false }),
    ])
    people = { author, auditor, viewer, owner }
    all = await allEvents(writ)
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

  test('an event is proved in the browser, in both lanes, by whoever may read it', async () => {
    for (const as of [people.auditor, people.viewer]) {
      await at(as, async (opened) => {
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
    }
  })

  test('what people said is shown to be what the log commits to, and to an owner alone it is neither shown nor taken for proved', async () => {
    const { id } = eventOf('identity.suspended')
    await at(people.viewer, async ({ page, open }) => {
      await open(`/audit?event=${id}`)
      assert.match(await proofOn(page), /unbroken/)
      assert.match(await page.locator('.w-said').innerText(), /prompt injection suspected, ticket 8840[\s\S]*the very words that the log commits to/)
      assert.deepEqual(await seriousFaults(page), [])
    })
    await at(people.owner, async ({ page, open }) => {
      await open(`/audit?event=${id}`)
      assert.match(await proofOn(page), /unbroken/)
      const shown = await page.locator('.w-event').innerText()
      assert.match(shown, /reason: not evaluated it was erased, or is not for your role/)
      assert.doesNotMatch(shown, /ticket 8840|the very words/)
      await open(`/audit?event=${eventOf('server.started').id}`)
      await page.locator('.w-problem', { hasText: 'there is no such event, or it is not yours' }).first().waitFor()
    })
  })

  const tampering: readonly { readonly what: string; readonly at: string; readonly change: (text: string) => string; readonly says: RegExp }[] = [
    { what: 'an event in a list', at: '**/v1/events?*', change: (text) => text.replaceAll(/"resource":"[^"]*"/g, '"resource":"files/read_text_file"'), says: /broken found out in this browser[\s\S]*the log says otherwise than what is shown: facts/ },
    { what: 'the place of an event', at: '**/v1/events?*', change: (text) => text.replaceAll(/"leaf_index":\d+/g, '"leaf_index":3'), says: /broken[\s\S]*otherwise than what is shown: its place/ },
    { what: 'words in a list', at: '**/v1/events/*', change: (text) => text.replace('ticket 8840', 'ticket 8841'), says: /broken[\s\S]*otherwise than what is shown: reason, which it commits to in other words/ },
    { what: 'the leaf', at: '**/v1/events/*/receipt?*', change: (text) => text.replace('deny', 'pass').replace('\\"facts\\":{', '\\"facts\\":{\\"a\\":1,'), says: /broken[\s\S]*is not leaf \d+ of the log of \d+/ },
    { what: 'the way to the root', at: '**/v1/events/*/receipt?*', change: (text) => text.replace(/"proof":\["./, (found) => `${found.slice(0, -1)}${found.endsWith('A') ? 'B' : 'A'}`), says: /broken[\s\S]*is not leaf/ },
    { what: 'the checkpoint', at: '**/v1/events/*/receipt?*', change: (text) => text.replace(/(\/(?:non-)?human\\n)(\d+)/, '$19$2'), says: /broken[\s\S]*sign/ },
    { what: 'the log', at: '**/v1/events/*/receipt?*', change: (text) => text.replaceAll('writ.local/', 'evil.example/'), says: /broken[\s\S]*the server has no such log/ },
    { what: 'disclosed words', at: '**/v1/events/*/receipt?*', change: (text) => text.replace('ticket 8840', 'ticket 8841'), says: /broken[\s\S]*the `reason` disclosed is not the one/ },
  ]
  test('whoever changes an answer on its way, or in the log itself, is found out by a viewer too: it says what does not hold', () => at(people.viewer, async (opened) => {
    const { page } = opened
    const ofWords = `/audit?lane=non-human&event=${eventOf('identity.suspended').id}`
    for (const { what, at: address, change, says } of tampering) {
      await page.route(address, async (route) => {
        const answer = await route.fetch()
        await route.fulfill({ response: answer, body: change(await answer.text()) })
      })
      if (/words/.test(what)) await opened.open(ofWords)
      else await openDenial(opened)
      assert.match(await proofOn(page), says, what)
      await page.unroute(address)
    }
    await page.route('**/v1/events/*/receipt?*', (route) => route.abort())
    await openDenial(opened)
    assert.match(await proofOn(page), /^not evaluated: no answer came/)
  }))

  test('an event is shown by its address whatever its age and lane, and the list is paged back to the first, with nothing drawn that has not come', () => at(people.viewer, async ({ page, open }) => {
    const oldest = all[0]!
    await page.route('**/v1/events?*', (route) => route.continue({ url: route.request().url().replace('limit=1000', 'limit=4') }))
    await open(`/audit?event=${oldest.id}`)
    assert.match(await proofOn(page), /unbroken/)
    await page.keyboard.press('Escape')
    assert.equal(await page.locator('[role="row"][data-index]').count(), 4)
    const note = page.locator('p', { hasText: /^What was before .* has not come yet/ })
    await note.waitFor()
    for (let pages = 0; await note.count() > 0; pages++) {
      assert.ok(pages <= all.length / 20 + 2)
      const count = await page.locator('.w-list-count').innerText()
      await page.getByRole('button', { name: 'load older ones' }).click()
      await page.waitForFunction((before) => document.querySelector('.w-list-count')?.textContent !== before, count)
    }
    const { length } = await allEvents(writ)
    assert.match(await page.locator('.w-list-count').innerText(), new RegExp(`^${length} of ${length}$`))
    await open(`/audit?from=${oldest.at}&to=${new Date(Date.parse(oldest.at) + 1).toISOString()}`)
    assert.match(await page.locator('[role="row"][data-index="0"]').innerText(), new RegExp(oldest.type.replace('.', '\\.')))
  }))

  test('what a page asks while nobody touches it says so', () => at(people.viewer, async ({ page, open }) => {
    const asked = (unattended: string | undefined) => page.waitForRequest((request) => request.url().endsWith('/v1/identities') || /\/v1\/identities\?/.test(request.url()) ? request.headers()['writ-unattended'] === unattended : false)
    await page.clock.install()
    await Promise.all([asked(undefined), open('/identities')])
    await page.clock.fastForward(61_000)
    await Promise.all([asked('1'), writ.register('while-away')])
    await page.mouse.move(300, 300)
    await Promise.all([asked(undefined), writ.register('once-back')])
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
      await page.getByRole('button', { name: 'Ask', exact: true }).click()
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
