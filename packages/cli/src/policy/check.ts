import { join } from 'node:path'
import { policyFiles } from '@writ/contract/policies'
import { readBundle, type Bundle, type BundleFiles } from '@writ/policy/bundle'
import { readCases } from '@writ/policy/case-file'
import { failedCases, runCases, type CaseResult } from '@writ/policy/cases'
import type { Complaint } from '@writ/policy/complaint'
import { openEngine, type Engine } from '@writ/policy/engine'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { CommandFailure, EXIT } from '../exit.ts'
import { readFolder } from './folder.ts'

/** What the server would say of these files, their cases not yet run. */
export function checkFiles(files: BundleFiles): Outcome<Bundle, readonly Complaint[]> {
  const bundle = readBundle(files)
  const cases = readCases(files)
  const complaints = [...pathComplaints(files), ...(bundle.ok ? [] : bundle.refusal), ...(cases.ok ? [] : cases.refusal)]
  return complaints.length === 0 && bundle.ok ? ok(bundle.value) : refuse(complaints)
}

function pathComplaints(files: BundleFiles): readonly Complaint[] {
  return Object.keys(files).filter((file) => !policyFiles.safeParse({ [file]: '' }).success).map((file) => ({
    file, line: 1, column: 1, message: 'no server takes a file of this name', hint: 'letters, digits, `.`, `_` and `-`, at most 200 characters in all, folders included',
  }))
}

/** The directory, ready to be compared, tried or applied; whatever is wrong with it ends the command. */
export async function fitBundle(folder: string): Promise<Bundle> {
  const checked = checkFiles(await readFolder(folder))
  if (!checked.ok) throw unfit(folder, checked.refusal)
  return checked.value
}

/** An engine of the directory, its own cases passed. */
export async function testedEngine(folder: string): Promise<Engine> {
  const bundle = await fitBundle(folder)
  const engine = openEngine(bundle)
  const failed = failedCases(casesOf(engine, bundle))
  if (failed.length > 0) throw unfit(folder, failed)
  return engine
}

/** Their files have been read before, and nothing was wrong with them. */
export function casesOf(engine: Engine, bundle: Bundle): readonly CaseResult[] {
  const ran = runCases(engine, bundle)
  if (!ran.ok) throw new Error('files of cases that could be read can not be read any more')
  return ran.value
}

export function unfit(folder: string, complaints: readonly Complaint[]): CommandFailure {
  return new CommandFailure(EXIT.unexpected, `the policies in \`${folder}\` are not fit to be applied`, {
    fields: complaints.map(({ file, line, column, message, hint }) => ({ field: placeOf(folder, { file, line, column }), message: hint === undefined ? message : `${message}; ${hint}` })),
  })
}

/** As editors and terminals take it for a link: from where the command was given. */
export const placeOf = (folder: string, { file, line, column }: Pick<Complaint, 'file' | 'line' | 'column'>): string => `${join(folder, file)}:${line}:${column}`
