import { applyPolicies, listPolicies, rollBackPolicies, showCurrentPolicies, showPolicies, type AppliedPoliciesReply, type PolicyFilesReply, type PolicyVersionReply } from '@writ/contract/policies'
import { inert } from '@writ/ledger/inert'
import { confirm, textFor } from '../ask.ts'
import { call, type Connection } from '../client.ts'
import { operatorConnection, type Start } from '../connections.ts'
import { CommandFailure, EXIT } from '../exit.ts'
import { inertJson, inertLines } from '../inert.ts'
import { printLine, printList, printThing, say, whenOf } from '../output.ts'

export async function listVersions(start: Start, page: { readonly limit: number; readonly cursor?: string }): Promise<void> {
  const { settings } = start
  const { versions, next } = await call(operatorConnection(start), listPolicies, { query: { limit: page.limit, cursor: page.cursor } })
  await printList(settings, versions, [
    { head: 'version', of: (row) => row.version },
    { head: 'state', of: (row) => (row.in_force ? 'in force' : 'past') },
    { head: 'applied', of: (row) => whenOf(settings, row.applied_at) },
    { head: 'by', of: (row) => row.applied_by },
    { head: 'reason (as said)', of: (row) => row.reason },
    { head: 'brings back', of: (row) => row.rolled_back_to },
    { head: 'digest', of: (row) => (settings.format === 'human' ? row.digest.slice(0, 12) : row.digest) },
  ])
  if (next !== null) say(settings, `more: --cursor ${next}`)
}

export async function showVersion(start: Start, version: number | undefined, out: string | undefined): Promise<void> {
  const { settings } = start
  const shown = await filesOf(operatorConnection(start), version)
  if (out !== undefined) {
    const { writeFolder } = await import('../policy/folder.ts')
    await writeFolder(out, shown.files)
    say(settings, `version ${shown.version} written to ${inert(out)}`)
    return
  }
  if (settings.format === 'json' || settings.format === 'jsonl') return printLine(inertJson(shown, settings.format === 'json' ? 2 : undefined))
  if (settings.format === 'human') await printThing(settings, shown, linesOf(start, shown))
  for (const [file, text] of Object.entries(shown.files).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    printLine(`\n// ${inert(file)}`)
    printLine(inertLines(text.trimEnd()))
  }
}

export const filesOf = (connection: Connection, version: number | undefined): Promise<PolicyFilesReply> =>
  (version === undefined ? call(connection, showCurrentPolicies) : call(connection, showPolicies, { parameters: { version: String(version) } }))

const linesOf = ({ settings }: Start, shown: PolicyVersionReply): readonly (readonly [string, string | number | null])[] => [
  ['version', shown.version],
  ['state', shown.in_force ? 'in force' : 'past'],
  ['applied', `${shown.applied_at} (${whenOf(settings, shown.applied_at)})`],
  ['by', shown.applied_by],
  ['reason (as said)', shown.reason],
  ...(shown.rolled_back_to === null ? [] : [['brings back', shown.rolled_back_to] as const]),
  ['digest', shown.digest],
]

/** What a server's version is compared by: what of it can't be read here is not compared, and that is said. */
async function bundleOf({ server }: Start, { version, files }: PolicyFilesReply) {
  const { readCheckedBundle } = await import('@writ/policy/bundle')
  const read = readCheckedBundle(files)
  if (read.ok) return read.value
  const [first] = read.refusal
  throw new CommandFailure(EXIT.unexpected, `version ${version} of ${server} can not be read here: ${first?.file}:${first?.line}: ${first?.message}`, {
    hints: ['server and command line should have the same version: `writ version`'],
  })
}

export async function diffPolicies(start: Start, folder: string, against: number | undefined): Promise<void> {
  const { settings } = start
  const { fitBundle } = await import('../policy/check.ts')
  const after = await fitBundle(folder)
  const shown = await filesOf(operatorConnection(start), against)
  const { differencesOf } = await import('@writ/policy/differences')
  const differences = differencesOf(await bundleOf(start, shown), after)
  if (settings.format === 'json' || settings.format === 'jsonl') return printLine(inertJson({ against: shown.version, ...differences }, settings.format === 'json' ? 2 : undefined))
  const { showDifferences, summaryOf } = await import('../policy/show-differences.ts')
  await showDifferences(settings, differences, true)
  say(settings, `against version ${shown.version}: ${summaryOf(differences) ?? nothingDiffers(shown.files, after.files)}`)
}

/** Files may differ where nothing in them decides, such as in what is written for readers. */
const nothingDiffers = (before: Files, after: Files): string => (sameFiles(before, after) ? 'nothing differs' : 'nothing differs but how it is written')

type Files = PolicyFilesReply['files']

const sameFiles = (before: Files, after: Files): boolean => {
  const [was, is] = [Object.keys(before), Object.keys(after)]
  return was.length === is.length && is.every((file) => before[file] === after[file])
}

type ApplyFlags = { readonly reason?: string; readonly expect?: number; readonly dryRun?: true }

/** Checked and tested here first, for the fast answer; the server does both again, and what was shown is what is applied or nothing. */
export async function applyFolder(start: Start, folder: string, flags: ApplyFlags): Promise<void> {
  const { settings } = start
  const { testedEngine } = await import('../policy/check.ts')
  const engine = await testedEngine(folder)
  const { idempotencyKey: _, ...asking } = operatorConnection(start)
  const shown = await filesOf(asking, undefined)
  if (flags.expect !== undefined && flags.expect !== shown.version) {
    throw new CommandFailure(EXIT.conflict, `version ${shown.version} is in force, and not ${flags.expect}; nothing was applied`, { hints: [`see what it changed: writ policy diff ${folder}`] })
  }
  const { files } = engine.bundle
  if (sameFiles(shown.files, files)) return printApplied(start, { ...shown, changed: false }, shown.version)
  const reason = flags.dryRun ? '' : await textFor(settings, '--reason', flags.reason, 'why?')
  const { differencesOf } = await import('@writ/policy/differences')
  const { showDifferences, summaryOf } = await import('../policy/show-differences.ts')
  const differences = differencesOf(await bundleOf(start, shown), engine.bundle)
  if (settings.format === 'human') await showDifferences(settings, differences, false)
  const summary = summaryOf(differences) ?? 'nothing differs but how it is written'
  if (flags.dryRun) return say(settings, `to do against version ${shown.version}: ${summary}; nothing was done`)
  if (settings.mayAsk) await confirm(settings, `apply this in place of version ${shown.version}, on every server of ${start.server}?`)
  const applied = await call(operatorConnection(start), applyPolicies, { body: { files: { ...files }, reason, expected_version: shown.version } })
  await printApplied(start, applied, shown.version, summary)
}

export async function rollBack(start: Start, version: number, flags: { readonly reason?: string; readonly expect?: number }): Promise<void> {
  const { settings } = start
  const { idempotencyKey: _, ...asking } = operatorConnection(start)
  const { version: before } = await call(asking, showCurrentPolicies)
  const reason = await textFor(settings, '--reason', flags.reason, 'why?')
  if (settings.mayAsk) await confirm(settings, `bring back version ${version} in place of version ${before}?`)
  // Where a person was shown no version, whatever is in force is what they want to be rid of.
  const expected = flags.expect === undefined ? {} : { expected_version: flags.expect }
  await printApplied(start, await call(operatorConnection(start), rollBackPolicies, { body: { version, reason, ...expected } }), before)
}

/** The version alone on standard output, for whoever goes on with it. */
async function printApplied({ settings }: Start, applied: AppliedPoliciesReply, before: number, summary?: string): Promise<void> {
  const { version, changed, in_force: inForce, rolled_back_to: broughtBack, reason, digest, applied_at: at, applied_by: by } = applied
  if (settings.format === 'json' || settings.format === 'jsonl') {
    const thing = { version, changed, before, digest, in_force: inForce, rolled_back_to: broughtBack, reason, applied_by: by, applied_at: at }
    await printThing(settings, thing, [])
  } else printLine(`${version}`)
  if (!changed) return say(settings, `nothing to do: version ${version} is in force and has these very files`)
  say(settings, `version ${version} is in force on every server, in place of version ${before}${summary === undefined ? '' : `: ${summary}`}${broughtBack === null ? '' : `; it brings back version ${broughtBack}`}`)
  say(settings, `back again: writ policy rollback ${before} --reason TEXT`)
}
