import { execFile, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { eventually } from '../../packages/server/test/eventually.ts'
import { ANSWERED_FOR, BACKEND, GROUP, MOST_REFUNDED, serverOf } from './decisions-estate.ts'

/** Both under the Apache License 2.0. Cerbos is 100 MB, which nobody but a benchmark needs: they are fetched when it runs, and go with it. */
const CERBOS = '@cerbos/cerbos-linux-x64'
const PINNED = [`${CERBOS}@0.55.0`, 'casbin@5.51.1'] as const
export const CERBOS_NAME = 'cerbos 0.55.0'
export const CASBIN_NAME = 'casbin 5.51.1'
const FETCH_MS = 120_000

/** What others decide with, in a folder of its own. */
export type Peers = { readonly folder: string; remove(): void }

/** Null where they can't be had: what is measured beside them is measured alone then. */
export async function fetchPeers(tell: (progress: string) => void): Promise<Peers | null> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    tell(`no peers: ${CERBOS} is for Linux on x64`)
    return null
  }
  const folder = mkdtempSync(join(tmpdir(), 'writ-bench-peers-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  tell(`fetching ${PINNED.join(' and ')}`)
  try {
    await promisify(execFile)('npm', ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', folder, ...PINNED], { timeout: FETCH_MS })
    return { folder, remove }
  } catch (cause) {
    remove()
    tell(`no peers, their columns stay empty: npm could not fetch them: ${cause instanceof Error ? cause.message.split('\n').slice(0, 2).join(' ') : String(cause)}`)
    return null
  }
}

/** casbin's node package, as much of it as is used here. */
type Casbin = { readonly newModelFromString: (text: string) => unknown; readonly newEnforcer: (model: unknown) => Promise<Enforcer> }
type Enforcer = {
  addFunction(name: string, of: (...values: never[]) => boolean): Promise<void>
  addPolicies(rules: readonly (readonly string[])[]): Promise<boolean>
  enforce(...request: readonly unknown[]): Promise<boolean>
}

const CASBIN_MODEL = `[request_definition]
r = sub, obj, act, ctx
[policy_definition]
p = group, act, obj, rule, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = r.act == p.act && (p.obj == "*" || p.obj == r.obj.id) && (p.group == "*" || holds(r.sub.groups, p.group)) && eval(p.rule)
`
/** The rules of the set that ships that apply to what is asked, and those of the estate. */
function casbinRules(policies: number): readonly (readonly string[])[] {
  const shipped = [
    ['*', 'call', '*', 'r.obj.effect == "read"', 'allow'], ['*', 'call', '*', 'r.obj.effect == "write" && r.obj.reversible', 'allow'],
    ['*', 'connect', '*', 'r.ctx.budget_left > 0', 'allow'], ['*', 'call', '*', '!answered(r.ctx.class)', 'allow'], ['*', 'call', '*', 'r.ctx.approved', 'allow'],
    ['*', 'call', '*', 'r.obj.effect == "external" && holds(r.ctx.labels, "confidential") && holds(r.ctx.labels, "untrusted")', 'deny'],
    ['*', 'call', '*', 'r.ctx.environment == "production" && r.obj.effect != "read" && !r.ctx.change', 'deny'], ['*', 'call', '*', 'r.ctx.budget_left <= 0', 'deny'],
  ]
  const estate = Array.from({ length: policies }, (_, i) => (i % 2 === 0
    ? ['*', 'call', `${serverOf(i / 2)}/refund`, `r.ctx.arguments.amount <= ${MOST_REFUNDED}`, 'allow']
    : i % 4 === 1 ? [`team-${i}`, 'call', '*', 'r.obj.effect == "external" && r.ctx.depth == 0', 'allow']
      : ['*', 'connect', `database-${i}`, 'r.ctx.template == "ddl" && r.ctx.environment == "production"', 'deny']))
  return [...shipped, ...estate]
}

/** The same questions as `askedOf`'s, in their order. */
export async function casbinOf({ folder }: Peers, policies: number): Promise<(index: number) => Promise<boolean>> {
  const casbin = createRequire(join(folder, 'package.json'))('casbin') as Casbin
  const enforcer = await casbin.newEnforcer(casbin.newModelFromString(CASBIN_MODEL))
  await enforcer.addFunction('holds', (list: readonly string[], one: string) => list.includes(one))
  await enforcer.addFunction('answered', (one: string) => ANSWERED_FOR.includes(one))
  await enforcer.addPolicies(casbinRules(policies))
  const sub = { id: 'spiffe://acme.example/answers-customers', groups: [GROUP] }
  const ctx = { class: 'autonomous', environment: 'test', change: 'CHG-1', depth: 0, budget_left: 99, labels: ['confidential'], approved: false }
  const asked = [
    ['call', { id: 'crm/search', effect: 'read', reversible: false }, { query: 'unpaid orders of last week', limit: 50 }],
    ['call', { id: `${serverOf(0)}/refund`, effect: 'write', reversible: false }, { amount: 40 }],
    ['call', { id: 'mail/send', effect: 'external', reversible: false }, { to: 'maya@acme.example' }],
    ['call', { id: `${serverOf(0)}/refund`, effect: 'write', reversible: false }, { amount: 4000 }],
    ['connect', { id: BACKEND, effect: 'write', reversible: false }, {}],
  ] as const
  return (index) => {
    const [action, obj, args] = asked[index % asked.length]!
    return enforcer.enforce(sub, obj, action, { ...ctx, template: 'ddl', arguments: args })
  }
}

const cerbosRule = (name: string, effect: 'ALLOW' | 'DENY', expr: string): object =>
  ({ name, actions: ['call'], roles: ['*'], effect: `EFFECT_${effect}`, condition: { match: { expr } } })

const CERBOS_POLICY = {
  apiVersion: 'api.cerbos.dev/v1',
  resourcePolicy: {
    version: 'default', resource: 'tool',
    rules: [
      cerbosRule('read-tools', 'ALLOW', 'R.attr.effect == "read"'), cerbosRule('reversible-writes', 'ALLOW', 'R.attr.effect == "write" && R.attr.reversible'),
      cerbosRule('other-writes-by-script', 'ALLOW', `!(P.attr.class in ${JSON.stringify(ANSWERED_FOR)})`), cerbosRule('other-writes-approved', 'ALLOW', 'P.attr.approved'),
      cerbosRule('nothing-out-after-both', 'DENY', 'R.attr.effect == "external" && "confidential" in P.attr.labels && "untrusted" in P.attr.labels'),
      cerbosRule('production-needs-a-change', 'DENY', 'P.attr.environment == "production" && R.attr.effect != "read" && !has(P.attr.change)'),
      cerbosRule('budget-is-spent', 'DENY', 'P.attr.budget_left <= 0.0'),
    ],
  },
}

/** The question that `decisions-over-http.ts` asks Writ. What Writ knows of a task, Cerbos is told. */
export const CERBOS_QUESTION = JSON.stringify({
  requestId: 'measures',
  principal: {
    id: 'spiffe://acme.example/asker', roles: ['agent'],
    attr: { class: 'autonomous', environment: 'test', budget_left: 99, labels: [], approved: false, depth: 0 },
  },
  resources: [{
    resource: { kind: 'tool', id: 'crm/search', attr: { effect: 'read', reversible: false, labels: [], query: 'unpaid orders of last week', limit: 50 } },
    actions: ['call'],
  }],
})

export type RunningCerbos = { readonly url: string; readonly pid: number; stop(): Promise<void> }

/** With the same policy, and its decision log to a file; it does not wait for the disk. */
export async function startCerbos({ folder }: Peers): Promise<RunningCerbos> {
  const at = mkdtempSync(join(tmpdir(), 'writ-bench-cerbos-'))
  const policies = join(at, 'policies')
  mkdirSync(policies)
  writeFileSync(join(policies, 'tool.json'), JSON.stringify(CERBOS_POLICY))
  const port = await freePort()
  writeFileSync(join(at, 'config.json'), JSON.stringify({
    server: { httpListenAddr: `127.0.0.1:${port}`, grpcListenAddr: `unix:${join(at, 'grpc.sock')}` },
    storage: { driver: 'disk', disk: { directory: policies, watchForChanges: false } },
    audit: { enabled: true, accessLogsEnabled: false, decisionLogsEnabled: true, backend: 'file', file: { path: join(at, 'decisions.log') } },
    telemetry: { disabled: true },
  }))
  const program = join(folder, 'node_modules', CERBOS, 'cerbos-linux-x64')
  const child = spawn(program, ['server', `--config=${join(at, 'config.json')}`, '--log-level=error'], { stdio: 'ignore' })
  const ended = new Promise<void>((resolve) => { child.once('close', () => resolve()).once('error', () => resolve()) })
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL')
    await ended
    rmSync(at, { recursive: true, force: true })
  }
  const url = `http://127.0.0.1:${port}/api/check/resources`
  try {
    await eventually('cerbos answers', async () => (await fetch(`http://127.0.0.1:${port}/_cerbos/health`).catch(() => undefined))?.ok === true)
    const answer = await (await fetch(url, { method: 'POST', body: CERBOS_QUESTION })).text()
    if (!answer.includes('EFFECT_ALLOW')) throw new Error(`cerbos decides something else: ${answer}`)
    return { url, pid: child.pid!, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => { server.close(resolve) })
  return port
}
