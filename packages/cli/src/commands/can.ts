import { evaluateAccess, type AuthzenAnswer } from '@writ/contract/authzen'
import { explainDecision, type ExplanationReply } from '@writ/contract/decisions'
import { showIdentity } from '@writ/contract/registry'
import type { ExactRecord } from '@writ/domain/exact'
import { inert } from '@writ/ledger/inert'
import type { Command } from 'commander'
import { call, type Connection } from '../client.ts'
import { eitherConnection, startOf } from '../connections.ts'
import { asBody, oneMoreArgument } from '../exact-arguments.ts'
import { CommandFailure, EXIT, usage, type ExitCode, type Run } from '../exit.ts'
import { printExplanation } from '../explanation-lines.ts'
import type { HolderFlags } from '../holder.ts'
import { inertJson } from '../inert.ts'
import { identityNamed } from '../named.ts'
import { painterOf, printLine } from '../output.ts'
import type { Settings } from '../settings.ts'
import { idOf } from './identity.ts'
import { holderOptions } from './options.ts'

type CanFlags = HolderFlags & { readonly context?: ExactRecord; readonly claim?: ExactRecord; readonly task?: string }

/** As AuthZEN names a subject or a resource. */
type Named = { readonly type: string; readonly id: string }

export function define(command: Command, run: Run): void {
  holderOptions(command)
    .description('ask whether an identity would be allowed something, and why: answers 0 for yes, 10 for no, 11 when a person has to approve it')
    .argument('<who>', 'an identity by name, id or SPIFFE ID, or TYPE:ID of your own schema')
    .argument('<action>', 'such as `call`, `read`, `connect`')
    .argument('<resource>', 'SERVER/TOOL such as `stripe/refunds.create`, or TYPE:ID such as `backend:shop`')
    .option('-c, --context <name=value>', 'an argument; may be repeated. A value that is JSON is that value, any other a text', oneMoreArgument)
    .option('--claim <name=value>', 'what is claimed of the surroundings; may be repeated', oneMoreArgument)
    .option('--task <task>', 'ask within this task, as if it were done: its grant and state count, and it takes one call of its budget')
    .action((who: string, action: string, resource: string, flags: CanFlags) => run(async () => {
      const start = await startOf(command)
      const connection = await eitherConnection(start, flags)
      const asked = { subject: await subjectOf(connection, who, idOf(who, start)), action, resource: typed(resource) }
      const answer = await call(connection, evaluateAccess, { body: bodyOf(asked, flags) })
      return printAnswer(start.settings, { answer, explanation: await explanationOf(connection, answer), asked })
    }))
}

type Asked = { readonly subject: Named; readonly action: string; readonly resource: Named }

function bodyOf({ subject, action, resource }: Asked, { context: args, claim, task }: CanFlags) {
  if (claim !== undefined && Object.hasOwn(claim, 'task')) throw usage('a task is named with --task')
  const context = { ...asBody(claim ?? {}) as object, ...(task === undefined ? {} : { task }) }
  return { subject, action: { name: action, ...(args === undefined ? {} : { properties: asBody(args) as Record<string, unknown> }) }, resource, ...(Object.keys(context).length === 0 ? {} : { context }) }
}

/** Writ's own identities are found by any of their names; whoever is of the operator's schema is taken at the word. */
async function subjectOf(connection: Connection, who: string, id: string): Promise<Named> {
  if (!id.startsWith('spiffe://') && who.includes(':')) return typed(who)
  if (isIdentity(connection)) throw usage(`an identity that asks says what kind it is, for it can not look it up: \`agent:${id}\`, \`service_account:${id}\``)
  const isWhole = id.startsWith('spiffe://') || id.startsWith('nhi_')
  const { kind, spiffe_id: spiffeId } = isWhole ? await call(connection, showIdentity, { parameters: { id } }) : await identityNamed(connection, who)
  return { type: kind, id: spiffeId }
}

const isIdentity = (connection: Connection): boolean => 'spiffeId' in connection

function typed(text: string): Named {
  const at = text.indexOf(':')
  // A tool of a server, as grants and lists name it; its own name may hold a colon.
  const slash = text.indexOf('/')
  if (slash > 0 && slash < text.length - 1 && (at === -1 || slash < at)) return { type: 'tool', id: text }
  if (at < 1 || at === text.length - 1) throw usage(`\`${text}\` says no type`, 'SERVER/TOOL is wanted, or TYPE:ID such as `backend:shop` or of a type of your own schema')
  // `Shop::Order:17` is an order.
  const own = /^((?:[A-Za-z_]\w*::)+[A-Za-z_]\w*):(.+)$/s.exec(text)
  return own === null ? { type: text.slice(0, at), id: text.slice(at + 1) } : { type: own[1]!, id: own[2]! }
}

/** Undefined where there is none to be had: an identity is told the answer to its advice and no more. */
async function explanationOf(connection: Connection, { context: { id } }: AuthzenAnswer): Promise<ExplanationReply | undefined> {
  if (id === undefined) return undefined
  try {
    return await call(connection, explainDecision, { parameters: { id } })
  } catch (fault) {
    if (fault instanceof CommandFailure && (fault.exit === EXIT.not_found || fault.exit === EXIT.conflict)) return undefined
    throw fault
  }
}

type Answered = { readonly answer: AuthzenAnswer; readonly explanation: ExplanationReply | undefined; readonly asked: Asked }

async function printAnswer(settings: Settings, { answer, explanation, asked }: Answered): Promise<ExitCode> {
  const exit = exitOf(answer, explanation)
  if (settings.format === 'json' || settings.format === 'jsonl') {
    printLine(inertJson({ ...answer, explanation: explanation ?? null }, settings.format === 'json' ? 2 : undefined))
    return exit
  }
  if (explanation !== undefined) {
    await printExplanation(settings, explanation)
    return exit
  }
  const { context: { id, reason, error, policies = [] } } = answer
  const paint = await painterOf(settings)
  const said = { [EXIT.ok]: paint.green('allowed'), [EXIT.needs_approval]: paint.yellow('needs approval') }[exit as 0 | 11] ?? paint.red('denied')
  printLine(`${said}: ${inert(`${asked.subject.id} ${asked.action} ${asked.resource.type} ${asked.resource.id}`)}${id === undefined ? '' : paint.dim(`  ${inert(id)}`)}`)
  const why = error?.message ?? reason ?? (policies.length > 0 ? `by ${policies.join(', ')}` : undefined)
  if (why !== undefined) printLine(`  why: ${inert(why)}`)
  return exit
}

/** As the server gives it for a reason, and an explanation for its verdict. */
const APPROVAL_REQUIRED = 'approval_required'

function exitOf({ decision, context }: AuthzenAnswer, explanation: ExplanationReply | undefined): ExitCode {
  if (decision) return EXIT.ok
  return context.reason === APPROVAL_REQUIRED || explanation?.verdict === APPROVAL_REQUIRED ? EXIT.needs_approval : EXIT.denied
}
