import { mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { signInAs } from '../../server/test/people.ts'
import { startWrit } from '../../server/test/running-writ.ts'
import { openBrowser, openPage, seriousFaults, type Scheme } from './browser.ts'
import { askAndStop, fillEstate, fillSettings } from './estate.ts'

/** Photographs pages of the console on an estate of its own: `node packages/console/test/look.ts [--dark] [/path ...]`; `TASK`, `HOSTILE`, `AGENT`, `APPROVAL` and `STOP` stand for ids. */
const words = process.argv.slice(2)
const schemes: readonly Scheme[] = words.includes('--dark') ? ['dark'] : words.includes('--both') ? ['light', 'dark'] : ['light']
const folder = process.env['LOOK'] ?? mkdtempSync(join(tmpdir(), 'writ-look-'))
mkdirSync(folder, { recursive: true })
const writ = await startWrit()
const browser = await openBrowser()
try {
  const estate = await fillEstate(writ)
  const deeds = await askAndStop(writ, estate)
  await fillSettings(writ)
  const admin = await signInAs(writ, { roles: ['admin'], name: 'Maya Okafor', email: 'maya@acme.example' })
  const asked = words.filter((word) => word.startsWith('/'))
  const paths = asked.length > 0 ? asked : ['/', '/identities', '/identities/AGENT', '/tasks', '/tasks/TASK', '/tasks/HOSTILE', '/tools', '/tools/files', '/tools/files?tool=read_text_file', '/sign-in']
  for (const scheme of schemes) {
    const at = await openPage(browser, writ, { scheme, as: admin })
    for (const path of paths) {
      const target = path.replace('TASK', estate.worked).replace('HOSTILE', estate.hostile).replace('AGENT', estate.agent.id).replace('APPROVAL', deeds.approval).replace('STOP', deeds.stopped)
      await at.open(target)
      await at.page.waitForTimeout(700)
      const file = join(folder, `${path.replaceAll(/\W+/g, '-').replace(/^-/, '') || 'home'}-${scheme}.png`)
      await at.page.screenshot({ path: file })
      process.stdout.write(`${file}\n${(await seriousFaults(at.page)).map((fault) => `   axe ${fault}\n`).join('')}`)
    }
    process.stdout.write(at.faults().map((fault) => `   fault ${fault}\n`).join(''))
    await at.close()
  }
} finally {
  await browser.close()
  await writ.stop()
}
