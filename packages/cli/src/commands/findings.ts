import { listFindings, resolveFinding } from '@writ/contract/registry'
import type { Command } from 'commander'
import { confirm, textFor } from '../ask.ts'
import { call } from '../client.ts'
import { operatorConnection, startOf } from '../connections.ts'
import { inertJson } from '../inert.ts'
import type { Run } from '../exit.ts'
import { printList, printThing, whenOf } from '../output.ts'

export function define(command: Command, run: Run): void {
  command.command('list').description('the newest hundred findings').action((_, own: Command) => run(async () => {
    const start = await startOf(own)
    const { findings } = await call(operatorConnection(start), listFindings)
    await printList(start.settings, findings, [
      { head: 'id', of: (row) => row.id },
      { head: 'kind', of: (row) => row.kind },
      { head: 'identity', of: (row) => row.identity },
      { head: 'state', of: (row) => row.state },
      { head: 'raised', of: (row) => whenOf(start.settings, row.raised_at) },
      { head: 'evidence', of: (row) => inertJson(row.evidence) },
    ])
  }))
  command.command('resolve <id>').description('say that what was found is no longer so').option('--reason <text>', 'why; it is recorded')
    .action((id: string, flags: { readonly reason?: string }, own: Command) => run(async () => {
      const start = await startOf(own)
      const reason = await textFor(start.settings, '--reason', flags.reason, 'why?')
      if (start.settings.mayAsk) await confirm(start.settings, `resolve finding ${id}?`)
      const found = await call(operatorConnection(start), resolveFinding, { parameters: { id }, body: { reason } })
      await printThing(start.settings, found, [['id', found.id], ['kind', found.kind], ['identity', found.identity], ['state', found.state]])
    }))
}
