import { Option, type Command } from 'commander'
import { startOf } from '../connections.ts'
import type { Run } from '../exit.ts'
import { settingsOf } from '../settings.ts'
import { instantOrLength, wholeNumber } from './options.ts'

const REPLAYED = '7d'

/** What each verb needs is loaded by it alone: those that only talk to a server do without the policy engine. */
export function define(command: Command, run: Run): void {
  defineOffline(command, run)
  defineVersions(command, run)
  command.command('diff <folder>').description('what a directory of policies would change at the server')
    .option('--against <version>', 'not the version in force but this one', wholeNumber)
    .action((folder: string, flags: { readonly against?: number }, own: Command) => run(async () => (await import('./policy-versions.ts')).diffPolicies(await startOf(own), folder, flags.against)))
  command.command('simulate <folder>').description('ask a directory of policies what the server was asked, and show which answers would change; nothing is changed')
    .addOption(new Option('--since <time>', 'decisions from then on: a length such as `7d`, or a date').argParser(instantOrLength).default(instantOrLength(REPLAYED), REPLAYED))
    .option('--until <time>', 'decisions before then', instantOrLength)
    .option('--all', 'list all that would change, and not the first twenty')
    .action((folder: string, flags: { readonly since: string; readonly until?: string; readonly all?: true }, own: Command) => run(async () => {
      const { simulate } = await import('./policy-simulate.ts')
      await simulate(await startOf(own), folder, { since: flags.since, until: flags.until, isWhole: flags.all === true })
    }))
}

function defineOffline(command: Command, run: Run): void {
  const author = () => import('./policy-author.ts')
  command.command('init <folder>').description('write the policies that every server begins with, and their cases, to a new directory')
    .action((folder: string, _, own: Command) => run(async () => (await author()).initPolicies(settingsOf(own), folder)))
  command.command('check <folder>').description('types, names and everything else that can be wrong with policies, offline; answers 1 when something is')
    .action((folder: string, _, own: Command) => run(async () => (await author()).checkPolicies(settingsOf(own), folder)))
  command.command('test <folder>').description('run the cases beside the policies, offline; answers 1 when one fails')
    .action((folder: string, _, own: Command) => run(async () => (await author()).testPolicies(settingsOf(own), folder)))
  command.command('fmt <folder>').description('write every policy in the one form that all agree on')
    .option('--check', 'change nothing, name the files that are not, and answer 1 for them')
    .action((folder: string, flags: { readonly check?: true }, own: Command) => run(async () => (await author()).formatPolicies(settingsOf(own), folder, flags.check === true)))
}

function defineVersions(command: Command, run: Run): void {
  const versions = () => import('./policy-versions.ts')
  command.command('list').description('the versions, newest first')
    .option('--limit <number>', 'at most so many', wholeNumber, 100)
    .option('--cursor <cursor>', 'go on after an earlier list')
    .action((flags: { readonly limit: number; readonly cursor?: string }, own: Command) => run(async () => (await versions()).listVersions(await startOf(own), flags)))
  command.command('show').argument('[version]', 'the one in force unless said', wholeNumber).description('the files of a version')
    .option('--out <folder>', 'write them to a new directory')
    .action((version: number | undefined, flags: { readonly out?: string }, own: Command) => run(async () => (await versions()).showVersion(await startOf(own), version, flags.out)))
  command.command('apply <folder>').description('check and test a directory of policies, and decide by it from now on, on every server at once')
    .option('--reason <text>', 'why; it is recorded')
    .option('--expect <version>', 'only in place of this version', wholeNumber)
    .option('--dry-run', 'only show the difference')
    .action((folder: string, flags: { readonly reason?: string; readonly expect?: number; readonly dryRun?: true }, own: Command) => run(async () => (await versions()).applyFolder(await startOf(own), folder, flags)))
  command.command('rollback').argument('<version>', 'whose files come back', wholeNumber).description('bring back the files of an older version, as a new version')
    .option('--reason <text>', 'why; it is recorded')
    .option('--expect <version>', 'only in place of this version', wholeNumber)
    .action((version: number, flags: { readonly reason?: string; readonly expect?: number }, own: Command) => run(async () => (await versions()).rollBack(await startOf(own), version, flags)))
}
