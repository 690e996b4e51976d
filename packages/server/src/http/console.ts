import type { FastifyInstance, FastifyReply } from 'fastify'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Entropy } from '../platform/entropy.ts'

/** Where `npm run build:console` leaves it. */
export const CONSOLE_DIRECTORY = fileURLToPath(new URL('../../../console/dist/', import.meta.url))

/** What the console shows a page for; whatever is below one of them, too. Nothing else is ever answered by it. */
export const CONSOLE_PAGES = [
  'sign-in', 'device', 'go', 'approvals', 'identities', 'tasks', 'tools', 'policies', 'audit', 'decisions', 'findings', 'incidents', 'people', 'settings', 'stops',
] as const

/** In the page of the build: a nonce comes in its place. */
const NONCE_PLACE = '__WRIT_NONCE__'
const NONCE_BYTES = 16

export type ConsoleNeeds = {
  readonly directory: string
  readonly entropy: Entropy
}

/** A page, its media type and all that keeps it from being more than one. */
export type ConsolePage = { readonly raw: string; readonly type: string; readonly headers: Readonly<Record<string, string>> }

export type Console = {
  /** The one page there is, for any of its addresses; where nothing was built, what to do about it. */
  readonly page: () => Promise<ConsolePage>
  readonly asset: (name: string, encodings: string) => Promise<Asset | undefined>
}

type Asset = { readonly bytes: Uint8Array; readonly type: string; readonly encoding: string | undefined }

const TYPES: Readonly<Record<string, string>> = {
  js: 'text/javascript; charset=utf-8', css: 'text/css; charset=utf-8', wasm: 'application/wasm', svg: 'image/svg+xml', woff2: 'font/woff2', png: 'image/png', json: 'application/json; charset=utf-8',
}
/** How each is named in `Accept-Encoding` and at the end of a file's name; the smaller one first. */
const ENCODINGS = [['br', 'br'], ['gzip', 'gz']] as const

export function openConsole({ directory, entropy }: ConsoleNeeds): Console {
  return {
    async page() {
      const nonce = Buffer.from(entropy.bytes(NONCE_BYTES)).toString('base64url')
      const html = await readIfThere(join(directory, 'index.html'))
      const headers = { ...pageHeaders(nonce), 'cache-control': 'no-store' }
      return { raw: html === undefined ? NOT_BUILT : Buffer.from(html).toString('utf8').replaceAll(NONCE_PLACE, nonce), type: 'text/html; charset=utf-8', headers }
    },
    async asset(name, encodings) {
      // No name of a build has anything else in it, and so none leads out of the folder.
      const ending = /^[\w-][\w.-]*\.(\w+)$/.exec(name)?.[1]
      const type = ending === undefined ? undefined : TYPES[ending]
      if (type === undefined) return undefined
      for (const [encoding, suffix] of ENCODINGS.filter(([one]) => takes(encodings, one))) {
        const bytes = await readIfThere(join(directory, 'assets', `${name}.${suffix}`))
        if (bytes !== undefined) return { bytes, type, encoding }
      }
      const bytes = await readIfThere(join(directory, 'assets', name))
      return bytes && { bytes, type, encoding: undefined }
    },
  }
}

/** RFC 9110 §12.5.3; one that is weighed with nothing is refused. */
const takes = (encodings: string, encoding: string): boolean => encodings.split(',').some((one) => {
  const [name, ...parameters] = one.trim().toLowerCase().split(/\s*;\s*/)
  return name === encoding && !parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter))
})

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path)
  } catch (cause) {
    if (['ENOENT', 'EISDIR', 'ENOTDIR'].includes((cause as NodeJS.ErrnoException).code ?? '')) return undefined
    throw cause
  }
}

/** Of every answer that a browser shows or runs. */
const BESIDE = { 'referrer-policy': 'no-referrer', 'cross-origin-opener-policy': 'same-origin', 'cross-origin-resource-policy': 'same-origin' }

/** CSP Level 3. Cedar is WebAssembly and is compiled (`wasm-unsafe-eval`); no script and no style comes from anywhere else, or from within the page without the nonce. */
const pageHeaders = (nonce: string): Readonly<Record<string, string>> => ({
  ...BESIDE,
  'content-security-policy': [
    'default-src \'none\'', `script-src 'self' 'nonce-${nonce}' 'wasm-unsafe-eval'`, `style-src 'self' 'nonce-${nonce}'`, 'img-src \'self\' data:', 'font-src \'self\'',
    'connect-src \'self\'', 'frame-ancestors \'none\'', 'base-uri \'none\'', 'form-action \'self\'',
  ].join('; '),
  'permissions-policy': 'accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), usb=(), '
    + 'publickey-credentials-get=(self), publickey-credentials-create=(self), clipboard-write=(self)',
})

const NOT_BUILT = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Writ</title></head><body><h1>Writ is up</h1>'
  + '<p>Its console has not been built yet. In the folder of its sources:</p><pre>npm run build:console</pre><p>and load this page again. The command line needs nothing of it: a link that ends in <code>/first#...</code> goes to <code>writ login</code>, whole.</p>'
  + '<p><a href="/docs">The HTTP reference</a></p></body></html>\n'

/** The name of a file is the hash of what it holds. */
const FOR_EVER = 'public, max-age=31536000, immutable'

/** Marked as the console's: it is no part of the surface that the contract describes. */
const OF_CONSOLE = { config: { isConsole: true } }
export const isOfConsole = (config: object | undefined): boolean => config !== undefined && 'isConsole' in config

export function serveConsole(app: FastifyInstance, console: Console, notThere: (reply: FastifyReply) => FastifyReply): void {
  const sendPage = async (_request: unknown, reply: FastifyReply): Promise<FastifyReply> => {
    const { raw, type, headers } = await console.page()
    return reply.headers(headers).type(type).send(raw)
  }
  app.get('/', OF_CONSOLE, sendPage)
  for (const page of CONSOLE_PAGES) {
    app.get(`/${page}`, OF_CONSOLE, sendPage)
    app.get(`/${page}/*`, OF_CONSOLE, sendPage)
  }
  app.get('/assets/:name', OF_CONSOLE, async (request, reply) => {
    const { name } = request.params as { readonly name: string }
    const found = await console.asset(name, [request.headers['accept-encoding'] ?? ''].flat().join(','))
    if (found === undefined) return notThere(reply)
    if (found.encoding !== undefined) void reply.header('content-encoding', found.encoding)
    return reply.headers({ ...BESIDE, 'cache-control': FOR_EVER, vary: 'accept-encoding' }).type(found.type).send(found.bytes)
  })
}
