import { whoAmI } from '@writ/contract/registry'
import type { Command } from 'commander'
import { call } from '../client.ts'
import { eitherConnection, startOf } from '../connections.ts'
import type { HolderFlags } from '../holder.ts'
import type { Run } from '../exit.ts'
import { printThing } from '../output.ts'
import { holderOptions } from './options.ts'

export function define(command: Command, run: Run): void {
  holderOptions(command).action((flags: HolderFlags) => run(async () => {
    const start = await startOf(command)
    const me = await call(await eitherConnection(start, flags), whoAmI)
    await printThing(start.settings, me, [['kind', me.kind], ['id', me.id], ['name', me.name], ['server', start.server]])
  }))
}
