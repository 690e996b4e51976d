import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { PROJECT_ROOT } from './breach.ts'
import { decisions } from './bench/decisions.ts'
import type { Figure, Measure } from './bench/figure.ts'
import { ledger } from './bench/ledger.ts'
import { leaseLife } from './bench/lease-life.ts'
import { machine } from './bench/machine.ts'
import { mcp } from './bench/mcp.ts'
import { people } from './bench/people.ts'
import { restart } from './bench/restart.ts'
import { restore } from './bench/restore.ts'
import { taskOpen } from './bench/task-open.ts'
import { tokenIssue } from './bench/token-issue.ts'
import { startCluster, type Cluster } from './postgres-cluster.ts'

const USAGE = `usage: npm run bench -- [--quick] [--only NAME] [--megabytes N] [--json FILE]
  --quick      a tenth of the work: shows that it runs, not how fast it is
  --only NAME  task-open, token-issue, lease-life, ledger, decisions, mcp, people, restart or restore
  --megabytes N  the size of the store that is restored; 5000 for R71 (needs 40 GB of disk)
  --json FILE  writes the machine, the versions and every figure as one JSON object`

/** sysexits.h EX_USAGE would be 64, but Writ's own command line says 2. */
const USAGE_EXIT = 2

const measures = (cluster: Cluster): Readonly<Record<string, Measure>> =>
  ({ 'task-open': taskOpen(cluster), 'token-issue': tokenIssue(cluster), 'lease-life': leaseLife(cluster), ledger: ledger(cluster), decisions: decisions(cluster), mcp: mcp(cluster), people: people(cluster), restart, restore: restore(cluster) })

/** Measures and tells; nothing here passes or fails, for a number depends on the machine and on what else it does. */
async function main(): Promise<number> {
  const options = optionsOf(process.argv.slice(2))
  if (typeof options === 'string') {
    console.error(`error: ${options}\n${USAGE}`)
    return USAGE_EXIT
  }
  const tell = (progress: string): void => console.error(`${(performance.now() / 1000).toFixed(0).padStart(4)} s  ${progress}`)
  tell('a PostgreSQL, with all that makes it durable')
  const cluster = await startCluster({ version: 18 })
  // What the measures share with the tests looks for it here.
  process.env['WRIT_TEST_POSTGRES_18'] = cluster.url()
  try {
    const all = measures(cluster)
    const { only } = options
    if (only !== undefined && all[only] === undefined) {
      console.error(`error: there is no measure \`${only}\`\n${USAGE}`)
      return USAGE_EXIT
    }
    const figures: Figure[] = []
    for (const [name, measure] of Object.entries(all)) {
      if (only === undefined || only === name) figures.push(...await measure({ isQuick: options.quick, megabytes: options.megabytes, tell }))
    }
    tell('done')
    print(figures)
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report(figures, cluster, options.quick), null, 2)}\n`)
    return 0
  } finally {
    await cluster.stop('immediate')
  }
}

type Options = { readonly quick: boolean; readonly only: string | undefined; readonly megabytes: number | undefined; readonly json: string | undefined }

function optionsOf(args: readonly string[]): Options | string {
  try {
    const text = { type: 'string' } as const
    const { values } = parseArgs({ args: [...args], options: { quick: { type: 'boolean' }, only: text, megabytes: text, json: text } })
    const megabytes = values.megabytes === undefined ? undefined : Number(values.megabytes)
    if (megabytes !== undefined && !(Number.isSafeInteger(megabytes) && megabytes > 0)) return `\`${values.megabytes}\` is no number of megabytes`
    return { quick: values.quick ?? false, only: values.only, megabytes, json: values.json }
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && String(cause.code).startsWith('ERR_PARSE_ARGS'))) throw cause
    return cause.message
  }
}

const numberOf = (value: number | null, digits = 1): string => (value === null ? '' : value >= 1000 ? Math.round(value).toLocaleString('en') : value.toFixed(digits))

function print(figures: readonly Figure[]): void {
  const { cpu, cores, memoryGb, os, node } = machine()
  console.log(`${cpu}, ${cores} cores, ${memoryGb} GB, ${os}, Node ${node}; load, server and database share the cores; times in ms\n`)
  const head = ['measure', 'ops', 'per second', 'p50', 'p99', 'CPU/op', 'PG CPU/op', 'peer', 'ratio', 'bar', 'reached']
  const rows = figures.map((one) => [
    one.name, one.ops.toLocaleString('en'), numberOf(one.perSecond), numberOf(one.p50), numberOf(one.p99), numberOf(one.cpuPerOp, 3), numberOf(one.databaseCpuPerOp, 3),
    one.peer === null ? '' : `${one.peer.name}: ${one.peer.perSecond === null ? `p50 ${numberOf(one.peer.p50)}` : `${numberOf(one.peer.perSecond)}/s`}`,
    one.peer === null ? '' : one.peer.ratio.toFixed(2), one.bar ?? '', one.isReached === null ? '' : one.isReached ? 'yes' : 'no',
  ])
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)))
  for (const row of [head, ...rows]) console.log(row.map((cell, column) => (column > 0 && column < 7 ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!))).join('  ').trimEnd())
}

function report(figures: readonly Figure[], cluster: Cluster, isQuick: boolean): object {
  const { version } = JSON.parse(readFileSync(join(PROJECT_ROOT, 'package.json'), 'utf8')) as { readonly version: string }
  return { at: new Date().toISOString(), isQuick, machine: machine(), versions: { writ: version, node: process.versions.node, sqlite: process.versions['sqlite'] ?? null, postgres: cluster.version }, figures }
}

process.exitCode = await main()
