import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { showApprovalRoutes } from '@writ/contract/approvals'
import { listNoticeTargets } from '@writ/contract/notices'
import { listPasskeys, listRoleRules, listSignIns, removeRoleRule, showPerson } from '@writ/contract/people'
import { comeByLink, signInAs, type SignedInPerson } from '../../server/test/people.ts'
import { startWrit, type RunningWrit } from '../../server/test/running-writ.ts'
import { addAuthenticator, NEEDS_BROWSER, openBrowser, openPage, seriousFaults, type ConsolePage } from './browser.ts'

describe('the settings, in a browser', NEEDS_BROWSER, () => {
  let writ: RunningWrit
  let browser: Browser
  let admin: SignedInPerson
  let vera: SignedInPerson
  /** One for all that an administrator does. */
  let ofAdmin: ConsolePage
  before(async () => {
    writ = await startWrit()
    browser = await openBrowser()
    admin = await signInAs(writ, { roles: ['admin', 'viewer'], name: 'Maya', email: 'maya@acme.example', passkey: false })
    vera = await signInAs(writ, { roles: ['viewer'], groups: ['finance'], name: 'Vera', email: 'vera@acme.example', passkey: false })
    ofAdmin = await openPage(browser, writ, { as: admin })
  })
  after(async () => {
    await browser?.close()
    await writ?.stop()
  })
  const at = async (as: SignedInPerson, use: (page: ConsolePage) => Promise<void>): Promise<void> => {
    const opened = as === admin ? ofAdmin : await openPage(browser, writ, { as })
    try {
      await use(opened)
      assert.deepEqual(opened.faults(), [])
    } finally {
      if (opened !== ofAdmin) await opened.close()
    }
  }
  const dialog = (page: Page) => page.getByRole('dialog')
  const done = async (page: Page, label: string): Promise<void> => {
    await dialog(page).getByLabel(/Reason/).fill('asked for in the stand-up')
    await dialog(page).getByRole('button', { name: label, exact: true }).click()
    await dialog(page).waitFor({ state: 'detached' })
  }

  test('an administrator makes a first passkey, and with it invites somebody by a link that is shown once', () => at(admin, async (opened) => {
    const { page, open } = opened
    await addAuthenticator(opened)
    await open('/settings?section=people')
    assert.match(await page.getByRole('button', { name: 'Invite…' }).getAttribute('title') ?? '', /make one under “You” first/)
    await open('/settings')
    await page.getByLabel('Name of the new passkey').fill('laptop')
    await page.getByRole('button', { name: 'Make a passkey' }).click()
    await page.getByText('“laptop” is enrolled').waitFor()
    assert.deepEqual((await admin.api(listPasskeys)).reply.passkeys.map(({ name }) => name), ['laptop'])
    await page.getByRole('link', { name: 'People and roles' }).click()
    await page.getByRole('button', { name: 'Invite…' }).click()
    await dialog(page).getByLabel('Name', { exact: true }).fill('Rosa')
    await dialog(page).getByRole('button', { name: 'Confirm with your passkey' }).click()
    await dialog(page).getByText('Your passkey has confirmed').waitFor()
    assert.deepEqual(await seriousFaults(page), [])
    await dialog(page).getByLabel(/Reason/).fill('on call')
    await dialog(page).getByRole('button', { name: 'Invite', exact: true }).click()
    const link = await dialog(page).locator('pre').innerText()
    await page.getByRole('button', { name: 'I have it' }).click()
    assert.ok(!(await page.content()).includes(link.split('#')[1]!))
    const rosa = await comeByLink(writ, link, 'Rosa')
    assert.deepEqual((await admin.api(showPerson, { parameters: { id: rosa.id } })).reply.roles, ['viewer'])
  }))

  test('an administrator gives a role to one person and to a group, and takes one back', () => at(admin, async ({ page, open }) => {
    await open('/settings?section=people')
    await page.getByRole('link', { name: 'Vera' }).click()
    await page.getByRole('button', { name: 'Give a role…' }).click()
    await dialog(page).getByLabel('Role').selectOption('responder')
    await dialog(page).getByRole('button', { name: 'Copy as' }).click()
    await page.getByRole('menuitem', { name: 'CLI' }).click()
    assert.match(await page.evaluate(() => navigator.clipboard.readText()), new RegExp(`^writ people give ${vera.id} responder --reason REASON$`))
    await done(page, 'Give a role')
    await page.getByRole('rowheader', { name: 'responder' }).waitFor()
    assert.deepEqual((await admin.api(showPerson, { parameters: { id: vera.id } })).reply.given_roles.toSorted(), ['responder', 'viewer'])
    await page.getByRole('row', { name: /responder/ }).getByRole('button', { name: 'Take back…' }).click()
    await done(page, 'Take back')
    await page.getByRole('rowheader', { name: 'responder' }).waitFor({ state: 'detached' })
    await open('/settings?section=people')
    await page.getByRole('button', { name: 'Add a rule…' }).click()
    await dialog(page).getByLabel('Group').fill('finance')
    await dialog(page).getByLabel('reviewer').check()
    await done(page, 'Add a rule')
    await page.getByRole('rowheader', { name: 'finance' }).waitFor()
    assert.deepEqual((await admin.api(listRoleRules)).reply.rules.map(({ group, roles }) => [group, roles]), [['finance', ['reviewer']]])
    await page.getByText('● live').waitFor()
    await writ.operator(removeRoleRule, { body: { group: 'finance', reason: 'somebody else says so' } })
    await page.getByRole('rowheader', { name: 'finance' }).waitFor({ state: 'detached' })
  }))

  test('who is asked about what is changed as a whole, with a reason', () => at(admin, async ({ page, open }) => {
    await open('/settings?section=routes')
    await page.getByRole('button', { name: '+ add a route' }).click()
    assert.match(await page.getByRole('button', { name: 'Save…' }).getAttribute('title') ?? '', /needs a name/)
    await page.getByLabel('Name of route 1').fill('refunds')
    await page.getByLabel('Argument of route 1').fill('amount')
    await page.getByLabel('From of route 1').fill('100')
    await page.getByLabel('Group of route 1').fill('finance')
    await page.getByLabel('Minutes of route 1').fill('5')
    await page.getByRole('button', { name: 'Save…' }).click()
    await dialog(page).getByText('refunds: amount from 100 → 1 of finance, within 5 min').waitFor()
    await done(page, 'Save')
    await page.getByText(/^Version 1, set/).waitFor()
    assert.deepEqual((await admin.api(showApprovalRoutes)).reply.routes, [{ name: 'refunds', when: { amount: { argument: 'amount', from: 100 } }, group: 'finance', quorum: 1, seconds: 300, signed: false }])
  }))

  test('a channel is added, its address kept from sight, and removed', () => at(admin, async ({ page, open }) => {
    await open('/settings?section=notices')
    await page.getByRole('button', { name: 'Add…' }).click()
    await dialog(page).getByRole('button', { name: 'Slack or alike' }).click()
    await dialog(page).getByLabel('Name').fill('ops')
    assert.deepEqual(await seriousFaults(page), [])
    await dialog(page).getByLabel(/incoming webhook/).fill('https://hooks.acme.example/services/canary')
    await dialog(page).getByRole('button', { name: 'Copy as' }).click()
    await page.getByRole('menuitem', { name: 'curl' }).click()
    assert.doesNotMatch(await page.evaluate(() => navigator.clipboard.readText()), /canary/)
    await dialog(page).getByRole('button', { name: 'Add', exact: true }).click()
    await page.getByRole('rowheader', { name: 'ops' }).waitFor()
    assert.doesNotMatch(await page.content(), /canary/)
    await page.getByRole('button', { name: 'Remove…' }).click()
    await done(page, 'Remove')
    await page.getByText('removed').waitFor()
    assert.deepEqual((await admin.api(listNoticeTargets)).reply.targets.map(({ name, state }) => [name, state]), [['ops', 'removed']])
  }))

  test('a sign-in elsewhere is revoked, and the own one is not', async () => {
    const other = await signInAs(writ, { as: admin.id, passkey: false, kind: 'cli' })
    await at(admin, async ({ page, open }) => {
      await open('/settings')
      assert.match(await page.getByRole('row', { name: /this one/ }).getByRole('button').getAttribute('title') ?? '', /sign out in the menu/)
      await page.getByRole('row', { name: /command line/ }).getByRole('button', { name: 'Revoke…' }).click()
      await done(page, 'Revoke')
      await page.getByRole('row', { name: /command line.*revoked/ }).waitFor()
    })
    assert.equal((await admin.api(listSignIns)).reply.sign_ins.find(({ id }) => id === other.signIn)!.state, 'revoked')
  })

  test('an administrator blocks somebody, and lets them in again', async () => {
    const leo = await signInAs(writ, { roles: ['viewer'], name: 'Leo', passkey: false })
    const blockedAt = async (): Promise<string | null> => (await admin.api(showPerson, { parameters: { id: leo.id } })).reply.blocked_at
    await at(admin, async ({ page, open }) => {
      await open(`/settings?person=${leo.id}`)
      await page.getByRole('button', { name: 'Block…' }).click()
      await done(page, 'Block')
      await page.getByText('nobody signs in as them').waitFor()
      assert.equal((await leo.api(listSignIns)).status, 401)
      assert.notEqual(await blockedAt(), null)
      await page.getByRole('button', { name: 'Unblock…' }).click()
      await done(page, 'Unblock')
      await page.getByRole('button', { name: 'Block…' }).waitFor()
    })
    assert.equal(await blockedAt(), null)
  })

  test('a viewer sees what is theirs, and can give nobody a role', () => at(vera, async ({ page, open }) => {
    const before = (await admin.api(showPerson, { parameters: { id: vera.id } })).text
    await open('/settings')
    assert.equal(await page.getByRole('link', { name: 'People and roles' }).count(), 0)
    await open(`/settings?person=${vera.id}`)
    await page.getByText('only auditor or admin may do this').waitFor()
    assert.equal(await page.getByRole('button', { name: /Give a role/ }).count(), 0)
    await open('/settings?section=routes')
    assert.match(await page.getByRole('button', { name: 'Save…' }).getAttribute('title') ?? '', /only policy author or admin/)
    assert.ok(await page.getByLabel('Name of route 1').isDisabled())
    assert.equal((await admin.api(showPerson, { parameters: { id: vera.id } })).text, before)
  }))

  test('an auditor sees everybody, and hears who gives roles', async () => {
    const auditor = await signInAs(writ, { roles: ['auditor'], name: 'Ann', passkey: false })
    await at(auditor, async ({ page, open }) => {
      await open(`/settings?person=${vera.id}`)
      assert.equal(await page.getByRole('button', { name: 'Give a role…' }).getAttribute('title'), 'only admin may do this')
    })
  })
})
