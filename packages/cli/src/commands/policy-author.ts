import { inert } from '@writ/ledger/inert'
import { openEngine } from '@writ/policy/engine'
import type { CaseResult } from '@writ/policy/cases'
import type { Bundle } from '@writ/policy/bundle'
import type { Complaint } from '@writ/policy/complaint'
import { DEFAULT_BUNDLE } from '@writ/policy/defaults'
import { reformatted } from '@writ/policy/format'
import { join } from 'node:path'
import { EXIT, type Answer } from '../exit.ts'
import { inertJson } from '../inert.ts'
import { painterOf, printLine, printList, say } from '../output.ts'
import { casesOf, checkFiles, fitBundle, placeOf, unfit } from '../policy/check.ts'
import { readFolder, replaceText, writeFolder } from '../policy/folder.ts'
import type { Settings } from '../settings.ts'
import { count } from '../policy/count.ts'

/** Whatever is wrong with the files of a directory: none of these verbs talks to a server. */
const UNFIT: Answer = EXIT.unexpected

export async function initPolicies(settings: Settings, folder: string): Promise<void> {
  await writeFolder(folder, DEFAULT_BUNDLE)
  const files = Object.keys(DEFAULT_BUNDLE)
  await printList(settings, files.map((file) => ({ file: join(folder, file) })), [{ head: 'written', of: (row) => row.file }])
  say(settings, `what a server decides by from its first start on; go on with: writ policy test ${inert(folder)}`)
}

export async function checkPolicies(settings: Settings, folder: string): Promise<Answer> {
  const checked = checkFiles(await readFolder(folder))
  if (checked.ok) {
    printComplaints(settings, folder, [])
    say(settings, `${partsOf(checked.value)}: nothing to complain of`)
    return EXIT.ok
  }
  printComplaints(settings, folder, checked.refusal)
  say(settings, count(checked.refusal.length, 'complaint'))
  return UNFIT
}

const partsOf = ({ policies, tools }: Bundle): string => `${count(policies.length, 'policy', 'policies')}, ${count(tools.length, 'tool')}`

/** `file:line:column: message`, as compilers say it and editors read it. */
function printComplaints({ format }: Settings, folder: string, complaints: readonly Complaint[]): void {
  if (format === 'json') return printLine(inertJson(complaints, 2))
  if (format === 'jsonl') return complaints.forEach((one) => printLine(inertJson(one)))
  for (const { message, hint, ...place } of complaints) {
    if (format === 'plain') printLine([placeOf(folder, place), message, hint ?? '-'].map(inert).join('\t'))
    else printLine(`${inert(placeOf(folder, place))}: ${inert(message)}${hint === undefined ? '' : `\n  hint: ${inert(hint)}`}`)
  }
}

export async function testPolicies(settings: Settings, folder: string): Promise<Answer> {
  const bundle = await fitBundle(folder)
  const results = casesOf(openEngine(bundle), bundle)
  const failed = results.filter(({ passed }) => !passed)
  await printResults(settings, folder, results)
  if (results.length === 0) say(settings, 'there are no cases: write them to `tests/*.json` beside the policies')
  else say(settings, `${count(results.length, 'case')}: ${failed.length === 0 ? 'all pass' : `${results.length - failed.length} pass, ${failed.length} ${failed.length === 1 ? 'fails' : 'fail'}`}`)
  return failed.length === 0 ? EXIT.ok : UNFIT
}

/** Scripts get every case, a person those that failed, each with the four lines of its explanation. */
async function printResults(settings: Settings, folder: string, results: readonly CaseResult[]): Promise<void> {
  const rows = results.map(({ asked: { name, file, line, expect, by: expectedBy }, passed, came, by, why }) => ({ name, file, line, passed, expect, expected_by: expectedBy, came, by, why }))
  if (settings.format !== 'human') {
    return printList(settings, rows, [
      { head: 'passed', of: (row) => (row.passed ? 'pass' : 'FAIL') }, { head: 'case', of: (row) => row.name }, { head: 'expected', of: (row) => row.expect }, { head: 'came', of: (row) => row.came },
      { head: 'place', of: (row) => `${join(folder, row.file)}:${row.line}` },
    ])
  }
  const paint = await painterOf(settings)
  for (const row of rows.filter(({ passed }) => !passed)) {
    const by = row.by.length === 0 ? '' : ` by ${row.by.map(({ policy }) => policy).join(', ')}`
    printLine(`${paint.red('FAIL')}  ${inert(placeOf(folder, { ...row, column: 1 }))}: ${inert(row.name)}`)
    printLine(inert(`  expects ${row.expect}${row.expected_by === null ? '' : ` by ${row.expected_by.join(', ')}`}; came ${row.came}${by}`))
    for (const line of row.why) printLine(`    ${inert(line)}`)
  }
}

export async function formatPolicies(settings: Settings, folder: string, onlyCheck: boolean): Promise<Answer> {
  const changed = reformatted(await readFolder(folder))
  if (!changed.ok) throw unfit(folder, changed.refusal)
  const files = Object.entries(changed.value)
  if (!onlyCheck) for (const [file, text] of files) await replaceText(folder, file, text)
  if (files.length === 0 && settings.format === 'human') say(settings, 'nothing to do')
  else await printList(settings, files.map(([file]) => ({ file: join(folder, file) })), [{ head: onlyCheck ? 'not in form' : 'written', of: (row) => row.file }])
  return onlyCheck && files.length > 0 ? UNFIT : EXIT.ok
}
