import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { chromium, type Browser, type BrowserContext, type CDPSession, type Page } from 'playwright-core'
import { buildConsole } from '../../../scripts/build-console.ts'
import { findChromium, HOW_TO_GET_CHROMIUM } from '../../../scripts/demo/chromium.ts'
import { originOf, type SignedInPerson } from '../../server/test/people.ts'
import type { RunningWrit } from '../../server/test/running-writ.ts'

/** Where this host has a browser. */
export const CHROMIUM = findChromium()

/** For `describe` and `test`: without a browser they say what they left out, and how to get one. */
export const NEEDS_BROWSER: { readonly skip: string | false } = { skip: CHROMIUM === undefined ? `there is no Chromium on this host: ${HOW_TO_GET_CHROMIUM}` : false }

const ARGUMENTS = ['--no-sandbox', '--headless', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

/** A browser, for all tests of a file, on the console as it is now. */
export async function openBrowser(): Promise<Browser> {
  await buildConsole()
  return chromium.launch({ executablePath: CHROMIUM!, args: ARGUMENTS })
}

export type Scheme = 'light' | 'dark'

export type PageOrder = {
  readonly scheme?: Scheme
  /** Signed in as this person; as nobody unless said. */
  readonly as?: Pick<SignedInPerson, 'secret'>
  readonly size?: { readonly width: number; readonly height: number }
}

/** A page of the console in a profile of its own, and all that went wrong on it. */
export type ConsolePage = {
  readonly page: Page
  readonly context: BrowserContext
  readonly origin: string
  /** What the page's policy has refused, and what it has thrown. */
  readonly faults: () => readonly string[]
  /** Goes there, and waits until it shows what it has to show. */
  readonly open: (path: string) => Promise<void>
  readonly close: () => Promise<void>
}

export async function openPage(browser: Browser, writ: Pick<RunningWrit, 'url' | 'issuer'>, { scheme = 'light', as, size = { width: 1360, height: 820 } }: PageOrder = {}): Promise<ConsolePage> {
  const origin = originOf(writ)
  const context = await browser.newContext({ viewport: size, colorScheme: scheme, reducedMotion: 'reduce', acceptDownloads: true, permissions: ['clipboard-read', 'clipboard-write'] })
  const page = await context.newPage()
  const thrown: string[] = []
  page.on('pageerror', (error) => thrown.push(String(error)))
  page.on('console', (message) => { if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) thrown.push(message.text()) })
  page.on('dialog', (dialog) => { thrown.push(`a dialog: ${dialog.message()}`) })
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI, sourceFile }) => { console.error(`blocked: ${violatedDirective} ${blockedURI} ${sourceFile}`) })
  })
  if (as !== undefined) await signInWith(context, page, origin, as.secret)
  return {
    page, context, origin,
    faults: () => [...thrown],
    open: async (path) => {
      await page.goto(`${origin}${path}`)
      await shown(page)
    },
    close: () => context.close(),
  }
}

/** Past the sign-in: the cookie as the server would have set it. */
async function signInWith(context: BrowserContext, page: Page, origin: string, secret: string): Promise<void> {
  const session = await context.newCDPSession(page)
  const { success } = await session.send('Network.setCookie', { name: '__Host-writ', value: secret, url: origin, path: '/', secure: true, httpOnly: true, sameSite: 'Lax' })
  assert.ok(success, 'the cookie was not taken')
  await session.detach()
}

/** Nothing says any more that it is loading. */
export async function shown(page: Page): Promise<void> {
  await page.locator('main').first().waitFor()
  await page.waitForFunction(() => document.querySelector('main') !== null && document.querySelector('.w-loading, [aria-busy="true"]') === null && document.querySelector('h1, .w-problem, .w-empty') !== null)
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** Another scheme changes colours and nothing else. */
const OF_COLOUR = ['color-contrast', 'link-in-text-block']

/** WCAG 2.2 as axe sees it: what is serious or critical on the page as it stands, in its scheme and then in the colours of the other. */
export async function seriousFaults(page: Page): Promise<readonly string[]> {
  await page.evaluate(AXE)
  const first = await schemeOf(page)
  const found = await axeFaults(page, null)
  const other = first === 'light' ? 'dark' : 'light'
  await setScheme(page, other)
  const inOther = await axeFaults(page, OF_COLOUR)
  await setScheme(page, first)
  return [...found.map((fault) => `${first}: ${fault}`), ...inOther.map((fault) => `${other}: ${fault}`)]
}

const schemeOf = (page: Page): Promise<Scheme> => page.evaluate(() => (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'))

async function setScheme(page: Page, scheme: Scheme): Promise<void> {
  await page.emulateMedia({ colorScheme: scheme })
  await page.waitForFunction((wanted) => document.documentElement.dataset['mantineColorScheme'] === wanted, scheme)
}

const axeFaults = (page: Page, rules: readonly string[] | null): Promise<readonly string[]> => page.evaluate(async (only) => {
  type Found = { readonly violations: readonly { readonly id: string; readonly impact: string | null; readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[] }[] }
  const { axe } = window as unknown as { readonly axe: { run(where: Document, options: object): Promise<Found> } }
  const { violations } = await axe.run(document, { resultTypes: ['violations'], ...(only === null ? {} : { runOnly: only }) })
  return violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 160)} ${node.failureSummary?.split('\n')[1] ?? ''}`))
}, rules)

export type VirtualAuthenticator = { readonly session: CDPSession; readonly id: string }

/** An authenticator in the browser that confirms whatever it is asked, as its owner's finger would. */
export async function addAuthenticator({ context, page }: Pick<ConsolePage, 'context' | 'page'>): Promise<VirtualAuthenticator> {
  const session = await context.newCDPSession(page)
  await session.send('WebAuthn.enable')
  const { authenticatorId: id } = await session.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  })
  return { session, id }
}
