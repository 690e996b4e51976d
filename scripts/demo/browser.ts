import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import type { Stage } from './stage.ts'

/** Somebody at a browser of their own, with an authenticator that confirms as their finger would. */
export type AtBrowser = {
  readonly name: string
  readonly page: Page
  /** What the page's policy has refused, and what it has thrown. */
  readonly faults: string[]
}

/** A busy machine takes its time; whoever looks at the story would have given up long before. */
const PATIENCE_MS = 60_000

/** Everything that it writes lies in the folder of the story, so that it goes with it. */
export async function openBrowser({ folder, environment }: Stage, executablePath: string): Promise<Browser> {
  process.env['TMPDIR'] = folder
  return chromium.launch({
    executablePath, env: { ...environment, HOME: folder, TMPDIR: folder }, timeout: PATIENCE_MS,
    handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false,
    args: ['--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'],
  })
}

/** What the page's Content-Security-Policy refuses, told as an error of the page. */
const TELL_OF_BREACHES = `document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
  throw new Error('blocked: ' + violatedDirective + ' ' + blockedURI)
})`

export async function sitDown(browser: Browser, name: string): Promise<AtBrowser> {
  const context = await browser.newContext({ viewport: { width: 1360, height: 820 }, reducedMotion: 'reduce' })
  context.setDefaultTimeout(PATIENCE_MS)
  const page = await context.newPage()
  const faults: string[] = []
  page.on('pageerror', (error) => faults.push(String(error)))
  await page.addInitScript({ content: TELL_OF_BREACHES })
  await addAuthenticator(context, page)
  return { name, page, faults }
}

/** CDP's virtual authenticator: real keys, real signatures, and nobody has to press anything. */
async function addAuthenticator(context: BrowserContext, page: Page): Promise<void> {
  const session = await context.newCDPSession(page)
  await session.send('WebAuthn.enable')
  await session.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  })
}
