import { offerFirstPerson } from '@writ/contract/people'
import { inert } from '@writ/ledger/inert'
import type { Command } from 'commander'
import { isElsewhere, opened, tunnelTo } from '../browser.ts'
import { call } from '../client.ts'
import { operatorConnection, startOf, type Start } from '../connections.ts'
import { usage, type Run } from '../exit.ts'
import { inertJson } from '../inert.ts'
import { printLine, say } from '../output.ts'

export function define(command: Command, run: Run): void {
  command.description('open the console in a browser, at the page of whatever an id names; where there is no browser, say how to get there')
    .argument('[id]', 'an id, such as that of a task, a decision or an approval')
    .option('--first', 'a one-time link that makes you the first person here, an administrator')
    .action((id: string | undefined, flags: { readonly first?: true }, own: Command) => run(async () => {
      const start = await startOf(own)
      const { settings, server } = start
      if (flags.first === true && id !== undefined) throw usage('--first opens the sign-in of the first administrator, and no page of an id')
      const url = flags.first === true ? await firstLink(start) : consoleUrl(server, id)
      const tunnel = isElsewhere(settings.environment) ? tunnelTo(server) : undefined
      if (settings.format === 'json' || settings.format === 'jsonl') printLine(inertJson({ url, tunnel: tunnel ?? null }))
      else printLine(url)
      if (tunnel !== undefined) say(settings, `there is no browser here: from your own machine first run\n  ${tunnel}`)
      else if (!(await opened(url, settings.environment))) say(settings, 'no browser could be started: open this address in one')
    }))
}

async function firstLink(start: Start): Promise<string> {
  const { link } = await call(operatorConnection(start), offerFirstPerson)
  say(start.settings, 'whoever opens this link within 15 minutes becomes the first administrator; operator keys that came by a link end with that')
  return link
}

/** By its id the console knows what page a thing has. A passkey belongs to a name: on this machine that is `localhost`, and never a number. */
export function consoleUrl(server: string, id: string | undefined): string {
  if (id !== undefined && !/^[a-z]{3}_[0-9a-z]{26}$/.test(id)) throw usage(`\`${inert(id)}\` is no id`, 'such as tsk_01h455vb4pex5vsknk084sn02q')
  const url = new URL(server)
  if (url.hostname === '127.0.0.1' || url.hostname === '[::1]') url.hostname = 'localhost'
  return id === undefined ? `${url.origin}/` : `${url.origin}/go/${id}`
}
