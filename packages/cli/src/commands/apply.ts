import { applyManifest, type Manifest } from '@writ/contract/registry'
import type { Command } from 'commander'
import type { z } from 'zod'
import { inert } from '@writ/ledger/inert'
import { confirm, readInput } from '../ask.ts'
import { call } from '../client.ts'
import { operatorConnection, startOf } from '../connections.ts'
import { usage, type Run } from '../exit.ts'
import { inertJson } from '../inert.ts'
import { readManifest } from '../manifest.ts'
import { painterOf, printLine, say, type Painter } from '../output.ts'
import type { Settings } from '../settings.ts'

type Change = z.infer<typeof applyManifest.reply>['changes'][number]

export function define(command: Command, run: Run): void {
  command
    .description('make the registry as a manifest says, all of it or nothing')
    .requiredOption('-f, --file <file>', 'the manifest in YAML or JSON; `-` is standard input')
    .option('--dry-run', 'only show the difference')
    .action((flags: { readonly file: string; readonly dryRun?: true }) => run(async () => {
      const start = await startOf(command)
      if (flags.file === '-' && start.settings.mayAsk && !start.settings.yes && flags.dryRun === undefined) throw usage('a manifest from standard input needs --yes or --dry-run')
      const manifest = await readManifest(await readInput(flags.file), flags.file, readInput)
      await apply(start.settings, operatorConnection(start), manifest, flags.dryRun === true)
    }))
}

async function apply(settings: Settings, connection: ReturnType<typeof operatorConnection>, manifest: Manifest, dryRun: boolean): Promise<void> {
  // A dry run writes nothing: it must not use up the key of the change.
  const { idempotencyKey: _, ...dry } = connection
  const planned = await call(dry, applyManifest, { query: { dry_run: 'true' }, body: manifest })
  const toDo = planned.changes.filter((change) => change.action !== 'none')
  if (settings.format === 'human') await showDifference(settings, planned.changes)
  if (dryRun || toDo.length === 0) {
    if (settings.format !== 'human') showResult(settings, planned)
    say(settings, toDo.length === 0 ? 'nothing to do' : `${toDo.length} to do; nothing was done`)
    return
  }
  await confirm(settings, `make ${toDo.length} ${toDo.length === 1 ? 'change' : 'changes'}?`)
  const applied = await call(connection, applyManifest, { body: manifest })
  if (settings.format !== 'human') showResult(settings, applied)
  else printWebhooks(applied.changes)
  say(settings, `applied: ${applied.changes.filter((change) => change.action !== 'none').length} of ${applied.changes.length}`)
}

function showResult(settings: Settings, result: { readonly applied: boolean; readonly changes: readonly Change[] }): void {
  if (settings.format === 'json') return printLine(inertJson(result, 2))
  if (settings.format === 'jsonl') return result.changes.forEach((change) => printLine(inertJson(change)))
  for (const change of result.changes) printLine(`${change.action}\t${inert(change.spiffe_id)}\t${change.fields.map((field) => inert(field.field)).join(',')}`)
}

const SIGN = { register: '+', decline: '-', change: '~', none: '=' } as const
const WORD = { register: 'register', decline: 'decline: no identity, the answer is recorded', change: 'change', none: 'as it is' } as const

async function showDifference(settings: Settings, changes: readonly Change[]): Promise<void> {
  const paint = await painterOf(settings)
  for (const line of changes.flatMap((change) => differenceOf(change, paint))) printLine(line)
}

/** `+ spiffe://... register`, then one line for each field. */
export function differenceOf(change: Change, paint: Painter): readonly string[] {
  const colour = { register: paint.green, decline: paint.yellow, change: paint.yellow, none: paint.dim }[change.action]
  const head = colour(`${SIGN[change.action]} ${inert(change.spiffe_id)}  ${WORD[change.action]}`)
  const widest = Math.max(0, ...change.fields.map(({ field }) => field.length))
  return [head, ...change.fields.map(({ field, from, to }) => `    ${inert(field).padEnd(widest)}  ${from === null ? '' : `${inert(from)} -> `}${inert(to)}`)]
}

/** Shown once, and only here. */
function printWebhooks(changes: readonly Change[]): void {
  for (const { spiffe_id: spiffeId, webhook } of changes) {
    if (webhook !== undefined) printLine(`webhook of ${inert(spiffeId)}: ${inert(webhook.path)}  secret (shown once): ${inert(webhook.secret)}`)
  }
}
