import { addNoticeTarget, listNoticeTargets, removeNoticeTarget, testNoticeTarget, type AddNoticeTargetBody, type NoticeTargetReply } from '@writ/contract/notices'
import { MAIL_SECURITIES, NOTICE_MATTERS, type MailSecurity, type NoticeMatter } from '@writ/domain/notice'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { readInput, textFor } from '../ask.ts'
import { call } from '../client.ts'
import { operatorConnection, startOf } from '../connections.ts'
import { CommandFailure, EXIT, usage, type Run } from '../exit.ts'
import { printList, printThing, say, whenOf } from '../output.ts'
import type { Settings } from '../settings.ts'

/** What somebody has to act on. */
const USUAL_MATTERS: readonly NoticeMatter[] = ['approval.requested', 'incident.opened', 'finding.raised', 'identity.contained']

export function define(command: Command, run: Run): void {
  command.command('list').description('where people are told of what needs them').action((_, own: Command) => run(async () => {
    const start = await startOf(own)
    const { targets } = await call(operatorConnection(start), listNoticeTargets)
    await printList(start.settings, targets, [
      { head: 'name', of: (row) => row.name }, { head: 'kind', of: (row) => row.kind }, { head: 'place', of: (row) => row.place }, { head: 'about', of: (row) => row.about.join(',') },
      { head: 'state', of: (row) => row.state }, { head: 'waiting', of: (row) => row.waiting }, { head: 'failed', of: (row) => row.failed },
      { head: 'last sent', of: (row) => whenOf(start.settings, row.last_sent_at) }, { head: 'trouble', of: (row) => row.trouble },
    ])
  }))
  addOptions(command.command('add <name>').description('tell a webhook (signed), a mailbox or a Slack-compatible channel from now on'))
    .action((name: string, flags: AddFlags, own: Command) => run(async () => {
      const start = await startOf(own)
      const added = await call(operatorConnection(start), addNoticeTarget, { body: await bodyOf(name, flags) })
      await printTarget(start.settings, added, added.secret === null ? [] : [['secret', added.secret]])
      if (added.secret !== null) say(start.settings, 'the webhook checks with the secret that it is Writ who calls (Standard Webhooks); it is not shown again')
    }))
  command.command('remove <target>').description('tell it nothing any more, by its name or id').option('--reason <text>', 'why; it is recorded')
    .action((target: string, flags: { readonly reason?: string }, own: Command) => run(async () => {
      const start = await startOf(own)
      const reason = await textFor(start.settings, '--reason', flags.reason, 'why?')
      await printTarget(start.settings, await call(operatorConnection(start), removeNoticeTarget, { parameters: { id: target }, body: { reason } }))
    }))
  command.command('test <target>').description('send it a notice that says that it is a test').action((target: string, _, own: Command) => run(async () => {
    const start = await startOf(own)
    const tested = await call(operatorConnection(start), testNoticeTarget, { parameters: { id: target }, body: {} })
    await printThing(start.settings, tested, [['arrived', tested.arrived ? 'yes' : 'no'], ['trouble', tested.trouble]])
    if (!tested.arrived) throw new CommandFailure(EXIT.unreachable, `the test did not arrive: ${tested.trouble}`)
  }))
}

type AddFlags = {
  readonly webhook?: string; readonly slackUrlFile?: string; readonly mail?: readonly string[]; readonly about?: readonly NoticeMatter[]; readonly ca?: string
  readonly smtp?: { readonly host: string; readonly port: number }; readonly security?: MailSecurity; readonly from?: string; readonly username?: string; readonly passwordFile?: string
}

const addOptions = (command: Command): Command => command
  .option('--webhook <url>', 'where signed requests go')
  .option('--slack-url-file <file>', 'a file with the address of an incoming webhook, which is a secret; `-` for standard input')
  .option('--mail <address...>', 'who gets mail')
  .option('--about <matters>', `what of, with commas between: ${NOTICE_MATTERS.join(', ')}; ${USUAL_MATTERS.join(', ')} unless said`, mattersOf)
  .option('--from <address>', 'of mail: from whom')
  .option('--smtp <host:port>', 'of mail: the server that takes it', hostAndPort)
  .addOption(new Option('--security <how>', 'of mail: how the line to the server is protected').choices([...MAIL_SECURITIES]))
  .option('--username <name>', 'of mail: how Writ logs in there')
  .option('--password-file <file>', 'of mail: a file with the password; `-` for standard input')
  .option('--ca <file>', 'certification authorities in PEM, in place of those that everybody trusts')

async function bodyOf(name: string, flags: AddFlags): Promise<AddNoticeTargetBody> {
  const given = [['--webhook', flags.webhook], ['--slack-url-file', flags.slackUrlFile], ['--mail', flags.mail]].filter(([, value]) => value !== undefined)
  if (given.length !== 1) throw usage('one of --webhook, --slack-url-file and --mail is needed, and no second')
  const common = { name, about: [...(flags.about ?? USUAL_MATTERS)], ...(flags.ca === undefined ? {} : { ca: await readInput(flags.ca) }) }
  if (flags.webhook !== undefined) return { kind: 'webhook', ...common, url: flags.webhook }
  if (flags.slackUrlFile !== undefined) return { kind: 'slack', ...common, url: (await readInput(flags.slackUrlFile)).trim() }
  if (flags.smtp === undefined || flags.from === undefined) throw usage('--mail needs --smtp and --from')
  if ((flags.username === undefined) !== (flags.passwordFile === undefined)) throw usage('--username and --password-file belong together')
  const login = flags.passwordFile === undefined ? {} : { username: flags.username!, password: (await readInput(flags.passwordFile)).replace(/\r?\n$/, '') }
  return { kind: 'mail', ...common, to: [...flags.mail!], from: flags.from, smtp: { ...flags.smtp, ...(flags.security === undefined ? {} : { security: flags.security }), ...login } }
}

function mattersOf(text: string): readonly NoticeMatter[] {
  const all = text.split(',').map((one) => one.trim())
  const unknown = all.find((one) => !(NOTICE_MATTERS as readonly string[]).includes(one))
  if (unknown !== undefined) throw new InvalidArgumentError(`it must be of ${NOTICE_MATTERS.join(', ')}.`)
  return all as NoticeMatter[]
}

function hostAndPort(text: string): { readonly host: string; readonly port: number } {
  const found = /^(\[[0-9A-Fa-f:.]+\]|[^:\s]+):(\d{1,5})$/.exec(text)
  if (found === null) throw new InvalidArgumentError('it must be HOST:PORT, such as smtp.acme.example:587.')
  return { host: found[1]!, port: Number(found[2]) }
}

async function printTarget(settings: Settings, target: NoticeTargetReply, more: readonly (readonly [string, string])[] = []): Promise<void> {
  await printThing(settings, target, [
    ['name', target.name], ['id', target.id], ['kind', target.kind], ['place', target.place], ['about', target.about.join(', ')], ['state', target.state], ...more,
  ])
}
