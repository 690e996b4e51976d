import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Browser } from 'playwright-core'
import { eventually } from '../../server/test/eventually.ts'
import { rawRequest } from '../../server/test/raw-request.ts'
import { signInAs, type SignedInPerson } from '../../server/test/people.ts'
import { startWrit, type RunningWrit } from '../../server/test/running-writ.ts'
import { addAuthenticator, NEEDS_BROWSER, openBrowser, openPage, seriousFaults, shown, type ConsolePage } from './browser.ts'
import { askAndStop, BACKEND, fillEstate, fillSettings, HOSTILE, type Deeds, type Estate } from './estate.ts'

describe('the console, in a browser', NEEDS_BROWSER, () => {
  let writ: RunningWrit
  let browser: Browser
  let estate: Estate
  let deeds: Deeds
  let admin: SignedInPerson
  before(async () => {
    // One after the other: what has started is there to be stopped when the next one does not.
    writ = await startWrit()
    browser = await openBrowser()
    admin = await signInAs(writ, { roles: ['admin'], name: 'Maya', email: 'maya@acme.example' })
  })
  after(async () => {
    await browser?.close()
    await writ?.stop()
  })
  const SECTIONS = ['people', 'routes', 'notices', 'backends', 'issuers', 'operators'].map((section) => `/settings?section=${section}`)
  /** Whatever there is or is not. */
  const ALWAYS = ['/', '/identities', '/tasks', '/tools', '/approvals', '/audit', ...SECTIONS, '/stops', '/stops/new', '/stops/stp_nothing', '/device', '/go/nothing', '/settings/nothing', '/sign-in']
  /** With something on it. */
  const pages = (): readonly string[] => [
    '/', '/identities', `/identities/${estate.agent.id}`, `/identities/${estate.agent.id}?tab=tasks`, `/identities/${estate.agent.id}?tab=decisions`, `/identities/${estate.agent.id}?tab=evidence`,
    '/tasks', '/tasks?state=closed&q=refund&sort=-opened', `/tasks/${estate.worked}`, `/tasks/${estate.hostile}`, '/tools', '/tools/files', '/tools/files?tool=write_file',
    '/approvals', `/approvals/${deeds.approval}`, `/decisions/${deeds.decision}`, '/audit?lane=human&chart=table', '/audit?q=outcome:denied', '/policies?file=permits.cedar',
    '/settings', ...SECTIONS, `/settings?person=${admin.id}`, '/stops', `/stops/${deeds.stopped}`, '/stops/new', `/stops/new?of=${estate.worked}&scope=identity`,
  ]
  const at = async (order: Parameters<typeof openPage>[2], use: (page: ConsolePage) => Promise<void>): Promise<void> => {
    const opened = await openPage(browser, writ, order)
    try {
      await use(opened)
      assert.deepEqual(opened.faults(), [])
    } finally {
      await opened.close()
    }
  }

  test('with nothing in it every page teaches, and has no serious fault, light or dark', () => at({ as: admin }, async ({ page, open }) => {
    for (const path of ALWAYS) {
      await open(path)
      assert.deepEqual(await seriousFaults(page), [], path)
      if (['/identities', '/tasks', '/tools', '/approvals', '/stops'].includes(path)) assert.match(await page.locator('.w-empty pre').first().innerText(), /^writ /)
    }
  }))

  test('somebody who has not signed in comes to the sign-in, and from there to where they wanted to be', () => at({}, async ({ page, open }) => {
    await open('/tasks?state=open')
    const { pathname, searchParams } = new URL(page.url())
    assert.deepEqual([pathname, searchParams.get('to')], ['/sign-in', '/tasks?state=open'])
    await page.getByRole('button', { name: 'With a passkey' }).waitFor()
  }))

  describe('with an estate in it', NEEDS_BROWSER, () => {
    before(async () => {
      estate = await fillEstate(writ)
      deeds = await askAndStop(writ, estate)
      await fillSettings(writ)
    })

    test('every page that there is has its place among those that are looked at', () => {
      const routes = [...readFileSync(new URL('../src/router.tsx', import.meta.url), 'utf8').matchAll(/path: '([^']+)'/g)].map(([, path]) => path!)
      const seen = [...ALWAYS, ...pages(), '/first'].map((path) => path.replace(/[?#].*/, ''))
      assert.ok(routes.length > 15, 'the routes are read')
      for (const route of routes) assert.ok(seen.some((path) => new RegExp(`^${route.replaceAll(/\$\w+/g, '[^/]+')}$`).test(path)), route)
    })

    test('no page has a serious fault, light or dark, none breaks its own policy, and to load its address again gives the same page', () => at({ as: admin }, async ({ page, open }) => {
      const read = async (): Promise<string> => (await page.locator('main').innerText()).replaceAll(/\b(?:\d+ (?:ms|s|min|h|d)\b ?)+|\d\d?:\d\d(?::\d\d)?/g, '#')
      await page.route('**/v1/backends', (route) => route.fulfill({ json: { backends: [BACKEND] } }))
      for (const path of pages()) {
        await open(path)
        assert.deepEqual(await seriousFaults(page), [], path)
        const first = await read()
        await page.reload()
        await shown(page)
        await eventually(`${path} shows the same`, async () => (await read()) === first).catch(async () => assert.equal(await read(), first, path))
        assert.equal(page.url().replace(/^[^/]+\/\/[^/]+/, ''), path)
      }
    }))

    test('what an agent says is text and nothing else, marked as its words, and whole for whoever asks', () => at({ as: admin }, async ({ page, open }) => {
      await open(`/tasks/${estate.hostile}`)
      const words = page.locator('.w-agent-words').first()
      assert.match(await words.innerText(), /not verified/)
      await words.getByRole('button').click()
      assert.deepEqual(await words.locator('blockquote *').evaluateAll((all) => [...new Set(all.map((one) => one.tagName))]), ['BDI', 'SPAN'])
      const said = await words.locator('blockquote').evaluate((quote) => quote.textContent)
      for (const piece of ['<script>alert(2)</script>', '[approve](javascript:alert(3))', 'U+202E', 'U+200B', 'U+E0041', '↵ ×200', 'раyраl']) assert.ok(said.includes(piece), piece)
      assert.doesNotMatch(said, /[\p{Cc}\p{Cf}]/u)
      const box = await page.getByRole('button', { name: 'Stop…' }).boundingBox()
      assert.ok(box !== null && box.y > 0 && box.y < 820, 'the button is still in sight')
      await open('/tasks')
      assert.ok((await page.locator('[role="grid"]').innerText()).includes(HOSTILE.slice(0, 30)))
    }))

    test('keys lead everywhere: pages, the list, a row, the search', () => at({ as: admin }, async ({ page, open }) => {
      await open('/')
      await page.keyboard.press('g')
      await page.keyboard.press('t')
      await page.waitForURL('**/tasks')
      await page.locator('[role="row"][data-index="0"]').waitFor()
      await page.keyboard.press('/')
      await page.keyboard.type('purpose:552')
      await page.waitForFunction(() => document.querySelectorAll('[role="row"][data-index]').length === 1)
      assert.equal(new URL(page.url()).searchParams.get('q'), 'purpose:552')
      await page.locator('[data-filter]').blur()
      await page.keyboard.press('j')
      await page.keyboard.press('Enter')
      await page.waitForURL(`**/tasks/${estate.ended}`)
      await page.keyboard.press('Control+k')
      await page.getByRole('textbox', { name: 'Search or run' }).fill(estate.agent.id)
      await page.getByText(`Open ${estate.agent.id}`).click()
      await page.waitForURL(`**/identities/${estate.agent.id}`)
      for (const [id, path] of [[estate.worked, '/tasks/'], [deeds.stopped, '/stops/']] as const) {
        await open(`/go/${id}`)
        assert.equal(new URL(page.url()).pathname, path + id)
      }
    }))

    test('a list is exported as it is filtered, with nothing in it that acts', () => at({ as: admin }, async ({ page, open }) => {
      await open('/tasks?q=evil')
      await page.getByRole('button', { name: 'Export' }).click()
      const [csv] = await Promise.all([page.waitForEvent('download'), page.getByRole('menuitem', { name: 'CSV' }).click()])
      const text = readFileSync(await csv.path(), 'utf8')
      assert.equal(text.trimEnd().split('\r\n').length, 2)
      assert.match(text, /\\u\{202e\}/)
      assert.doesNotMatch(text, /\u202e|\n[=+@-]/)
    }))
  })

  test('fifty thousand rows are sorted and filtered at once, and few of them are drawn', (t) => at({ as: admin }, async ({ page, open }) => {
    const rows = Array.from({ length: 50_000 }, (_, i) => manyIdentities(i))
    await page.route('**/v1/identities?*', (route) => route.fulfill({ json: { identities: rows, next: null } }))
    await open('/identities')
    await page.getByText('50,000 of 50,000').waitFor()
    assert.ok(await page.locator('[role="row"]').count() <= 60)
    const measured = await page.evaluate(async () => {
      const frame = (): Promise<unknown> => new Promise((resolve) => { requestAnimationFrame(() => setTimeout(resolve)) })
      const timed = async (act: () => void, isDone: () => boolean): Promise<number> => {
        const from = performance.now()
        act()
        while (!isDone() && performance.now() - from < 10_000) await frame()
        return performance.now() - from
      }
      const top = (): string => document.querySelector('[data-index="0"] [role="gridcell"]')?.textContent ?? ''
      const before = top()
      const sort = await timed(() => { document.querySelector<HTMLElement>('[role="columnheader"] button')!.click() }, () => top() !== before)
      const input = document.querySelector<HTMLInputElement>('[data-filter]')!
      const filter = await timed(() => {
        Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')!.set!.call(input, 'kind:agent -owner:"team:3"')
        input.dispatchEvent(new InputEvent('input', { bubbles: true }))
      }, () => !document.querySelector('.w-list-count')!.textContent.startsWith('50,000'))
      return { sort, filter, drawn: document.querySelectorAll('[role="row"]').length }
    })
    t.diagnostic(`sorted in ${Math.round(measured.sort)} ms, filtered in ${Math.round(measured.filter)} ms, ${measured.drawn} rows drawn`)
    // What is promised is 300 and 400 ms on a machine that does nothing else.
    assert.ok(measured.sort < 2000 && measured.filter < 2000 && measured.drawn <= 60, JSON.stringify(measured))
  }))

  test('the shell is at most 200 kB, compressed', () => at({ as: admin }, async ({ page, open, context }) => {
    const session = await context.newCDPSession(page)
    await session.send('Network.enable')
    let bytes = 0
    session.on('Network.loadingFinished', ({ encodedDataLength }) => { bytes += encodedDataLength })
    await open('/go/nothing')
    assert.ok(bytes > 50_000 && bytes <= 200_000, `${bytes} bytes`)
  }))
})

const manyIdentities = (i: number): object => ({
  id: `nhi_${String(i).padStart(26, '0')}`, spiffe_id: `spiffe://acme.example/agent-${(i * 7919 + 4321) % 50_000}`, kind: i % 3 === 0 ? 'pipeline' : 'agent', class: 'script', purpose: 'tidies', owners: { technical: `team:${i % 40}`, business: 'person:maya@acme.example' },
  system_scope: ['shop'], environment: 'test', authority: [], tasks_per_hour: 1, ends_at: '2099-12-31T00:00:00Z', trigger: { kind: 'unused', days: 30 }, state: 'active', state_reason: 'registered', registered_at: '2026-01-01T00:00:00Z', last_used_at: null, credentials: [], bindings: [],
})

describe('the first person, in a browser', NEEDS_BROWSER, () => {
  test('opens the link, makes a passkey, signs out and comes back with it', async () => {
    const writ = await startWrit({ signsIn: false })
    const browser = await openBrowser()
    try {
      const at = await openPage(browser, writ)
      await addAuthenticator(at)
      const link = new URL(readFileSync(join(writ.folder, 'data', 'bootstrap'), 'utf8').trim())
      await at.open(`/first${link.hash}`)
      assert.deepEqual(await seriousFaults(at.page), [])
      assert.equal(new URL(at.page.url()).hash, '', 'the code is out of the address')
      await at.page.getByLabel('Your name').fill('Maya Okafor')
      await at.page.getByRole('button', { name: 'Make a passkey' }).click()
      await at.page.getByRole('heading', { name: 'Home' }).waitFor()
      await at.page.getByText('Three steps to the first task').waitFor()
      await at.page.getByRole('button', { name: 'Maya Okafor' }).click()
      await at.page.getByText('admin').waitFor()
      await at.page.getByRole('menuitem', { name: 'Sign out' }).click()
      await at.page.getByRole('button', { name: 'With a passkey' }).click()
      await at.page.getByRole('heading', { name: 'Home' }).waitFor()
      assert.deepEqual(at.faults(), [])
    } finally {
      await browser.close()
      await writ.stop()
    }
  })
})

describe('what serves the console', () => {
  let writ: RunningWrit
  before(async () => { writ = await startWrit() })
  after(() => writ.stop())

  test('a page has a policy with a nonce of its own, and nothing may frame it', async () => {
    const [one, other] = [await rawRequest(writ.url, { path: '/tasks/x' }), await rawRequest(writ.url, { path: '/' })]
    const nonces = [one, other].map((got) => /script-src 'self' 'nonce-([\w-]{22})' 'wasm-unsafe-eval'; style-src 'self' 'nonce-\1'/.exec(got.header('content-security-policy') ?? '')?.[1])
    assert.ok(nonces[0] !== undefined && nonces[1] !== undefined && nonces[0] !== nonces[1])
    assert.doesNotMatch(one.header('content-security-policy')!, /unsafe-inline|'unsafe-eval'|https?:/)
    assert.deepEqual(['referrer-policy', 'cross-origin-opener-policy', 'cross-origin-resource-policy', 'cache-control'].map((name) => one.header(name)), ['no-referrer', 'same-origin', 'same-origin', 'no-store'])
  })

  test('no address of the API is ever answered by a page', async () => {
    for (const path of ['/v1/nothing', '/access/v1/nothing', '/oauth/nothing', '/.well-known/nothing', '/mcp', '/nothing', '/assets/../index.html', '/assets/%2e%2e%2findex.html', '/assets/nothing.js', '/assets/.built-from']) {
      const got = await rawRequest(writ.url, { path })
      assert.deepEqual([got.status, got.type], [404, 'application/problem+json; charset=utf-8'], path)
    }
  })
})
