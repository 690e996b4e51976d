import { parseGrantText, type AuthorizationDetail } from '@writ/domain/authority'
import { parseDuration } from '@writ/domain/time'
import { InvalidArgumentError, type Command } from 'commander'

/** Parsers of flags: what they refuse, commander reports with the flag's name. */

export function wholeNumber(text: string): number {
  if (!/^\d{1,10}$/.test(text) || Number(text) < 1) throw new InvalidArgumentError('it must be a whole number, 1 or more.')
  return Number(text)
}

export function port(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65535) throw new InvalidArgumentError('it must be a port, 0 to 65535.')
  return Number(text)
}

/** Whole seconds, rounded down; the wire knows no smaller unit. */
export function lengthInSeconds(text: string): number {
  const length = parseDuration(text)
  if (length === undefined || length < 1000) throw new InvalidArgumentError('it must be a length such as `90s`, `10m` or `1h`.')
  return Math.floor(length / 1000)
}

/** An instant as the wire has it, from a date, a full instant or a length of time before now. */
export function instantOrLength(text: string): string {
  const length = parseDuration(text)
  if (length !== undefined) return new Date(Math.max(0, Date.now() - length)).toISOString()
  return instantOf(text)
}

/** A hundred years: what is further away was mistyped. */
const MOST_AHEAD_MS = 36_525 * 86_400_000

/** As instantOrLength, but a length is one from now on. */
export function instantAhead(text: string): string {
  const length = parseDuration(text)
  if (length === undefined) return instantOf(text)
  if (length > MOST_AHEAD_MS) throw new InvalidArgumentError('it is too far away.')
  return new Date(Date.now() + length).toISOString()
}

function instantOf(text: string): string {
  const at = /^\d{4}-\d{2}-\d{2}(T[\d:.]+(Z|[+-]\d{2}:\d{2}))?$/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(at)) throw new InvalidArgumentError('it must be a length such as `7d`, a date such as `2027-06-30` or an RFC 3339 instant.')
  return new Date(at).toISOString()
}

/** One more of a flag that may stand several times. */
export const oneMore = (text: string, before: readonly string[] = []): readonly string[] => [...before, text]

export function oneMoreGrant(text: string, before: readonly AuthorizationDetail[] = []): readonly AuthorizationDetail[] {
  const parsed = parseGrantText(text)
  if (!parsed.ok) throw new InvalidArgumentError('it must be TYPE:RESOURCE:ACTION such as `postgres:shop:ddl`.')
  return [...before, parsed.value]
}

export function holderOptions(command: Command): Command {
  return command
    .option('--as <identity>', 'the identity that speaks: a SPIFFE ID or its last part (also WRIT_IDENTITY)')
    .option('--key <file>', 'its private key as a JWK (also WRIT_KEY_FILE)')
}

export type TaskFlags = {
  readonly for: string; readonly grant: readonly AuthorizationDetail[]; readonly ttl?: number; readonly budget?: number; readonly idle?: number; readonly heartbeat?: number
  readonly purposeId?: string; readonly change?: string; readonly as?: string; readonly key?: string
}

export const grantOption = (command: Command): Command => command.requiredOption('--grant <grant>', 'TYPE:RESOURCE:ACTION; may be repeated', oneMoreGrant)

/** What `task open` and `run` ask for. */
export const taskOptions = (command: Command): Command => taskTermOptions(grantOption(holderOptions(command).requiredOption('--for <purpose>', 'what the task is for, in words')))

/** All that bounds a task but its grant. */
export function taskTermOptions(command: Command): Command {
  return command
    .option('--purpose-id <id>', 'the purpose as policies know it')
    .option('--change <reference>', 'the change that this carries out, as your change management names it')
    .option('--ttl <length>', 'from opening to deadline', lengthInSeconds)
    .option('--budget <calls>', 'how many calls the task may make', wholeNumber)
    .option('--idle <length>', 'the task ends when it makes no call for this long', lengthInSeconds)
    .option('--heartbeat <length>', 'the task ends when nothing is heard of its holder for this long', lengthInSeconds)
}

export const authorizationDetailsOf = (grant: TaskFlags['grant']) => grant.map((detail) => (
  { type: detail.type, locations: [...detail.locations], actions: [...detail.actions], ...(detail.limits === undefined ? {} : { limits: { ...detail.limits } }) }
))

/** The body of `POST /v1/tasks`; what is not said is the server's default. */
export function openTaskBodyOf(flags: TaskFlags) {
  return {
    purpose: flags.for,
    ...(flags.purposeId === undefined ? {} : { purpose_id: flags.purposeId }),
    ...(flags.change === undefined ? {} : { change_reference: flags.change }),
    authorization_details: authorizationDetailsOf(flags.grant),
    ...(flags.ttl === undefined ? {} : { ttl_seconds: flags.ttl }),
    ...(flags.budget === undefined ? {} : { budget: { calls: flags.budget } }),
    ...(flags.idle === undefined ? {} : { idle_timeout_seconds: flags.idle }),
    ...(flags.heartbeat === undefined ? {} : { heartbeat_seconds: flags.heartbeat }),
  }
}
