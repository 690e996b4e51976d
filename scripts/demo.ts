import { spawn, type ChildProcess } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { constants, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { workAtDesk } from './demo/agent.ts'
import { buildConsole } from './build-console.ts'
import { ask, startCluster, type Cluster } from './postgres-cluster.ts'

/**
 * The story of the README, for real: a server, a PostgreSQL to be governed, and the same command line that anyone would use.
 * Everything lives in a temporary folder that goes when the demo ends.
 */
const ROOT = resolve(import.meta.dirname, '..')
const WRIT = join(ROOT, 'packages/cli/bin/writ.mjs')
const DEMO = join(import.meta.dirname, 'demo')
const SERVERS = join(ROOT, 'node_modules/@modelcontextprotocol')

type Options = { readonly once?: boolean | undefined; readonly certificate?: string | undefined; readonly port?: string | undefined }
const options = readOptions()

const folder = mkdtempSync(join(tmpdir(), 'writ-demo-'))
const env: NodeJS.ProcessEnv = { ...process.env, WRIT_CONFIG: join(folder, 'config.json'), WRIT_NO_INPUT: '1' }
delete env.WRIT_DATABASE_URL
let cluster: Cluster | undefined
let server: ChildProcess | undefined
let stopping: Promise<void> | undefined

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void stop().then(() => process.exit(128 + constants.signals[signal])))

try {
  await tell()
  if (options.once === true) await stop()
} catch (error) {
  // Ctrl-C ends the step that was running too, before or after it comes to us: that is no failure.
  await wait(200)
  if (stopping === undefined) process.stderr.write(`\nthe demo failed: ${error instanceof Error ? error.message : String(error)}\n`)
  await stop()
  process.exitCode = 1
}

function readOptions(): Options {
  try {
    const { values } = parseArgs({ options: { once: { type: 'boolean' }, certificate: { type: 'string' }, port: { type: 'string' } } })
    if (values.port !== undefined && !(/^\d{1,5}$/.test(values.port) && Number(values.port) <= 65_535)) throw new Error(`\`${values.port}\` is no port`)
    return values
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
  await startWrit(port)

  step('The back end, accepted only after the whole cycle has run on a test login')
  await writ(['backend', 'add', 'shop', '--host', cluster.host, '--port', String(cluster.port), '--database', 'shop', '--user', 'writ_admin', '--tls', 'disable',
    '--templates', join(DEMO, 'templates.yaml'), '--secret-file', admin.secretFile, '--rotate'])
  note('the administrator\'s secret was rotated: nobody but Writ knows the new one')

  step('The registry, from a manifest: two identities, and one answer "no: use the caller\'s token"')
  copyFileSync(join(DEMO, 'writ.yaml'), join(folder, 'writ.yaml'))
  env.WRIT_KEY_FILE = makeKey('migrator')
  const agentKey = makeKey('desk-agent')
  env.WRIT_IDENTITY = 'spiffe://shop.example/migrator'
  await writ(['apply', '-f', join(folder, 'writ.yaml'), '--yes'])

  step('The hero line: a task, a login that did not exist before, the work, and the proof of its end')
  const certificate = join(folder, 'certificate.json')
  await writ(['run', '--for', 'migrate schema', '--grant', 'postgres:shop:ddl', '--ttl', '10m', '--certificate', certificate, '--', process.execPath, join(DEMO, 'migrate.mjs')])

  step('What PostgreSQL says now')
  const roles = await ask(cluster.url('shop'), 'select count(*)::int as n from pg_roles where rolname like $1', ['writ\\_%lse%'])
  const left = await ask(cluster.url('shop'), 'select tableowner, (select count(*)::int from shop.loyalty) as n from pg_tables where tablename = $1', ['loyalty'])
  const logins = await ask(cluster.url('shop'), 'select count(*)::int as n from pg_roles where rolname like $1 and rolname <> $2', ['writ\\_%', 'writ_admin'])
  note(`logins left by Writ: ${Number(logins[0]?.n) + Number(roles[0]?.n)}; table shop.loyalty: ${String(left[0]?.n)} rows, owned by ${String(left[0]?.tableowner)}`)
  if (logins[0]?.n !== 0 || left[0]?.tableowner !== 'shop_owner') throw new Error('the back end is not as it should be')

  step('The certificate, checked offline: no server, no network, nothing but the log\'s public key')
  await writ(['verify', '--key', `${certificate}.key`, certificate], { PATH: env.PATH })
  if (options.certificate !== undefined) {
    copyFileSync(certificate, options.certificate)
    copyFileSync(`${certificate}.key`, `${options.certificate}.key`)
    note(`kept: ${options.certificate} and ${options.certificate}.key`)
  }
  await tellOfTools(url, agentKey)
  note(`${((performance.now() - began) / 1000).toFixed(1)} s in all`)
  if (options.once !== true) {
    process.stdout.write(`\nWrit is up at ${url} until Ctrl-C. In another terminal:\n  export WRIT_URL=${url} WRIT_CONFIG=${env.WRIT_CONFIG}\n  npx writ task list\n  npx writ audit tail\n`)
  }
}

/** An agent and its tools: what it sees, what it may, and what it may no more once it has read what it should not tell. */
async function tellOfTools(url: string, agentKey: string): Promise<void> {
  step('Two MCP servers, as they come from npm: registered, and the tools that a person has looked at pinned')
  const files = join(folder, 'files')
  mkdirSync(files)
  writeFileSync(join(files, 'customers.csv'), ['name,mail', 'Maya,maya@example.com', 'Noor,noor@example.com', ...Array.from({ length: 40 }, (_, i) => `Customer ${i},c${i}@example.com`), ''].join('\n'))
  await writ(['mcp', 'add', 'files', '--', process.execPath, join(SERVERS, 'server-filesystem/dist/index.js'), files])
  await writ(['mcp', 'add', 'everything', '--', process.execPath, join(SERVERS, 'server-everything/dist/index.js'), 'stdio'])
  await writ(['mcp', 'pin', 'files', 'list_directory', 'read_text_file', '--label', 'read_text_file=confidential', '--yes'])
  await writ(['mcp', 'pin', 'everything', 'echo', 'resources/read', '--effect', 'echo=external', '--reversible', 'echo=no', '--yes'])
  await writ(['mcp', 'tools', 'files'])

  step('The policies in force as a directory, and three rules more: how much of a file, and who may post')
  const policies = join(folder, 'policies')
  await writ(['policy', 'show', '--out', policies])
  cpSync(join(DEMO, 'policies'), policies, { recursive: true })
  await writ(['policy', 'apply', policies, '--reason', 'rules for the desk', '--yes'])

  step('An agent at work, through the gateway, on the official MCP client: one task, two servers')
  await workAtDesk({
    url, folder: files, environment: { ...env, WRIT_KEY_FILE: agentKey, WRIT_IDENTITY: 'spiffe://shop.example/desk-agent' },
    say: note, onDenied: (decision) => writ(['explain', decision]),
  })
  await writ(['mcp', 'calls'])
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

async function startWrit(port: string): Promise<void> {
  server = spawn(process.execPath, [WRIT, 'up', '--data', join(folder, 'data'), '--port', port], { env, stdio: ['ignore', 'inherit', 'pipe'] })
  const ended = once(server, 'exit').then(([code]) => {
    if (stopping === undefined) throw new Error(`the server ended with exit code ${String(code)}`)
  })
  const ready = new Promise<void>((resolveReady) => {
    server!.stderr!.on('data', (chunk: Buffer) => {
      process.stderr.write(chunk)
      if (chunk.includes('operator key stored')) resolveReady()
    })
  })
  await Promise.race([ready, ended])
  ended.catch((error: unknown) => process.stderr.write(`${String(error)}\n`))
}

async function writ(words: readonly string[], environment: NodeJS.ProcessEnv = env): Promise<void> {
  process.stdout.write(`$ writ ${words.map((word) => (/^[\w./:=-]+$/.test(word) ? word.replace(`${folder}/`, '').replace(`${DEMO}/`, '').replace(`${SERVERS}/`, '').replace(process.execPath, 'node') : `'${word}'`)).join(' ')}\n`)
  const child = spawn(process.execPath, [WRIT, ...words], { env: environment, stdio: 'inherit' })
  const [code] = await once(child, 'exit') as [number | null]
  if (code !== 0) throw new Error(`\`writ ${words[0]}\` ended with exit code ${String(code)}`)
}

/** A workload's own key pair: the private half stays in its file, the public half goes to the registry. */
function makeKey(name: string): string {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const file = join(folder, `${name}.jwk`)
  writeFileSync(file, JSON.stringify(privateKey.export({ format: 'jwk' })), { mode: 0o600 })
  writeFileSync(join(folder, `${name}.pub.jwk`), JSON.stringify(publicKey.export({ format: 'jwk' })))
  return file
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
    if (server !== undefined && server.exitCode === null && server.signalCode === null) {
      const ended = once(server, 'exit')
      server.kill('SIGTERM')
      await ended
    }
    await cluster?.stop()
    rmSync(folder, { recursive: true, force: true })
  })()
  return stopping
}

function step(text: string): void {
  process.stdout.write(`\n== ${text}\n`)
}

function note(text: string): void {
  process.stdout.write(`   ${text}\n`)
}
