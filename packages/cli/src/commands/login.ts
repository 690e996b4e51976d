import type { Command } from 'commander'
import { call } from '../client.ts'
import { configPath, originOf, readConfig, serverOf, writeConfig } from '../config.ts'
import { CommandFailure, EXIT, usage, type Run } from '../exit.ts'
import { printThing, say } from '../output.ts'
import { settingsOf, type Settings } from '../settings.ts'

export function define(command: Command, run: Run): void {
  command
    .description('trade the one-time link, typed or on standard input, for an operator key that is stored here; or store a key that `writ operator add` made')
    .option('--operator <name>', 'how the record calls you')
    .action((flags: { readonly operator?: string }) => run(async () => {
      const settings = settingsOf(command)
      const config = await readConfig(settings.environment)
      const { readOnce } = await import('../ask.ts')
      const link = parseLink(await readOnce(settings, 'the link that `writ up` printed: '))
      const asked = settings.url === undefined ? undefined : serverOf(settings, config)
      if (link.server !== undefined && asked !== undefined && link.server !== asked) throw usage(`the link is for ${link.server}, and ${asked} was asked for`)
      const server = link.server ?? serverOf(settings, config)
      const operator = link.code.startsWith(OPERATOR_KEY) ? await keepKey(settings, server, link.code) : await signIn(settings, server, link.code, flags.operator)
      const path = configPath(settings.environment)
      say(settings, `operator key stored in ${path}`)
      await printThing(settings, { operator, server, config: path }, [['operator', operator], ['server', server]])
    }))
}

export type FirstLink = { readonly code: string; readonly server: string | undefined }

/** Reads `http://127.0.0.1:7400/first#writ_first_...`, or the code alone. What it can't read it does not repeat. */
export function parseLink(text: string): FirstLink {
  const trimmed = text.trim()
  if (/^[A-Za-z0-9_-]{10,200}$/.test(trimmed)) return { code: trimmed, server: undefined }
  const url = URL.parse(trimmed)
  const code = url?.hash.slice(1) ?? ''
  if (url === null || !/^[A-Za-z0-9_-]{10,200}$/.test(code)) throw usage('this is not the link that `writ up` printed', 'it ends in `/first#` and a code')
  return { code, server: originOf(url.origin, (what) => usage(`the link's server ${what}`)) }
}

/** As every operator key begins. */
const OPERATOR_KEY = 'writ_op_'

/** Stores a key that another operator has made, once the server takes it. */
async function keepKey(settings: Settings, server: string, key: string): Promise<string> {
  const { whoAmI } = await import('@writ/contract/registry')
  const me = await call({ server, timeoutMs: settings.timeoutMs, bearer: () => key }, whoAmI)
  await writeConfig(settings.environment, { ...await readConfig(settings.environment), url: server, operator: { id: me.id, key } })
  return me.id
}

/** Redeems the code and stores the operator key for this server. */
export async function signIn(settings: Settings, server: string, code: string, name?: string): Promise<string> {
  const { redeemBootstrap } = await import('@writ/contract/registry')
  const { hostname, userInfo } = await import('node:os')
  const config = await readConfig(settings.environment)
  const said = name ?? `${userInfo().username}@${hostname()}`
  let redeemed: { readonly operator: string; readonly key: string }
  try {
    redeemed = await call({ server, timeoutMs: settings.timeoutMs }, redeemBootstrap, { body: { code, operator: said } })
  } catch (fault) {
    if (!(fault instanceof CommandFailure) || fault.exit !== EXIT.not_signed_in) throw fault
    throw new CommandFailure(EXIT.not_signed_in, 'the link does not open anything', { hints: ['it works once and for 15 minutes; a restart of the server prints a new one while there is no operator, and `writ up --new-operator-link WHY` one for one more'], cause: fault })
  }
  await writeConfig(settings.environment, { ...config, url: server, operator: { id: redeemed.operator, key: redeemed.key } })
  return redeemed.operator
}
