import type { Command } from 'commander'
import type { Run } from '../exit.ts'
import { printThing } from '../output.ts'
import { settingsOf } from '../settings.ts'
import { VERSION } from '../version.ts'

export function define(command: Command, run: Run): void {
  command.action(() => run(async () => {
    await printThing(settingsOf(command), { version: VERSION, node: process.versions.node }, [['writ', VERSION], ['node', process.versions.node]])
  }))
}
