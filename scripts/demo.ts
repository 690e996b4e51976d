import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs, stripVTControlCharacters } from 'node:util'
import type { Browser } from 'playwright-core'
import { workAtDesk } from './demo/agent.ts'
import { findChromium, HOW_TO_GET_CHROMIUM } from './demo/chromium.ts'
import { leashOn } from './demo/leash.ts'
import { tellWithoutPeople } from './demo/refunds.ts'
import { startServer, type Server } from './demo/server.ts'
import { DEMO, makeKey, MCP_SERVERS, note, step, writ, type Stage } from './demo/stage.ts'
import { buildConsole } from './build-console.ts'
import { ask, startCluster, type Cluster } from './postgres-cluster.ts'

/**
 * The story of the README, for real: a server, a PostgreSQL to be governed, the same command line that anyone would use, and two people in a browser.
 * Everything lives in a temporary folder that goes when the demo ends.
 */
type Options = { readonly once?: boolean | undefined; readonly certificate?: string | undefined; readonly port?: string | undefined }
const { options, chromium } = readOptions()

const folder = mkdtempSync(join(tmpdir(), 'writ-demo-'))
// A setting of ours that the server does not know would be a typing mistake to it.
const { WRIT_DATABASE_URL: _, WRIT_CHROMIUM: __, ...inherited } = process.env
const env: NodeJS.ProcessEnv = { ...inherited, WRIT_CONFIG: join(folder, 'config.json'), WRIT_NO_INPUT: '1' }
const stage: Stage = { folder, environment: env, leash: leashOn(folder), children: new Set() }
let cluster: Cluster | undefined
let server: Server | undefined
let browser: Browser | undefined
let stopping: Promise<void> | undefined

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void stop().then(() => process.exit(128 + constants.signals[signal])))

try {
  await tell()
  if (options.once === true) await stop()
} catch (error) {
  // Ctrl-C ends the step that was running too, before or after it comes to us: that is no failure.
  await wait(200)
  if (stopping === undefined) process.stderr.write(`\nthe demo failed: ${stripVTControlCharacters(error instanceof Error ? error.message : String(error)).trim()}\n`)
  await stop()
  process.exitCode = 1
}

function readOptions(): { readonly options: Options; readonly chromium: string | undefined } {
  try {
    const { values } = parseArgs({ options: { once: { type: 'boolean' }, certificate: { type: 'string' }, port: { type: 'string' } } })
    if (values.port !== undefined && !(/^\d{1,5}$/.test(values.port) && Number(values.port) <= 65_535)) throw new Error(`\`${values.port}\` is no port`)
    return { options: values, chromium: findChromium() }
  } catch (error) {
    const { message } = error as Error
    const found = /^Unknown option '([^']+)'/.exec(message)
    process.stderr.write(`error: ${found ? `unknown option \`${found[1]}\`` : message}\nusage: npm run demo -- [--once] [--certificate FILE] [--port N]\n`)
    process.exit(2)
  }
}

async function tell(): Promise<void> {
  const began = performance.now()
  step('A PostgreSQL to be governed, with a small shop in it')
  cluster = await startCluster()
  const admin = await loadShop(cluster)
  note(`PostgreSQL ${cluster.version} on ${cluster.host}:${cluster.port}: 400 customers, 60 products, 5,000 purchases`)

  await buildConsole(note)
  step('Writ, on its embedded store')
  const port = options.port ?? String(await freePort(7400))
  const url = `http://127.0.0.1:${port}`
  env.WRIT_URL = url
  server = await startServer(stage, port)

  step('The back end, accepted only after the whole cycle has run on a test login')
  await writ(stage, ['backend', 'add', 'shop', '--host', cluster.host, '--port', String(cluster.port), '--database', 'shop', '--user', 'writ_admin', '--tls', 'disable',
    '--templates', join(DEMO, 'templates.yaml'), '--secret-file', admin.secretFile, '--rotate'])
  note('the administrator\'s secret was rotated: nobody but Writ knows the new one')

  step('The registry, from a manifest: three identities, and one answer "no: use the caller\'s token"')
  copyFileSync(join(DEMO, 'writ.yaml'), join(folder, 'writ.yaml'))
  env.WRIT_KEY_FILE = makeKey(stage, 'migrator')
  const agentKey = makeKey(stage, 'desk-agent')
  makeKey(stage, 'refund-agent')
  env.WRIT_IDENTITY = 'spiffe://shop.example/migrator'
  await writ(stage, ['apply', '-f', join(folder, 'writ.yaml'), '--yes'])

  await tellOfTask(cluster)
  await tellOfTools(url, agentKey)
  // A passkey belongs to a name, and never to a number.
  const inviteReader = await tellOfPeople(cluster, `http://localhost:${port}`)
  note(`${((performance.now() - began) / 1000).toFixed(1)} s in all`)
  if (options.once !== true) await sayHowToGoOn(url, inviteReader)
}

async function tellOfTask(on: Cluster): Promise<void> {
  step('The hero line: a task, a login that did not exist before, the work, and the proof of its end')
  const certificate = join(folder, 'certificate.json')
  await writ(stage, ['run', '--for', 'migrate schema', '--grant', 'postgres:shop:ddl', '--ttl', '10m', '--certificate', certificate, '--', process.execPath, join(DEMO, 'migrate.mjs')])

  step('What PostgreSQL says now')
  const roles = await ask(on.url('shop'), 'select count(*)::int as n from pg_roles where rolname like $1', ['writ\\_%lse%'])
  const left = await ask(on.url('shop'), 'select tableowner, (select count(*)::int from shop.loyalty) as n from pg_tables where tablename = $1', ['loyalty'])
  const logins = await ask(on.url('shop'), 'select count(*)::int as n from pg_roles where rolname like $1 and rolname <> $2', ['writ\\_%', 'writ_admin'])
  note(`logins left by Writ: ${Number(logins[0]?.n) + Number(roles[0]?.n)}; table shop.loyalty: ${String(left[0]?.n)} rows, owned by ${String(left[0]?.tableowner)}`)
  if (logins[0]?.n !== 0 || left[0]?.tableowner !== 'shop_owner') throw new Error('the back end is not as it should be')

  step('The certificate, checked offline: no server, no network, nothing but the log\'s public key')
  await writ(stage, ['verify', '--key', `${certificate}.key`, certificate], { environment: { PATH: env.PATH } })
  if (options.certificate === undefined) return
  copyFileSync(certificate, options.certificate)
  copyFileSync(`${certificate}.key`, `${options.certificate}.key`)
  note(`kept: ${options.certificate} and ${options.certificate}.key`)
}

/** An agent and its tools: what it sees, what it may, and what it may no more once it has read what it should not tell. */
async function tellOfTools(url: string, agentKey: string): Promise<void> {
  step('Three MCP servers, and the tools that somebody has looked at pinned; the shop\'s own is lent a login while a task is at work')
  const files = join(folder, 'files')
  mkdirSync(files)
  writeFileSync(join(files, 'customers.csv'), ['name,mail', 'Maya,maya@example.com', 'Noor,noor@example.com', ...Array.from({ length: 40 }, (_, i) => `Customer ${i},c${i}@example.com`), ''].join('\n'))
  await writ(stage, ['mcp', 'add', 'files', '--', process.execPath, join(MCP_SERVERS, 'server-filesystem/dist/index.js'), files])
  await writ(stage, ['mcp', 'add', 'everything', '--', process.execPath, join(MCP_SERVERS, 'server-everything/dist/index.js'), 'stdio'])
  await writ(stage, ['mcp', 'pin', 'files', 'list_directory', 'read_text_file', '--label', 'read_text_file=confidential', '--yes'])
  await writ(stage, ['mcp', 'pin', 'everything', 'echo', 'resources/read', '--effect', 'echo=external', '--reversible', 'echo=no', '--yes'])
  await writ(stage, ['mcp', 'add', 'shop', '--lease', 'PG=postgres:shop:desk', '--', process.execPath, join(DEMO, 'shop-tools.ts')])
  await writ(stage, ['mcp', 'pin', 'shop', '--all', '--yes'])
  await writ(stage, ['mcp', 'tools', 'files'])

  step('The policies in force as a directory, and five rules more: how much of a file, who may post, and what is paid back')
  const policies = join(folder, 'policies')
  await writ(stage, ['policy', 'show', '--out', policies])
  cpSync(join(DEMO, 'policies'), policies, { recursive: true })
  await writ(stage, ['policy', 'apply', policies, '--reason', 'rules for the desk, and for refunds', '--yes'])

  step('An agent at work, through the gateway, on the official MCP client: one task, two servers')
  await workAtDesk({
    url, folder: files, environment: { ...env, WRIT_KEY_FILE: agentKey, WRIT_IDENTITY: 'spiffe://shop.example/desk-agent' },
    say: note, onDenied: async (decision) => { await writ(stage, ['explain', decision]) },
  })
  await writ(stage, ['mcp', 'calls'])
}

/** Where nobody can sit at a browser, what people do is left out, and that is said. Answers what makes a link for whoever reads along. */
async function tellOfPeople(on: Cluster, origin: string): Promise<(() => Promise<string>) | undefined> {
  if (chromium === undefined) {
    await tellWithoutPeople(stage, on)
    step('LEFT OUT, as no Chromium was found here: two people, who sign in by passkeys, approve, stop and verify in a browser')
    note(`to see it: ${HOW_TO_GET_CHROMIUM}`)
    return undefined
  }
  const [{ openBrowser }, { tellOfTwoPeople }] = await Promise.all([import('./demo/browser.ts'), import('./demo/two-people.ts')])
  browser = await openBrowser(stage, chromium)
  return tellOfTwoPeople(stage, { browser, origin, cluster: on })
}

async function sayHowToGoOn(url: string, inviteReader: (() => Promise<string>) | undefined): Promise<void> {
  step(`Writ is up at ${url} until Ctrl-C`)
  if (inviteReader === undefined) await writ(stage, ['open', '--first'])
  else note(`the console, for you as an administrator and a reviewer, by a passkey of your own: ${await inviteReader()}`)
  await browser?.close()
  process.stdout.write(`in another terminal${inviteReader === undefined ? '' : ', as Maya'}:\n  export WRIT_URL=${url} WRIT_CONFIG=${env.WRIT_CONFIG}\n  npx writ task list\n  npx writ audit tail\n`)
}

/** A database of its own, an administrator who is no superuser, and the rights that it needs and no more. */
async function loadShop(on: Cluster): Promise<{ readonly secretFile: string }> {
  const secret = Buffer.from(crypto.getRandomValues(new Uint8Array(24))).toString('base64url')
  const secretFile = join(folder, 'administrator.secret')
  writeFileSync(secretFile, secret, { mode: 0o600 })
  await ask(on.url(), 'create database shop')
  await ask(on.url('shop'), readFileSync(join(DEMO, 'shop.sql'), 'utf8'))
  const major = Math.floor(on.version)
  const withAdmin = major >= 16 ? 'with admin option, inherit true, set true' : 'with admin option'
  await ask(on.url('shop'), [
    `create role writ_admin login createrole password '${secret}'`,
    `grant shop_owner to writ_admin ${withAdmin}`,
    `grant shop_reader to writ_admin ${withAdmin}`,
    'grant connect on database shop to writ_admin',
  ].join(';'))
  return { secretFile }
}

/** The port when nobody has it, else any that is free. */
async function freePort(wanted: number): Promise<number> {
  for (const port of [wanted, 0]) {
    const probe = createServer()
    const got = await new Promise<number | undefined>((done) => {
      probe.once('error', () => done(undefined))
      probe.listen(port, '127.0.0.1', () => done((probe.address() as AddressInfo).port))
    })
    if (got === undefined) continue
    probe.close()
    return got
  }
  throw new Error('no free port')
}

function stop(): Promise<void> {
  stopping ??= (async () => {
    for (const child of stage.children) child.kill('SIGTERM')
    await browser?.close().catch(() => undefined)
    await server?.stop()
    await cluster?.stop()
    rmSync(folder, { recursive: true, force: true })
    stage.leash.dismiss()
  })()
  return stopping
}
