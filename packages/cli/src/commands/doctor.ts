import { stat } from 'node:fs/promises'
import { listBackends } from '@writ/contract/backends'
import { listLogs, type LogReply, type PastLogReply } from '@writ/contract/events'
import { listFindings, listIncidents, ready, whoAmI } from '@writ/contract/registry'
import { openCheckpoint } from '@writ/ledger/checkpoint'
import { inert } from '@writ/ledger/inert'
import { parseVerifierKey } from '@writ/ledger/note'
import { nodePrimitives } from '@writ/ledger/offline/primitives'
import type { Command } from 'commander'
import { call } from '../client.ts'
import { configPath, bearerFor, readConfig, readPrivateFile, serverOf, type Config } from '../config.ts'
import { CommandFailure, EXIT, type Run } from '../exit.ts'
import { inertJson } from '../inert.ts'
import { lengthOf, painterOf, printLine } from '../output.ts'
import { settingsOf, type Settings } from '../settings.ts'

/** One thing looked at. `not_evaluated` is never green (law 12). */
export type Check = { readonly name: string; readonly state: 'good' | 'warning' | 'problem' | 'not_evaluated'; readonly says: string; readonly fix?: string }

const SIGN = { good: '✔', warning: '▲', problem: '✖', not_evaluated: '?' } as const
const SKEW_WARNING_MS = 5000
const SKEW_PROBLEM_MS = 30_000
const CHECKPOINT_WARNING_MS = 60_000

export function define(command: Command, run: Run): void {
  command.description('say what is wrong and how to mend it').action(() => run(async () => {
    const settings = settingsOf(command)
    const checks = await examine(settings)
    await printChecks(settings, checks)
    return checks.some((check) => check.state === 'problem') ? EXIT.unexpected : EXIT.ok
  }))
}

async function examine(settings: Settings): Promise<readonly Check[]> {
  const { check, config } = await examineConfig(settings)
  const server = serverOf(settings, config)
  const anyone = { server, timeoutMs: Math.min(settings.timeoutMs, 10_000) }
  const checks = [check, ...(await examineKeys(config)), ...(await examineServer(anyone))]
  if (checks.some((one) => one.name === 'server' && one.state === 'problem')) return checks
  checks.push(...(await examineLogs(anyone)))
  const key = bearerFor(server, config, settings.environment)
  if (key === undefined) return [...checks, { name: 'sign-in', state: 'problem', says: `nobody is signed in to ${server} here`, fix: 'writ login' }]
  const operator = { ...anyone, bearer: () => key }
  const signIn = await examined('sign-in', async () => {
    const me = await call(operator, whoAmI)
    return [{ name: 'sign-in', state: 'good', says: `${me.name} (${me.kind} ${me.id})` }]
  }, 'writ login')
  checks.push(...signIn)
  return signIn[0]?.state === 'problem' ? checks : [...checks, ...(await examineEstate(operator))]
}

async function examineConfig(settings: Settings): Promise<{ readonly check: Check; readonly config: Config }> {
  const path = configPath(settings.environment)
  try {
    const config = await readConfig(settings.environment)
    const isThere = await stat(path).then(() => true, () => false)
    return { config, check: isThere ? { name: 'config', state: 'good', says: path } : { name: 'config', state: 'warning', says: `${path} is not there yet`, fix: 'writ login' } }
  } catch (fault) {
    if (!(fault instanceof CommandFailure)) throw fault
    return { config: { identities: {} }, check: { name: 'config', state: 'problem', says: fault.message, ...(fault.hints[0] === undefined ? {} : { fix: fault.hints[0] }) } }
  }
}

async function examineKeys(config: Config): Promise<readonly Check[]> {
  const checks: Check[] = []
  for (const [spiffeId, { key_file: path }] of Object.entries(config.identities)) {
    const fix = `writ identity key add ${spiffeId}`
    try {
      const text = await readPrivateFile(path)
      checks.push(text === undefined ? { name: 'key', state: 'warning', says: `${spiffeId}: there is no file ${path}`, fix } : { name: 'key', state: 'good', says: `${spiffeId}  ${path}` })
    } catch (fault) {
      if (!(fault instanceof CommandFailure)) throw fault
      checks.push({ name: 'key', state: 'problem', says: fault.message, fix: fault.hints[0] ?? fix })
    }
  }
  return checks
}

type Asking = { readonly server: string; readonly timeoutMs: number; readonly bearer?: () => string }

async function examineServer(asking: Asking): Promise<readonly Check[]> {
  return examined('server', async () => {
    const before = Date.now()
    const { now } = await call(asking, ready)
    const after = Date.now()
    // The server's clock was read somewhere between the two.
    const skew = Date.parse(now) - (before + after) / 2
    const state = Math.abs(skew) > SKEW_PROBLEM_MS ? 'problem' : Math.abs(skew) > SKEW_WARNING_MS ? 'warning' : 'good'
    return [
      { name: 'server', state: 'good', says: `${asking.server}  ${after - before} ms` },
      { name: 'clock', state, says: `skew ${lengthOf(Math.abs(skew))}`, ...(state === 'good' ? {} : { fix: 'set both clocks by NTP: assertions live for 60 s' }) },
    ]
  }, 'writ up')
}

async function examineLogs(asking: Asking): Promise<readonly Check[]> {
  return examined('log', async () => (await call(asking, listLogs)).logs.flatMap((log) => [checkLog(log, Date.now()), ...log.past.map((past) => checkRestore(log.stream, past))]))
}

/** Whether the newest checkpoint is signed by the key that the log says it has, and how old it is. */
export function checkLog(log: LogReply, now: number): Check {
  const name = `log`
  const key = parseVerifierKey(nodePrimitives.sha256, log.vkey)
  if (!key.ok) return { name, state: 'problem', says: `${log.stream}: its key can not be read: ${key.refusal.detail}` }
  const opened = openCheckpoint(nodePrimitives, key.value, log.checkpoint)
  if (!opened.ok) return { name, state: 'problem', says: `${log.stream}: its checkpoint does not verify: ${opened.refusal.detail}`, fix: `writ audit export --stream ${log.stream} FILE, and keep it` }
  const age = now - Date.parse(log.checkpoint_at)
  const waiting = log.unsealed > 0 && age > CHECKPOINT_WARNING_MS
  return { name, state: waiting ? 'warning' : 'good', says: `${log.stream}: checkpoint ${opened.value.size} verified, ${lengthOf(Math.max(0, age))} old, ${log.unsealed} unsealed`, ...(waiting ? { fix: 'the sealer is behind: look at the server\'s log' } : {}) }
}

/** A restore stays to be seen: what came between the backup and it is not in the record. */
export function checkRestore(stream: string, past: PastLogReply): Check {
  const says = `${stream}: restored at ${past.restored_at} from the backup of ${past.backup_at}; the log before had ${past.size} leaves`
  if (past.leaves_lost === null) return { name: 'restore', state: 'not_evaluated', says: `${says}; how many more are lost: not evaluated, no newer checkpoint was given` }
  if (past.leaves_lost === 0) return { name: 'restore', state: 'good', says: `${says}, and no more that is known of` }
  return { name: 'restore', state: 'warning', says: `${says}; at least ${past.leaves_lost} more are lost`, fix: 'what people changed since the backup has to be done again' }
}

async function examineEstate(operator: Asking): Promise<readonly Check[]> {
  const backends = await examined('back ends', async () => {
    const active = (await call(operator, listBackends)).backends.filter((backend) => backend.state === 'active')
    if (active.length === 0) return [{ name: 'back ends', state: 'warning', says: 'none: no lease can be issued', fix: 'writ backend add NAME ...' }]
    return active.map((backend): Check => backend.secret_rotated_at === null
      ? { name: 'back end', state: 'warning', says: `${backend.name}: its administrator's secret is known outside Writ`, fix: `writ backend rotate ${backend.name}` }
      : { name: 'back end', state: 'good', says: `${backend.name}  ${backend.kind} ${backend.version}` })
  })
  const incidents = await examined('incidents', async () => {
    const open = (await call(operator, listIncidents, { query: { limit: 1000 } })).incidents.filter((incident) => incident.state === 'open')
    if (open.length === 0) return [{ name: 'incidents', state: 'good', says: 'none open' }]
    return open.map((incident): Check => ({ name: 'incident', state: 'problem', says: `${incident.id} ${incident.kind}${incident.lease === null ? '' : ` ${incident.lease}`}: ${incident.why}`, fix: 'withdraw the login at its back end' }))
  })
  const findings = await examined('findings', async () => {
    const open = (await call(operator, listFindings, { query: { limit: 1000 } })).findings.filter((finding) => finding.state === 'open')
    if (open.length === 0) return [{ name: 'findings', state: 'good', says: 'none open' }]
    return open.map((finding): Check => ({ name: 'finding', state: 'warning', says: `${finding.id} ${finding.kind}${finding.identity === null ? '' : ` ${finding.identity}`}` }))
  })
  return [...backends, ...incidents, ...findings]
}

/** A check that could not be made is a problem with its reason; one that the server does not serve is not evaluated. */
async function examined(name: string, look: () => Promise<readonly Check[]>, fix?: string): Promise<readonly Check[]> {
  try {
    return await look()
  } catch (fault) {
    if (!(fault instanceof CommandFailure)) throw fault
    if (fault.exit === EXIT.not_found) return [{ name, state: 'not_evaluated', says: `not evaluated: ${fault.message}` }]
    return [{ name, state: 'problem', says: fault.message, ...(fix === undefined ? {} : { fix }) }]
  }
}

async function printChecks(settings: Settings, checks: readonly Check[]): Promise<void> {
  if (settings.format === 'json') return printLine(inertJson(checks, 2))
  if (settings.format === 'jsonl') return checks.forEach((check) => printLine(inertJson(check)))
  const paint = await painterOf(settings)
  const colour = { good: paint.green, warning: paint.yellow, problem: paint.red, not_evaluated: paint.dim }
  const widest = Math.max(...checks.map((check) => check.name.length))
  for (const check of checks) {
    if (settings.format === 'plain') printLine([check.state, check.name, check.says, check.fix ?? ''].map(inert).join('\t'))
    else printLine(`${colour[check.state](SIGN[check.state])} ${check.name.padEnd(widest)}  ${inert(check.says)}${check.fix === undefined ? '' : `   fix: ${inert(check.fix)}`}`)
  }
  const count = (state: Check['state']): number => checks.filter((check) => check.state === state).length
  if (settings.format === 'human') printLine(`${counted(count('problem'), 'problem')}, ${counted(count('warning'), 'warning')}`)
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`
