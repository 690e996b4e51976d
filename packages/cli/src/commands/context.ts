import type { Command } from 'commander'
import { contextsOf, DEFAULT_CONTEXT, DEFAULT_URL, inContext, readConfig, serverOf, writeConfig, type Config, type Context } from '../config.ts'
import type { Run } from '../exit.ts'
import { printList, printThing, whenOf } from '../output.ts'
import { settingsOf, type Settings } from '../settings.ts'

export function define(command: Command, run: Run): void {
  command.command('list').description('the servers that are known here').action((_, own: Command) => run(async () => {
    const settings = settingsOf(own)
    const config = await readConfig(settings.environment)
    const rows = Object.entries(contextsOf(config)).toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, context]) => rowOf(config, name, context))
      .filter((row) => row.current || row.name !== DEFAULT_CONTEXT || config.others?.[DEFAULT_CONTEXT]?.url !== undefined)
    await printList(settings, rows, [
      { head: '', of: (row) => (row.current ? '*' : '') },
      { head: 'name', of: (row) => row.name },
      { head: 'server', of: (row) => row.server },
      { head: 'as', of: (row) => row.as },
      { head: 'ends', of: (row) => (row.ends_at === null ? null : whenOf(settings, row.ends_at)) },
    ])
  }))
  command.command('show [name]').description('one of them; the current one without a name').action((name: string | undefined, _, own: Command) => run(async () => {
    const settings = settingsOf(own)
    const config = await readConfig(settings.environment)
    await print(settings, name === undefined ? config : inContext(config, name, false))
  }))
  command.command('use <name>').description('make it the current one; with --url a new one is begun').action((name: string, _, own: Command) => run(async () => {
    const settings = settingsOf(own)
    const { WRIT_CONTEXT: _asked, ...environment } = settings.environment
    const config = inContext(await readConfig(environment), name, settings.url !== undefined)
    const server = serverOf(settings, config)
    // What opened one server opens no other.
    const { operator: _operator, sign_in: _signIn, ...bare } = config
    const used = settings.url === undefined || (config.url !== undefined && serverOf({ url: undefined }, config) === server) ? config : { ...bare, url: server }
    await writeConfig(environment, used)
    await print(settings, used)
  }))
}

function rowOf(config: Config, name: string, { url = DEFAULT_URL, operator, sign_in: signIn }: Context) {
  return { name, current: name === (config.context ?? DEFAULT_CONTEXT), server: url, as: signIn?.name ?? operator?.id ?? null, ends_at: signIn?.ends_at ?? null }
}

async function print(settings: Settings, config: Config): Promise<void> {
  const row = rowOf(config, config.context ?? DEFAULT_CONTEXT, config)
  await printThing(settings, row, [['name', row.name], ['server', row.server], ['as', row.as ?? 'nobody'], ['ends', row.ends_at === null ? null : whenOf(settings, row.ends_at)]])
}
