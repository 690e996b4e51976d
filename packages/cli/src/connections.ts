import type { Command } from 'commander'
import type { Connection } from './client.ts'
import { bearerFor, readConfig, serverOf, type Config } from './config.ts'
import { CommandFailure, EXIT } from './exit.ts'
import { readHolder, type HolderFlags } from './holder.ts'
import { settingsOf, type Settings } from './settings.ts'

/** What every command that talks to a server starts from. */
export type Start = { readonly settings: Settings; readonly config: Config; readonly server: string }

export async function startOf(command: Command): Promise<Start> {
  const settings = settingsOf(command)
  const config = await readConfig(settings.environment)
  return { settings, config, server: serverOf(settings, config) }
}

export function anyoneConnection({ settings, server }: Start): Connection {
  return { server, timeoutMs: settings.timeoutMs, ...(settings.idempotencyKey === undefined ? {} : { idempotencyKey: settings.idempotencyKey }) }
}

/** As the person who has signed in here, or by an operator's key. */
export function operatorConnection(start: Start): Connection {
  const bearer = bearerFor(start.server, start.config, start.settings.environment)
  if (bearer === undefined) throw new CommandFailure(EXIT.not_signed_in, `nobody is signed in to ${start.server} here`, { hints: ['`writ login`'] })
  return { ...anyoneConnection(start), bearer: () => bearer, ...(bearer === start.config.sign_in?.secret ? { onceRefused: SIGN_IN_OVER } : {}) }
}

const SIGN_IN_OVER = { message: 'your sign-in has ended, or was revoked', hint: '`writ login`' }

export async function identityConnection(start: Start, flags: HolderFlags): Promise<Connection & { readonly spiffeId: string }> {
  const holder = await readHolder(flags, start.config, start.settings.environment)
  const { makeAssertion } = await import('./assertion.ts')
  return { ...anyoneConnection(start), bearer: () => makeAssertion(holder, start.server), spiffeId: holder.spiffeId }
}

/** For endpoints that both may ask: the identity when one is named, else the operator when there is a key, else the identity. */
export async function eitherConnection(start: Start, flags: HolderFlags): Promise<Connection> {
  const named = flags.as !== undefined || flags.key !== undefined
  const isOperator = bearerFor(start.server, start.config, start.settings.environment) !== undefined
  if (named || (!isOperator && Object.keys(start.config.identities).length > 0)) return identityConnection(start, flags)
  return operatorConnection(start)
}
