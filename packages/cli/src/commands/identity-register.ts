import { registerIdentity, registration, type Registered, type Registration } from '@writ/contract/registry'
import { shortNameOf, type SpiffeId } from '@writ/domain/spiffe-id'
import { parseDuration } from '@writ/domain/time'
import { InvalidArgumentError, type Command } from 'commander'
import { readInput, textFor } from '../ask.ts'
import { call } from '../client.ts'
import { operatorConnection, startOf, type Start } from '../connections.ts'
import { rememberKey } from '../config.ts'
import { CommandFailure, EXIT, usage, type Run } from '../exit.ts'
import type { KeptKey } from '../key-file.ts'
import { printThing, say } from '../output.ts'
import { oneMore, wholeNumber } from './options.ts'

type RegisterFlags = {
  readonly id?: string; readonly kind?: string; readonly class?: string; readonly purpose?: string
  readonly technicalOwner?: string; readonly businessOwner?: string; readonly scope?: readonly string[]; readonly environment?: string
  readonly authority?: readonly string[]; readonly ends?: string; readonly tasksPerHour?: number; readonly trigger?: Registration['trigger']
  readonly because?: string; readonly declinedBecause?: string; readonly publicKey?: string; readonly keyOut?: string; readonly key?: false | true
}

export function defineRegister(command: Command, run: Run): void {
  command.description('register an identity, with a key pair that is made here')
    .option('--id <spiffe-id>', 'its name, such as spiffe://acme.example/deploy-bot')
    .option('--kind <kind>', 'what it is: agent, service_account, pipeline, ...')
    .option('--class <class>', 'chatbot, script, autonomous or assisted')
    .option('--purpose <text>', 'what it is for')
    .option('--technical-owner <owner>', '`team:NAME` or `person:ADDRESS`')
    .option('--business-owner <owner>', '`team:NAME` or `person:ADDRESS`')
    .option('--scope <system>', 'a system that it works on; may be repeated', oneMore)
    .option('--environment <name>', 'production, staging, development or test')
    .option('--authority <grant>', 'the most that its tasks may be granted, TYPE:RESOURCE:ACTION; may be repeated', oneMore)
    .option('--tasks-per-hour <number>', 'how many tasks it may open in an hour; that of its class unless said', wholeNumber)
    .option('--ends <date>', 'when it ends: `2027-06-30`, or a length such as `90d`', endsAt)
    .option('--trigger <trigger>', 'what retires it by itself: unused:DAYS, webhook, backend:NAME or issuer:URL', parseTrigger)
    .option('--because <text>', 'why there should be an identity')
    .option('--declined-because <text>', 'why there should be none: only the answer is recorded')
    .option('--public-key <file>', 'register this public JWK; no key is made here')
    .option('--key-out <file>', 'where the private key is written')
    .option('--no-key', 'make no key: workloads of an issuer come by `writ identity bind`')
    .action((flags: RegisterFlags, own: Command) => run(async () => {
      const start = await startOf(own)
      const asked = await registrationOf(start, flags)
      await register(start, asked, flags)
    }))
}

async function registrationOf(start: Start, flags: RegisterFlags): Promise<Registration> {
  if (flags.because !== undefined && flags.declinedBecause !== undefined) throw usage('--because and --declined-because exclude each other')
  const admission = flags.declinedBecause !== undefined
    ? { answer: 'delegated_token', reason: flags.declinedBecause }
    : { answer: 'identity', reason: start.settings.mayAsk ? await textFor(start.settings, '--because', flags.because, 'why should there be an identity?') : flags.because }
  const parsed = registration.safeParse({
    spiffe_id: flags.id, admission, kind: flags.kind, class: flags.class, purpose: flags.purpose,
    owners: { technical: flags.technicalOwner, business: flags.businessOwner },
    system_scope: flags.scope, environment: flags.environment, authority: flags.authority, tasks_per_hour: flags.tasksPerHour, ends_at: flags.ends, trigger: flags.trigger,
  })
  if (parsed.success) return parsed.data
  // One line per flag: the contract may have several things to say about one that is missing.
  const wrong = new Map(parsed.error.issues.map((issue) => [FLAG_OF[issue.path.join('.')] ?? FLAG_OF[String(issue.path[0])] ?? issue.path.join('.'), issue]))
  throw new CommandFailure(EXIT.usage, 'flags are missing or wrong; nothing was registered', {
    fields: [...wrong].map(([field, issue]) => ({ field, message: issue.input === undefined && flagsValue(flags, field) === undefined ? 'is missing' : issue.message })),
  })
}

const FLAG_OF: Readonly<Record<string, string>> = {
  spiffe_id: '--id', kind: '--kind', class: '--class', purpose: '--purpose', 'owners.technical': '--technical-owner', 'owners.business': '--business-owner',
  system_scope: '--scope', environment: '--environment', authority: '--authority', tasks_per_hour: '--tasks-per-hour', ends_at: '--ends', trigger: '--trigger', admission: '--because',
}

/** Whether the flag stood there at all, by its commander name. */
function flagsValue(flags: RegisterFlags, flag: string): unknown {
  const name = flag.replace(/^--/, '').replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
  return (flags as Readonly<Record<string, unknown>>)[name]
}

async function register(start: Start, asked: Registration, flags: RegisterFlags): Promise<void> {
  const connection = operatorConnection(start)
  if (flags.key === false && (flags.publicKey !== undefined || flags.keyOut !== undefined)) throw usage('--no-key and a key exclude each other')
  const key = asked.admission.answer === 'identity' && flags.key !== false ? await keyFor(start, asked, flags) : undefined
  let reply: Registered
  try {
    reply = await call(connection, registerIdentity, { body: key === undefined ? asked : { ...asked, key: key.publicKey } })
    if (key?.path !== undefined && reply.outcome === 'registered') await rememberKey(start.settings.environment, asked.spiffe_id, key.path)
  } catch (fault) {
    await key?.forget()
    throw fault
  }
  if (key?.path !== undefined) say(start.settings, `private key stored in ${key.path}`)
  await printRegistered(start, reply, asked.spiffe_id)
}

type SentKey = Pick<KeptKey, 'publicKey' | 'forget'> & { readonly path?: string }

/** Kept before it is sent: a key that only the server knows would open nothing. */
async function keyFor(start: Start, asked: Registration, flags: RegisterFlags): Promise<SentKey> {
  const { makeKey, parsePublicKey } = await import('../key-file.ts')
  if (flags.publicKey === undefined) return makeKey(shortNameOf(asked.spiffe_id as SpiffeId), start.settings.environment, flags.keyOut)
  const publicKey = parsePublicKey(await readInput(flags.publicKey), flags.publicKey) as Record<string, string>
  return { publicKey, forget: async () => undefined }
}

async function printRegistered({ settings }: Start, reply: Registered, spiffeId: string): Promise<void> {
  const lines: (readonly [string, string | number | null])[] = [['outcome', reply.outcome], ['spiffe id', spiffeId], ['admission', reply.admission]]
  if (reply.identity !== undefined) lines.push(['id', reply.identity.id], ['ends', reply.identity.ends_at], ...reply.identity.credentials.map((held) => ['key', `${held.id}  ${held.alg}  ${held.thumbprint}`] as const))
  if (reply.instead !== undefined) lines.push(['instead', reply.instead])
  if (reply.webhook !== undefined) lines.push(['webhook', reply.webhook.path], ['webhook secret', `${reply.webhook.secret} (shown once)`])
  await printThing(settings, reply, lines)
}

/** `unused:30`, `webhook`, `backend:shop`, `issuer:https://...` */
export function parseTrigger(text: string): Registration['trigger'] {
  const colon = text.indexOf(':')
  const kind = colon === -1 ? text : text.slice(0, colon)
  const value = colon === -1 ? '' : text.slice(colon + 1)
  if (kind === 'webhook' && value === '') return { kind: 'webhook' }
  if (kind === 'unused' && /^\d{1,3}$/.test(value)) return { kind: 'unused', days: Number(value) }
  if (kind === 'backend' && value !== '') return { kind: 'backend_removed', backend: value }
  if (kind === 'issuer' && value !== '') return { kind: 'issuer_removed', issuer: value }
  throw new InvalidArgumentError('it must be unused:DAYS, webhook, backend:NAME or issuer:URL.')
}

/** A date as it is, or a length from now. */
export function endsAt(text: string): string {
  const length = parseDuration(text)
  return length === undefined ? text : new Date(Date.now() + length).toISOString()
}
