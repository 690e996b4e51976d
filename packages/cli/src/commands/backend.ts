import { addBackend, addBackendBody, listBackends, removeBackend, rotateBackend, setBackendSecret, template, testBackend, type BackendReply } from '@writ/contract/backends'
import { Option, type Command } from 'commander'
import { z } from 'zod'
import { confirm, readInput, readSecret, textFor, yesOrNo } from '../ask.ts'
import { call } from '../client.ts'
import { operatorConnection, startOf, type Start } from '../connections.ts'
import { CommandFailure, EXIT, usage, type Run } from '../exit.ts'
import { printList, printThing, say, whenOf } from '../output.ts'
import { fieldName } from '../field-name.ts'
import { port } from './options.ts'

export function define(command: Command, run: Run): void {
  command.command('list').description('list back ends').action((_, own: Command) => run(async () => {
    const start = await startOf(own)
    const { backends } = await call(operatorConnection(start), listBackends)
    await printList(start.settings, backends, [
      { head: 'name', of: (row) => row.name },
      { head: 'kind', of: (row) => `${row.kind} ${row.version}` },
      { head: 'address', of: addressOf },
      { head: 'templates', of: (row) => Object.keys(row.templates).join(', ') },
      { head: 'state', of: (row) => row.state },
      { head: 'secret rotated', of: (row) => whenOf(start.settings, row.secret_rotated_at) },
    ])
  }))
  defineAdd(command.command('add'), run)
  command.command('test <name>').description('run the whole cycle on a test login').action((name: string, _, own: Command) => run(async () => {
    const start = await startOf(own)
    const done = await call(operatorConnection(start), testBackend, { parameters: { name } })
    await printThing(start.settings, done, [['name', done.name], ['version', done.version], ...done.steps.map((step) => ['step', step] as const), ['took', `${Math.round(done.cycle_ms)} ms`]])
  }))
  command.command('rotate <name>').description('give the administrator a new secret').action((name: string, _, own: Command) => run(async () => {
    const start = await startOf(own)
    await printBackend(start, await call(operatorConnection(start), rotateBackend, { parameters: { name } }))
  }))
  command.command('secret <name>').description("the administrator's secret was changed past Writ: take the one in force, once it has logged in")
    .option('--secret-file <file>', "the administrator's secret")
    .option('--secret-stdin', "the administrator's secret comes on standard input")
    .action((name: string, flags: Pick<AddFlags, 'secretFile' | 'secretStdin'>, own: Command) => run(async () => {
      const start = await startOf(own)
      const connection = operatorConnection(start)
      const secret = await readSecret(start.settings, { file: flags.secretFile, stdin: flags.secretStdin }, "the administrator's secret")
      const kept = await call(connection, setBackendSecret, { parameters: { name }, body: { secret } })
      await printBackend(start, kept)
      sayIfKnown(start, kept)
    }))
  command.command('remove <name>').description('remove a back end; identities whose trigger it is are retired').option('--reason <text>', 'why; it is recorded')
    .action((name: string, flags: { readonly reason?: string }, own: Command) => run(async () => {
      const start = await startOf(own)
      const reason = await textFor(start.settings, '--reason', flags.reason, 'why?')
      if (start.settings.mayAsk) await confirm(start.settings, `remove back end ${name}?`)
      await printBackend(start, await call(operatorConnection(start), removeBackend, { parameters: { name }, body: { reason } }))
    }))
}

type AddFlags = {
  readonly file?: string; readonly kind: 'postgres'; readonly host?: string; readonly port?: number; readonly database?: string; readonly user?: string
  readonly tls?: 'disable' | 'require' | 'verify-full'; readonly ca?: string; readonly templates?: string
  readonly secretFile?: string; readonly secretStdin?: true; readonly rotate?: boolean
}

function defineAdd(command: Command, run: Run): void {
  command.argument('<name>').description('add a back end, after the whole cycle has run on a test login')
    .option('-f, --file <file>', 'everything but the secret, in YAML')
    .addOption(new Option('--kind <kind>', 'its kind').choices(['postgres']).default('postgres'))
    .option('--host <host>', 'where it listens')
    .option('--port <number>', 'the port', port)
    .option('--database <name>', 'the database that the administrator logs in to')
    .option('--user <name>', 'the administrator')
    .addOption(new Option('--tls <mode>', 'how the connection is protected').choices(['disable', 'require', 'verify-full']))
    .option('--ca <file>', 'the certification authority in PEM, with verify-full')
    .option('--templates <file>', 'action -> template, in YAML')
    .option('--secret-file <file>', "the administrator's secret")
    .option('--secret-stdin', "the administrator's secret comes on standard input")
    .option('--rotate', 'give the administrator a new secret that nobody has ever seen')
    .option('--no-rotate', 'keep the secret')
    .action((name: string, flags: AddFlags, own: Command) => run(async () => {
      const start = await startOf(own)
      const connection = operatorConnection(start)
      const described = await describedBackend(name, flags)
      const secret = await readSecret(start.settings, { file: flags.secretFile, stdin: flags.secretStdin }, "the administrator's secret")
      const rotate = await yesOrNo(start.settings, flags.rotate ?? described.rotate, 'give the administrator a new secret that nobody else knows?')
      const added = await call(connection, addBackend, { body: { ...described, name, secret, rotate } })
      await printBackend(start, added)
      sayIfKnown(start, added)
    }))
}

/** The secret has its own way in; a file that holds one is refused. */
const fileBody = z.strictObject(addBackendBody.omit({ secret: true }).shape)
const inFile = fileBody.partial()
const templatesFile = z.record(z.string(), template)

/** What the file says, and over it what the flags say. */
export async function describedBackend(name: string, flags: AddFlags): Promise<z.infer<typeof fileBody>> {
  const file = flags.file === undefined ? {} : await readBackendFile(flags.file)
  if (file.name !== undefined && file.name !== name) throw usage(`the file is about \`${file.name}\`, and \`${name}\` was asked for`)
  const given = Object.fromEntries(Object.entries({ host: flags.host, port: flags.port, database: flags.database, user: flags.user, tls: flags.tls }).filter(([, value]) => value !== undefined))
  const ca = flags.ca === undefined ? {} : { ca: await readInput(flags.ca) }
  const { parseWith, parseYaml } = await import('../yaml-file.ts')
  const templates = flags.templates === undefined ? file.templates : parseWith(templatesFile, parseYaml(await readInput(flags.templates), flags.templates), flags.templates)
  const parsed = fileBody.safeParse({ ...file, name, kind: flags.kind, settings: { ...file.settings, ...given, ...ca }, templates })
  if (parsed.success) return parsed.data
  throw new CommandFailure(EXIT.usage, 'fields are missing or wrong; nothing was added', {
    fields: parsed.error.issues.map((issue) => ({ field: fieldName(issue.path).replace(/^settings\.(\w+)$/, '--$1').replace(/^templates$/, '--templates'), message: issue.message })),
    hints: ['-f FILE or the flags say where it is and what its templates are'],
  })
}

async function readBackendFile(path: string): Promise<z.infer<typeof inFile>> {
  const { parseWith, parseYaml } = await import('../yaml-file.ts')
  const file = parseYaml(await readInput(path), path)
  if (typeof file.value === 'object' && file.value !== null && 'secret' in file.value) throw usage(`\`${path}\` holds the field \`secret\``, 'take it out: the secret comes by --secret-file or --secret-stdin')
  // `settings` may be completed by flags, so that only the whole is checked in full.
  const loose = z.looseObject({ name: z.string().optional(), settings: z.record(z.string(), z.unknown()).optional(), templates: templatesFile.optional(), rotate: z.boolean().optional(), kind: z.literal('postgres').optional() })
  return parseWith(loose, file, path) as z.infer<typeof inFile>
}

const addressOf = (backend: BackendReply): string => `${backend.settings.user}@${backend.settings.host}:${backend.settings.port}/${backend.settings.database}`

function sayIfKnown({ settings }: Start, { name, secret_rotated_at: rotatedAt }: BackendReply): void {
  if (rotatedAt === null) say(settings, `the secret is still known outside Writ: \`writ backend rotate ${name}\` ends that`)
}

async function printBackend({ settings }: Start, backend: BackendReply): Promise<void> {
  await printThing(settings, backend, [
    ['name', backend.name], ['id', backend.id], ['kind', `${backend.kind} ${backend.version}`], ['address', addressOf(backend)], ['tls', backend.settings.tls],
    ['state', backend.state], ['templates', Object.keys(backend.templates).join(', ')], ['secret rotated', whenOf(settings, backend.secret_rotated_at)],
  ])
}
