import { explainDecision } from '@writ/contract/decisions'
import { ID_PREFIX, parseId, type IdKind } from '@writ/domain/id'
import { nearestOf } from '@writ/domain/nearest'
import type { Command } from 'commander'
import { call } from '../client.ts'
import { eitherConnection, startOf } from '../connections.ts'
import { usage, type CommandFailure, type Run } from '../exit.ts'
import { printExplanation } from '../explanation-lines.ts'
import type { HolderFlags } from '../holder.ts'
import { inertJson } from '../inert.ts'
import { printLine } from '../output.ts'
import { holderOptions } from './options.ts'

export function define(command: Command, run: Run): void {
  holderOptions(command.argument('<decision>', 'its id, `dec_...`').description('why a decision came out as it did, what would allow it, and what to do next'))
    .action((asked: string, flags: HolderFlags) => run(async () => {
      const start = await startOf(command)
      const id = parseId('decision', asked.trim())
      if (id === undefined) throw noDecision(asked.trim())
      const explanation = await call(await eitherConnection(start, flags), explainDecision, { parameters: { id } })
      if (start.settings.format === 'human' || start.settings.format === 'plain') await printExplanation(start.settings, explanation)
      else printLine(inertJson(explanation, start.settings.format === 'json' ? 2 : undefined))
    }))
}

/** Where what is asked about can be looked at instead. */
const SHOWN_BY: Partial<Record<IdKind, (id: string) => string>> = {
  identity: (id) => `writ identity show ${id}`,
  task: (id) => `writ task show ${id}`,
  finding: () => 'writ findings list',
  backend: () => 'writ backend list',
  operator: () => 'writ operator list',
  issuer: () => 'writ issuer list',
  event: () => 'writ audit tail',
}

function noDecision(asked: string): CommandFailure {
  const prefix = asked.slice(0, Math.max(0, asked.indexOf('_')))
  const kind = (Object.keys(ID_PREFIX) as IdKind[]).find((one) => ID_PREFIX[one] === prefix)
  if (kind === 'decision') return usage(`\`${asked}\` is not a whole id of a decision`, '`dec_` and 26 characters follow it: copy all of it')
  if (kind !== undefined) return usage(`\`${asked}\` is the id of ${/^[aeiou]/.test(kind) ? 'an' : 'a'} ${kind}, and decisions are explained`, ...hintsFor(kind, asked))
  const near = nearestOf(prefix, Object.values(ID_PREFIX))
  return usage(`\`${asked}\` is no id of a decision`, near === 'dec' ? `did you mean \`dec${asked.slice(prefix.length)}\`?` : 'it begins with `dec_`, as denials and `writ can` say it')
}

function hintsFor(kind: IdKind, asked: string): readonly string[] {
  const shown = SHOWN_BY[kind]
  return shown === undefined ? [] : [shown(parseId(kind, asked) ?? 'ID')]
}
