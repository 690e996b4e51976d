import { STREAM_NAMES } from '@writ/contract/events'
import type { LiveEvent } from '@writ/contract/live'
import { inert } from '@writ/ledger/inert'
import { Option, type Command } from 'commander'
import { operatorConnection, startOf, type Start } from '../connections.ts'
import type { Run } from '../exit.ts'
import { inertJson } from '../inert.ts'
import { follow } from '../live.ts'
import { printLine, say, warn } from '../output.ts'
import { wholeNumber } from './options.ts'

type WatchFlags = { readonly stream?: LiveEvent['stream']; readonly task?: string; readonly after?: string; readonly limit?: number }

export function define(command: Command, run: Run): void {
  command.description('everything that is recorded, as it comes, one line each, until Ctrl-C; a line that is cut is taken up again where it was')
    .addOption(new Option('--stream <stream>', 'only this one').choices([...STREAM_NAMES]))
    .option('--task <task>', 'only events of this task')
    .option('--after <event>', 'begin behind this event instead of now')
    .option('--limit <number>', 'end after so many', wholeNumber)
    .action((flags: WatchFlags, own: Command) => run(async () => watch(await startOf(own), flags)))
}

async function watch(start: Start, { stream, task, after, limit }: WatchFlags): Promise<void> {
  const { settings } = start
  const isJson = settings.format === 'json' || settings.format === 'jsonl'
  const between = settings.format === 'plain' ? '\t' : '  '
  const events = follow(operatorConnection(start), {
    query: { stream, task }, after,
    onCut: (why) => { say(settings, `the stream was cut: ${inert(why)}; trying again`) },
    onResumed: (isWhole) => {
      if (!isWhole) warn('the server does not know the last event that was shown here: what was recorded meanwhile is in `writ audit tail`')
    },
  })
  let shown = 0
  for await (const event of events) {
    printLine(isJson ? inertJson(event) : lineOf(event, between))
    if (++shown === limit) return
  }
}

/** The time first, then what happened, who did it and to what; facts as `name=value`, so that a line can be searched for. */
function lineOf({ at, stream, type, actor, identity, task, lease, facts }: LiveEvent, between: string): string {
  const about = [identity, task, lease].filter((id) => id !== null)
  const told = Object.entries(facts).map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  return [at, stream, type, `${actor.kind}:${actor.id}`, ...about, ...told].map(inert).join(between)
}
