import { hostname, userInfo } from 'node:os'
import { beginDeviceSignIn, redeemDeviceSignIn } from '@writ/contract/sign-in'
import { inert } from '@writ/ledger/inert'
import { isElsewhere, opened, tunnelTo } from '../browser.ts'
import { call } from '../client.ts'
import { configPath, readConfig, writeConfig } from '../config.ts'
import { CommandFailure, EXIT } from '../exit.ts'
import { printThing, say, warn, whenOf } from '../output.ts'
import type { Settings } from '../settings.ts'

/** Somebody confirms in a browser that this command line may act as them; their sign-in is stored here for this server. */
export async function loginByBrowser(settings: Settings, server: string): Promise<void> {
  const connection = { server, timeoutMs: settings.timeoutMs }
  const begun = await call(connection, beginDeviceSignIn, { body: { device: `${userInfo().username}@${hostname()}`.slice(0, 100) } })
  const isOpen = process.stderr.isTTY === true && settings.mayAsk && isPage(begun.verification_uri_complete) && (await opened(begun.verification_uri_complete, settings.environment))
  // Said also with --quiet: without it nobody could go on.
  warn(isOpen ? 'a browser was opened; confirm there that it shows this code:' : 'open this page in a browser, and confirm this code there:')
  warn(`\n  ${inert(begun.verification_uri)}\n  ${inert(begun.user_code)}\n`)
  const tunnel = isElsewhere(settings.environment) ? tunnelTo(server) : undefined
  if (tunnel !== undefined) warn(`the page is on this machine alone: from your own machine first run\n  ${tunnel}\n`)
  say(settings, `waiting for that, at most ${Math.floor(begun.expires_in / 60)} min`)
  const { secret, sign_in: signIn, person } = await confirmed({ ...connection, timeoutMs: begun.expires_in * 1000 }, begun.device_code)
  // An operator's key that was here is not meant any more: what is done is done by the person.
  const { operator: _, ...config } = await readConfig(settings.environment, { mayBeNew: true })
  await writeConfig(settings.environment, { ...config, url: server, sign_in: { id: signIn.id, secret, person: person.id, name: person.name, ends_at: signIn.ends_at } })
  const path = configPath(settings.environment)
  say(settings, `the sign-in is stored in ${path}`)
  await printThing(settings, { person: person.id, name: person.name, roles: person.roles, sign_in: signIn.id, ends_at: signIn.ends_at, server, config: path }, [
    ['person', `${person.name} (${person.id})`], ['roles', person.roles.join(', ') || 'none yet'], ['server', server], ['ends', whenOf(settings, signIn.ends_at)],
  ])
}

/** RFC 8628 §3.5: asks again as often as it is told. */
async function confirmed(connection: { readonly server: string; readonly timeoutMs: number }, deviceCode: string) {
  try {
    return await call(connection, redeemDeviceSignIn, { body: { device_code: deviceCode }, patient: true })
  } catch (fault) {
    if (!(fault instanceof CommandFailure)) throw fault
    const code = fault.problem?.code
    if (code === 'access_denied') throw new CommandFailure(EXIT.not_allowed, 'whoever was asked said no', { cause: fault })
    if (code === 'expired_token' || fault.exit === EXIT.timed_out) throw new CommandFailure(EXIT.timed_out, 'nobody confirmed it in time', { hints: ['`writ login`'], cause: fault })
    throw fault
  }
}

const isPage = (text: string): boolean => /^https?:$/.test(URL.parse(text)?.protocol ?? '')
