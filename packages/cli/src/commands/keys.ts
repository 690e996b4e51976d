import { listSigningKeys, replaceSigningKeys, rotateSigningKeys, type SigningKeyReply } from '@writ/contract/oauth'
import type { Command } from 'commander'
import { confirm, textFor } from '../ask.ts'
import { call } from '../client.ts'
import { operatorConnection, startOf, type Start } from '../connections.ts'
import { usage, type Run } from '../exit.ts'
import { printList, say, whenOf } from '../output.ts'

type RotateFlags = { readonly emergency?: true; readonly reason?: string }

export function define(command: Command, run: Run): void {
  command.command('list').description('the keys that sign access tokens, newest first').action((_, own: Command) => run(async () => {
    const start = await startOf(own)
    await printKeys(start, (await call(operatorConnection(start), listSigningKeys)).keys)
  }))
  command.command('rotate').description('show the next key, which signs from five minutes later on')
    .option('--emergency', 'the keys may have leaked: revoke all of them, and with them every token, now')
    .option('--reason <text>', 'why; it is recorded with --emergency')
    .action((flags: RotateFlags, own: Command) => run(async () => rotate(await startOf(own), flags)))
}

async function rotate(start: Start, flags: RotateFlags): Promise<void> {
  const connection = operatorConnection(start)
  if (flags.emergency !== true) {
    if (flags.reason !== undefined) throw usage('--reason goes with --emergency', 'leave it out')
    await printKeys(start, (await call(connection, rotateSigningKeys)).keys)
    say(start.settings, 'the next key takes over by itself, once every client has had the time to fetch it')
    return
  }
  const reason = await textFor(start.settings, '--reason', flags.reason, 'why?')
  if (start.settings.mayAsk) await confirm(start.settings, 'refuse every access token that was ever issued?')
  await printKeys(start, (await call(connection, replaceSigningKeys, { body: { reason } })).keys)
  say(start.settings, 'every access token issued before is refused from now on; who checks tokens alone, without asking, learns of it when it fetches the keys again')
}

async function printKeys({ settings }: Start, keys: readonly SigningKeyReply[]): Promise<void> {
  await printList(settings, keys, [
    { head: 'kid', of: (row) => row.kid },
    { head: 'state', of: (row) => row.state },
    { head: 'shown since', of: (row) => whenOf(settings, row.published_at) },
    { head: 'signs since', of: (row) => whenOf(settings, row.activated_at) },
    { head: 'signed until', of: (row) => whenOf(settings, row.retired_at ?? row.revoked_at) },
  ])
}
