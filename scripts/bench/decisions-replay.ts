import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import * as authzen from '@writ/contract/authzen'
import { exactText, type ExactValue } from '@writ/domain/exact'
import { readBundle, type BundleFiles } from '@writ/policy/bundle'
import { openEngine } from '@writ/policy/engine'
import { openReplay } from '@writ/policy/replay'
import { writeConfig } from '../../packages/cli/src/config.ts'
import { parseExactJson } from '@writ/contract/strict-json'
import { recordOf } from '@writ/policy/recorded-decision'
import { startWrit, type RunningWrit } from '../../packages/server/test/running-writ.ts'
import { askedOf, estateFiles } from './decisions-estate.ts'
import { applyTo, QUESTION } from './decisions-over-http.ts'
import { figure, load, type Figure, type Order } from './figure.ts'

const WRIT = fileURLToPath(new URL('../../packages/cli/bin/writ.mjs', import.meta.url))
const BAR_SECONDS = 60
const POLICIES = 100
const BATCH = authzen.MOST_EVALUATIONS

/** Decisions as they were recorded, asked again of another version of the policies. */
export async function decisionsReplayed(order: Order): Promise<readonly Figure[]> {
  const ops = order.isQuick ? 5000 : 100_000
  return [inProcess(order, ops), await simulated(order, ops)]
}

const inTime = (ops: number, seconds: number): Partial<Figure> =>
  ({ perSecond: ops / seconds, bar: `100,000 in <= ${BAR_SECONDS} s (${(seconds * 100_000 / ops).toFixed(1)})`, isReached: (seconds * 100_000) / ops <= BAR_SECONDS })

/** On one thread, from the text that is kept of each. */
function inProcess({ tell }: Order, ops: number): Figure {
  const bundle = readBundle(estateFiles(POLICIES))
  if (!bundle.ok) throw new Error('the policies of the benchmark do not read')
  const engine = openEngine(bundle.value)
  const kept = askedOf((ref) => engine.entity(ref)).map(({ question, answer }) => ({ answer, text: exactText(question as ExactValue) }))
  tell(`${ops} decisions replayed in process`)
  const replay = openReplay(engine)
  const cpu = process.cpuUsage()
  const began = performance.now()
  for (let i = 0; i < ops; i++) {
    const { answer, text } = kept[i % kept.length]!
    replay.feed(recordOf({
      id: `dec_${i}`, answer, cause: 'policy', approvable: answer === 'deny', question: text, would_deny: false,
    }, parseExactJson))
  }
  const seconds = (performance.now() - began) / 1000
  const { user, system } = process.cpuUsage(cpu)
  const { changed, notEvaluated } = replay.state()
  engine.close()
  if (changed > 0 || notEvaluated > 0) throw new Error(`a replay of the same policies changed ${changed} answers and did not evaluate ${notEvaluated}`)
  return figure('replay in process', ops, { ...inTime(ops, seconds), cpuPerOp: (user + system) / 1000 / ops })
}

/** `writ policy simulate` as a person starts it, against a server that has recorded so many. */
async function simulated({ tell }: Order, ops: number): Promise<Figure> {
  const folder = mkdtempSync(join(tmpdir(), 'writ-bench-simulate-'))
  const writ = await startWrit({ env: { WRIT_LOG: 'warn' } })
  try {
    const files = estateFiles(POLICIES)
    await applyTo(writ, files)
    tell(`${ops} decisions recorded, to be simulated`)
    await recordAdvice(writ, ops)
    writeFolder(join(folder, 'policies'), files)
    const environment = { PATH: process.env['PATH'], HOME: folder, XDG_CONFIG_HOME: join(folder, 'config'), XDG_CACHE_HOME: join(folder, 'cache') }
    await writeConfig(environment, { url: writ.url, operator: { id: 'bench', key: writ.operatorKey }, identities: {} })
    tell(`writ policy simulate, ${ops} decisions`)
    const began = performance.now()
    const asked = [WRIT, 'policy', 'simulate', join(folder, 'policies'), '--since', '1d', '--json']
    const { stdout } = await promisify(execFile)(process.execPath, asked, { env: environment, maxBuffer: 2 ** 26 })
    const seconds = (performance.now() - began) / 1000
    const said = JSON.parse(stdout) as { readonly replayed: number; readonly changed: number }
    if (said.replayed !== ops || said.changed !== 0) throw new Error(`writ policy simulate replayed ${said.replayed} and changed ${said.changed}`)
    return figure('writ policy simulate (sqlite)', ops, inTime(ops, seconds))
  } finally {
    await writ.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function recordAdvice(writ: RunningWrit, ops: number): Promise<void> {
  const { resource, ...common } = QUESTION
  const body = { ...common, evaluations: Array.from({ length: BATCH }, () => ({ resource })) }
  await load(ops / BATCH, 2, async () => {
    const got = await writ.operator(authzen.evaluateAccesses, { body })
    if (got.status !== 200) throw new Error(`the server answered ${got.status}: ${got.text}`)
  })
}

function writeFolder(folder: string, files: BundleFiles): void {
  for (const [path, text] of Object.entries(files)) {
    const file = join(folder, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
}
