import { signOut } from '@writ/contract/people'
import type { Command } from 'commander'
import { call } from '../client.ts'
import { readConfig, serverOf, writeConfig } from '../config.ts'
import { CommandFailure, EXIT, type Run } from '../exit.ts'
import { say } from '../output.ts'
import { settingsOf, type Settings } from '../settings.ts'

export function define(command: Command, run: Run): void {
  command.description('end the sign-in on the server, and forget it here; an operator\'s key is forgotten here alone')
    .option('--forget', 'forget it here although the server can not be reached: there it lives until it ends')
    .action((flags: { readonly forget?: true }) => run(() => logout(settingsOf(command), flags.forget === true)))
}

async function logout(settings: Settings, mayForget: boolean): Promise<void> {
  const { sign_in: signIn, operator, ...config } = await readConfig(settings.environment)
  const server = serverOf({ url: undefined }, config)
  if (signIn === undefined && operator === undefined) return say(settings, `nobody is signed in to ${server} here`)
  if (signIn !== undefined) await endThere(settings, { server, secret: signIn.secret, endsAt: signIn.ends_at, mayForget })
  await writeConfig(settings.environment, config)
  if (signIn !== undefined) say(settings, `signed out of ${server}`)
  if (operator !== undefined) say(settings, `the key of operator ${operator.id} is forgotten here; it still opens ${server}, until somebody runs \`writ operator remove ${operator.id}\``)
}

type Ending = { readonly server: string; readonly secret: string; readonly endsAt: string; readonly mayForget: boolean }

async function endThere(settings: Settings, { server, secret, endsAt, mayForget }: Ending): Promise<void> {
  try {
    await call({ server, timeoutMs: settings.timeoutMs, bearer: () => secret }, signOut)
  } catch (fault) {
    if (!(fault instanceof CommandFailure)) throw fault
    // It had ended before.
    if (fault.exit === EXIT.not_signed_in) return
    if (mayForget) return say(settings, `the server did not hear of it: there the sign-in lives until ${endsAt} at the latest`)
    throw new CommandFailure(fault.exit, `${fault.message}; nothing was forgotten`, { hints: ['`writ logout --forget` forgets it here alone'], cause: fault })
  }
}
