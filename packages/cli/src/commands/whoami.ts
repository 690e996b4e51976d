import { listSignIns } from '@writ/contract/people'
import { whoAmI } from '@writ/contract/registry'
import type { Command } from 'commander'
import { call } from '../client.ts'
import { eitherConnection, startOf } from '../connections.ts'
import type { HolderFlags } from '../holder.ts'
import type { Run } from '../exit.ts'
import { printThing, whenOf } from '../output.ts'
import { holderOptions } from './options.ts'

export function define(command: Command, run: Run): void {
  holderOptions(command).action((flags: HolderFlags) => run(async () => {
    const start = await startOf(command)
    const connection = await eitherConnection(start, flags)
    const me = await call(connection, whoAmI)
    const lines = [['kind', me.kind], ['id', me.id], ['name', me.name], ['server', start.server]] as const
    if (me.kind !== 'person') return printThing(start.settings, me, lines)
    const own = (await call(connection, listSignIns)).sign_ins.find((one) => one.own)
    const until = { ends_at: own?.ends_at ?? null, idle_until: own?.idle_until ?? null }
    await printThing(start.settings, { ...me, ...until }, [
      ...lines, ['email', me.email ?? null], ['groups', me.groups?.join(', ') || 'none'], ['roles', me.roles?.join(', ') || 'none'],
      ['ends', own === undefined ? null : `${whenOf(start.settings, own.ends_at)}; unused, ${whenOf(start.settings, own.idle_until)}`],
    ])
  }))
}
