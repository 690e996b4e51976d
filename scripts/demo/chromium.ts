import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'Google Chrome']
const FOLDERS = ['/usr/bin', '/usr/local/bin', '/snap/bin', '/Applications/Google Chrome.app/Contents/MacOS']

/** Where this host has a browser: what `WRIT_CHROMIUM` names, else the first that is found; `none` is none. */
export function findChromium({ WRIT_CHROMIUM: named, PATH = '' }: NodeJS.ProcessEnv = process.env): string | undefined {
  const folders = [...PATH.split(delimiter).filter((folder) => folder !== ''), ...FOLDERS]
  if (!named) return folders.flatMap((folder) => NAMES.map((name) => join(folder, name))).find((path) => existsSync(path))
  if (named === 'none') return undefined
  if (!existsSync(named)) throw new Error(`WRIT_CHROMIUM names no file: \`${named}\``)
  return named
}

export const HOW_TO_GET_CHROMIUM = '`apt-get install chromium`, or WRIT_CHROMIUM=/path/to/chromium'
