import { verifyFile } from '@writ/ledger/offline/evidence-file'
import type { Command } from 'commander'
import { evidenceOf } from '../evidence-file.ts'
import type { Run } from '../exit.ts'
import { printLine } from '../output.ts'
import { inertJson } from '../inert.ts'
import { settingsOf } from '../settings.ts'
import { oneMore } from './options.ts'

type VerifyFlags = { readonly key: string; readonly checkpoint?: readonly string[] }

/** No server, no network, no configuration. */
export function define(command: Command, run: Run): void {
  command.argument('<file>', 'the certificate or the export; `-` is standard input')
    .description("check a closure certificate or a log export, offline, with nothing but the log's public key")
    .requiredOption('--key <file>', "the log's verifier key")
    .option('--checkpoint <file>', 'an earlier checkpoint that you kept; may be repeated', oneMore)
    .action((path: string, flags: VerifyFlags) => run(async () => {
      const settings = settingsOf(command)
      const verified = evidenceOf(verifyFile({ key: flags.key, checkpoints: flags.checkpoint ?? [], file: path }))
      if (settings.format !== 'human') return printLine(inertJson({ verified: true, kind: verified.kind, ...verified.facts }, settings.format === 'json' ? 2 : undefined))
      printLine(`verified: ${verified.kind}`)
      // What the ledger describes is inert already.
      for (const line of verified.lines) printLine(line)
    }))
}
