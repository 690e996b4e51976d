import type { Page } from 'playwright-core'
import type { AtBrowser } from './browser.ts'

/** What people do in the console, as they would: they press what can be seen, and read what is shown. */

/** Opens a one-time link, and is somebody with a passkey from then on. */
export async function comeByLink({ page, name }: AtBrowser, link: string): Promise<void> {
  await page.goto(link)
  await page.getByLabel('Your name').fill(name)
  await page.getByRole('button', { name: 'Make a passkey and sign in' }).click()
  await heading(page, 'Home')
}

export type Invitation = { readonly name: string; readonly email?: string; readonly roles: readonly string[]; readonly reason: string }

/** Answers the link that one more person comes by; it is shown this once. */
export async function invite({ page }: AtBrowser, origin: string, { name, email = '', roles, reason }: Invitation): Promise<string> {
  await page.goto(`${origin}/settings?section=people`)
  await page.getByRole('button', { name: 'Invite…' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Name').fill(name)
  await dialog.getByLabel('Address').fill(email)
  for (const role of ['viewer', ...roles]) await dialog.getByRole('checkbox', { name: role, exact: true }).setChecked(roles.includes(role))
  await dialog.getByLabel('Reason').fill(reason)
  await dialog.getByRole('button', { name: 'Invite', exact: true }).click()
  const link = await page.getByLabel(`The link for ${name}`, { exact: true }).and(page.locator('pre')).innerText()
  await page.getByRole('button', { name: 'I have it: forget it' }).click()
  return link.trim()
}

/** Compares the code that a terminal shows, and lets it in. */
export async function letIn({ page }: AtBrowser, origin: string, code: string): Promise<void> {
  await page.goto(`${origin}/device`)
  await page.getByLabel('As writ login shows it').fill(code)
  await page.getByRole('button', { name: 'Look at it' }).click()
  await page.getByText(code).waitFor()
  await page.getByRole('button', { name: 'It is me: let it in' }).click()
  await page.getByText('Done: your terminal goes on by itself.').waitFor()
}

export async function giveRole({ page, name }: AtBrowser, origin: string, { role, reason }: { readonly role: string; readonly reason: string }): Promise<void> {
  await page.goto(`${origin}/settings?section=people`)
  await page.getByRole('link', { name }).click()
  await page.getByRole('button', { name: 'Give a role…' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('combobox').selectOption(role)
  await dialog.getByLabel('Reason').fill(reason)
  await dialog.getByRole('button', { name: 'Give a role', exact: true }).click()
  await dialog.waitFor({ state: 'detached' })
}

export type Shown = { readonly id: string; readonly at: number }

/** Sits before the inbox; answers the request that comes up in it, and when it was there to be seen. */
export async function watchInbox({ page }: AtBrowser, origin: string): Promise<{ readonly shown: Promise<Shown> }> {
  await page.goto(`${origin}/approvals`)
  await page.getByText('Nothing waits for a person').waitFor()
  await page.getByText('● live').waitFor()
  const row = page.locator('[data-inbox]').first()
  const shown = row.waitFor().then(async () => {
    const at = performance.now()
    return { id: /apr_\w+/.exec(await row.getAttribute('href') ?? '')?.[0] ?? '', at }
  })
  // Whoever comes to wait for it hears of its failure; until then the story may have failed elsewhere.
  shown.catch(() => undefined)
  return { shown }
}

export type Refused = { readonly shown: string; readonly answer: { readonly status: number; readonly code: string } }

/** Opens the card of a request that is not hers to answer: why its buttons are off, and what the server answers to whoever goes past them. */
export async function tryToApprove({ page }: AtBrowser, origin: string, id: string): Promise<Refused> {
  await page.goto(`${origin}/approvals/${id}`)
  const shown = await page.locator('.w-answer-off').innerText()
  const answer = await page.evaluate(async (approval) => {
    const card = await (await fetch(`/v1/approvals/${approval}`)).json() as { readonly envelope_sha256: string }
    const body = JSON.stringify({ choice: { scope: 'once' }, envelope_sha256: card.envelope_sha256, reason: 'it is mine' })
    const response = await fetch(`/v1/approvals/${approval}/approve`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
    return { status: response.status, code: (await response.json() as { readonly code: string }).code }
  }, id)
  return { shown: oneLine(shown), answer }
}

export type Card = { readonly runs: string; readonly hash: string; readonly why: string }

export async function openCard({ page }: AtBrowser, id: string): Promise<Card> {
  await page.locator(`[data-inbox][href*="${id}"]`).click()
  await page.waitForURL(`**/approvals/${id}*`)
  await page.getByRole('button', { name: 'raw' }).click()
  return {
    runs: await page.getByLabel('The stored bytes').innerText(), hash: await page.locator('.w-approval-hash code').first().getAttribute('title') ?? '',
    why: oneLine(await page.locator('.w-explanation div', { hasText: 'nearest' }).first().innerText()),
  }
}

/** Types a reason and says yes with the passkey; answers when the yes left the browser. */
export async function approve({ page }: AtBrowser, reason: string): Promise<number> {
  await page.getByLabel('Reason').fill(reason)
  const sent = page.waitForRequest((request) => request.url().endsWith('/approve')).then(() => performance.now())
  await page.locator('button:not([aria-disabled])', { hasText: 'Approve once, signed' }).click()
  return sent
}

export type StopOrder = { readonly task: string; readonly reason: string }

/** By the stop menu of the page of a task: first what it would touch, then a reason, then it is stopped. */
export async function stopIdentity({ page }: AtBrowser, origin: string, { task, reason }: StopOrder): Promise<{ readonly touches: string; readonly at: number }> {
  await page.goto(`${origin}/tasks/${task}`)
  await page.getByRole('button', { name: 'Stop', exact: true }).click()
  await page.getByRole('menuitem', { name: 'Its identity…' }).click()
  const touches = oneLine(await page.locator('.w-facts div', { hasText: 'Will stop' }).locator('dd').innerText())
  await page.getByLabel('Reason').fill(reason)
  const isMeant = (body: string | null): boolean => body !== null && !body.includes('dry_run')
  const sent = page.waitForRequest((request) => request.url().endsWith('/v1/stops') && isMeant(request.postData())).then(() => Date.now())
  await page.locator('button:not([aria-disabled])', { hasText: 'Stop it' }).click()
  return { touches, at: await sent }
}

/** What the page of the stop says once nothing is awaited any more. */
export async function contained({ page }: AtBrowser): Promise<string> {
  const state = page.getByLabel('State', { exact: true })
  await state.getByText(/contained in|not proved/).waitFor()
  return oneLine(await state.innerText())
}

/** Opens the newest event of a type: what the browser found out about it by itself, and of which leaf. */
export async function proofOf({ page }: AtBrowser, origin: string, { type, task }: { readonly type: string; readonly task: string }): Promise<string> {
  await page.goto(`${origin}/audit?task=${task}&type=${type}`)
  await page.getByRole('row', { name: type }).first().click()
  const proof = page.locator('.w-proof[data-kind]')
  await proof.waitFor()
  const [found = '', leaf = ''] = await proof.locator('p').allInnerTexts()
  if (await proof.getAttribute('data-kind') !== 'verified') throw new Error(`\`${type}\` was to be proved in the browser: ${oneLine(found)} ${oneLine(leaf)}`)
  return `${oneLine(found)}: ${oneLine(leaf).split('. ')[0]!}`
}

const heading = (page: Page, name: string): Promise<void> => page.getByRole('heading', { name, exact: true, level: 1 }).waitFor()

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').trim()
