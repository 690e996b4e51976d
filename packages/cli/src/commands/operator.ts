import { addOperator, listOperators, removeOperator, type OperatorReply } from '@writ/contract/operators'
import type { Command } from 'commander'
import { confirm, textFor } from '../ask.ts'
import { call } from '../client.ts'
import { operatorConnection, startOf, type Start } from '../connections.ts'
import type { Run } from '../exit.ts'
import { printList, printThing, say, whenOf } from '../output.ts'

export function define(command: Command, run: Run): void {
  command.command('list').description('list operators').action((_, own: Command) => run(async () => {
    const start = await startOf(own)
    const { operators } = await call(operatorConnection(start), listOperators)
    await printList(start.settings, operators, [
      { head: 'id', of: (row) => row.id },
      { head: 'name', of: (row) => row.name },
      { head: 'state', of: (row) => row.state },
      { head: 'since', of: (row) => whenOf(start.settings, row.created_at) },
      { head: 'removed', of: (row) => whenOf(start.settings, row.removed_at) },
    ])
  }))
  command.command('add <name>').description('make a key for one more operator; it is shown this once').action((name: string, _, own: Command) => run(async () => {
    const start = await startOf(own)
    const { key, ...added } = await call(operatorConnection(start), addOperator, { body: { name } })
    await printOperator(start, { ...added, key })
    say(start.settings, 'the key is kept nowhere: hand it over by a way that nobody else reads; `writ login --paste` takes it on standard input')
  }))
  command.command('remove <id>').description('refuse the key of an operator from now on, on every server').option('--reason <text>', 'why; it is recorded')
    .action((id: string, flags: { readonly reason?: string }, own: Command) => run(async () => {
      const start = await startOf(own)
      const reason = await textFor(start.settings, '--reason', flags.reason, 'why?')
      if (start.settings.mayAsk) await confirm(start.settings, `remove operator ${id} for ever?`)
      await printOperator(start, await call(operatorConnection(start), removeOperator, { parameters: { id }, body: { reason } }))
    }))
}

async function printOperator({ settings }: Start, operator: OperatorReply & { readonly key?: string }): Promise<void> {
  await printThing(settings, operator, [
    ['id', operator.id], ['name', operator.name], ['state', operator.state], ['since', whenOf(settings, operator.created_at)],
    ...(operator.removed_at === null ? [] : [['removed', whenOf(settings, operator.removed_at)] as const]),
    ...(operator.key === undefined ? [] : [['key', operator.key] as const]),
  ])
}
