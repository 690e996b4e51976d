import type { Command } from 'commander'
import { call } from '../client.ts'
import { configPath, originOf, readConfig, serverOf, writeConfig } from '../config.ts'
import { CommandFailure, EXIT, usage, type Run } from '../exit.ts'
import { printThing, say } from '../output.ts'
import { settingsOf, type Settings } from '../settings.ts'

type LoginFlags = { readonly operator?: string; readonly paste?: true }

export function define(command: Command, run: Run): void {
  command
    .description('sign in: somebody confirms it in a browser; as long as nobody has ever signed in there, with the one-time link that `writ up` printed, typed or on standard input')
    .option('--paste', 'take the one-time link, or the key that `writ operator add` made, typed or on standard input')
    .option('--operator <name>', 'how the record calls whoever comes by the link')
    .action((flags: LoginFlags) => run(async () => {
      const settings = settingsOf(command)
      const config = await readConfig(settings.environment, { mayBeNew: true })
      const isByLink = flags.paste === true || flags.operator !== undefined || !(await isAnybodyAt(serverOf(settings, config), settings))
      if (isByLink) await loginWithLink(settings, flags)
      else await (await import('./login-by-browser.ts')).loginByBrowser(settings, serverOf(settings, config))
      const asked = settings.environment.WRIT_CONTEXT
      if (asked) say(settings, `\`writ context use ${asked}\` makes it the one that is meant without --in-context`)
    }))
}

const LONGEST_QUESTION_MS = 3000

/** Whether people sign in there. A server that is not there, or is older than that, has its link at most, and the link may name another server. */
async function isAnybodyAt(server: string, settings: Settings): Promise<boolean> {
  const { signInWays } = await import('@writ/contract/sign-in')
  try {
    return (await call({ server, timeoutMs: Math.min(settings.timeoutMs, LONGEST_QUESTION_MS) }, signInWays)).is_anybody
  } catch (fault) {
    if (fault instanceof CommandFailure) return false
    throw fault
  }
}

async function loginWithLink(settings: Settings, flags: LoginFlags): Promise<void> {
  const config = await readConfig(settings.environment, { mayBeNew: true })
  const { readOnce } = await import('../ask.ts')
  const link = parseLink(await readOnce(settings, 'the link that `writ up` printed: '))
  const asked = settings.url === undefined ? undefined : serverOf(settings, config)
  if (link.server !== undefined && asked !== undefined && link.server !== asked) throw usage(`the link is for ${link.server}, and ${asked} was asked for`)
  const server = link.server ?? serverOf(settings, config)
  const operator = link.code.startsWith(OPERATOR_KEY) ? await keepKey(settings, server, link.code) : await signIn(settings, server, link.code, flags.operator)
  const path = configPath(settings.environment)
  say(settings, `operator key stored in ${path}`)
  await printThing(settings, { operator, server, config: path }, [['operator', operator], ['server', server]])
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
  await keepOperator(settings, server, { id: me.id, key })
  return me.id
}

/** In place of whatever opened the context's server before: it was another server's, or is not meant any more. */
async function keepOperator(settings: Settings, server: string, operator: { readonly id: string; readonly key: string }): Promise<void> {
  const { sign_in: _, ...config } = await readConfig(settings.environment, { mayBeNew: true })
  await writeConfig(settings.environment, { ...config, url: server, operator })
}

/** Redeems the code and stores the operator key for this server. */
export async function signIn(settings: Settings, server: string, code: string, name?: string): Promise<string> {
  const { redeemBootstrap } = await import('@writ/contract/registry')
  const { hostname, userInfo } = await import('node:os')
  const said = name ?? `${userInfo().username}@${hostname()}`
  let redeemed: { readonly operator: string; readonly key: string }
  try {
    redeemed = await call({ server, timeoutMs: settings.timeoutMs }, redeemBootstrap, { body: { code, operator: said } })
  } catch (fault) {
    if (!(fault instanceof CommandFailure) || fault.exit !== EXIT.not_signed_in) throw fault
    throw new CommandFailure(EXIT.not_signed_in, 'the link does not open anything', { hints: ['it works once and for 15 minutes; a restart of the server prints a new one while there is no operator, and `writ up --new-operator-link WHY` one for one more'], cause: fault })
  }
  await keepOperator(settings, server, { id: redeemed.operator, key: redeemed.key })
  return redeemed.operator
}
