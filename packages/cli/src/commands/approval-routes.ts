import { approvalRoute, setApprovalRoutes, showApprovalRoutes } from '@writ/contract/approvals'
import { inert } from '@writ/ledger/inert'
import { IDENTITY_CLASSES, type IdentityClass } from '@writ/domain/profile'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { z } from 'zod'
import { confirm, readInput, textFor } from '../ask.ts'
import { call } from '../client.ts'
import { operatorConnection, startOf, type Start } from '../connections.ts'
import { CommandFailure, EXIT, usage, type Run } from '../exit.ts'
import { lengthOf, painterOf, printLine, printList, printThing, say, whenOf } from '../output.ts'
import type { Settings } from '../settings.ts'
import { lengthInSeconds, wholeNumber } from './options.ts'

type Routes = z.output<typeof showApprovalRoutes.reply>
type ApprovalRoute = Routes['routes'][number]
type Reasoned = { readonly reason?: string }

/** Who is asked about what: a list of which the first that fits counts. */
export function defineRoutes(routes: Command, run: Run): void {
  routes.description('who is asked about what: list, show, set, remove, apply; the first route that fits counts, and behind the last one any reviewer for 15 minutes')
  const list = (own: Command): Promise<void> => run(async () => {
    const start = await startOf(own)
    await printRoutes(start.settings, await routesOf(start))
  })
  routes.action((_, own: Command) => list(own))
  routes.command('list').description('all of them, in their order; with --json as `apply` takes them').action((_, own: Command) => list(own))
  routes.command('show <route>').description('one of them').action((name: string, _, own: Command) => run(async () => {
    const start = await startOf(own)
    const { routes: all } = await routesOf(start)
    await printRoute(start.settings, all[placeOf(all, name)]!)
  }))
  defineSet(routes, run)
  routes.command('remove <route>').description('ask by it no more; requests that wait keep the route that they were made by').option('--reason <text>', 'why; it is recorded')
    .action((name: string, flags: Reasoned, own: Command) => run(async () => {
      const start = await startOf(own)
      const before = await routesOf(start)
      const at = placeOf(before.routes, name)
      await put(start, before, { routes: before.routes.toSpliced(at, 1), reason: flags.reason })
    }))
  routes.command('apply').description('make the routes as a file says, all of them').requiredOption('-f, --file <file>', 'a list of routes in YAML or JSON; `-` is standard input')
    .option('--dry-run', 'only show the difference').option('--reason <text>', 'why; it is recorded')
    .action((flags: Reasoned & { readonly file: string; readonly dryRun?: true }, own: Command) => run(async () => apply(await startOf(own), flags)))
}

const routesOf = (start: Start): Promise<Routes> => call(operatorConnection(start), showApprovalRoutes)

type SetFlags = Reasoned & {
  readonly class?: IdentityClass; readonly label?: string; readonly amount?: { readonly argument: string; readonly from: number }
  readonly group?: string; readonly quorum: number; readonly within: number; readonly signed?: true; readonly before?: string
}

function defineSet(routes: Command, run: Run): void {
  routes.command('set <route>').description('say whom one of them asks, in place of what it said; one that is new comes last')
    .addOption(new Option('--class <class>', 'only identities of this class').choices([...IDENTITY_CLASSES]))
    .option('--label <label>', 'only resources with this label')
    .option('--amount <argument=from>', 'only where this argument is a whole number of at least so much', amountIn)
    .option('--group <group>', 'of whom, as the provider calls them; any reviewer unless said')
    .option('--quorum <number>', 'how many have to say yes', wholeNumber, 1)
    .option('--within <length>', 'how long they have; then it is no', lengthInSeconds, 900)
    .option('--signed', 'a passkey has to sign; of what is of high risk it always has to')
    .option('--before <route>', 'put it before this one: the first that fits counts')
    .option('--reason <text>', 'why; it is recorded')
    .action((name: string, flags: SetFlags, own: Command) => run(async () => {
      const start = await startOf(own)
      const before = await routesOf(start)
      await put(start, before, { routes: withRoute(before.routes, routeIn(name, flags), flags.before), reason: flags.reason })
    }))
}

function amountIn(text: string): { readonly argument: string; readonly from: number } {
  const found = /^(.+)=(\d{1,15})$/s.exec(text)
  if (found === null) throw new InvalidArgumentError('it must be ARGUMENT=FROM such as `amount=100000`.')
  return { argument: found[1]!, from: Number(found[2]) }
}

/** Stays where it is unless it is put somewhere else. */
function withRoute(routes: readonly ApprovalRoute[], route: ApprovalRoute, before: string | undefined): readonly ApprovalRoute[] {
  const at = routes.findIndex(({ name }) => name === route.name)
  if (before === undefined) return at === -1 ? [...routes, route] : routes.with(at, route)
  if (before === route.name) throw usage('a route does not come before itself')
  const others = at === -1 ? routes : routes.toSpliced(at, 1)
  return others.toSpliced(placeOf(others, before), 0, route)
}

function routeIn(name: string, { class: identityClass, label, amount, group, quorum, within, signed }: SetFlags): ApprovalRoute {
  const when = { ...(identityClass === undefined ? {} : { class: identityClass }), ...(label === undefined ? {} : { label }), ...(amount === undefined ? {} : { amount }) }
  return { name, when, group: group ?? null, quorum, seconds: within, signed: signed === true }
}

function placeOf(routes: readonly ApprovalRoute[], name: string): number {
  const at = routes.findIndex((one) => one.name === name)
  if (at === -1) throw new CommandFailure(EXIT.not_found, `there is no approval route \`${name}\``, { hints: ['`writ approvals routes` names them'] })
  return at
}

async function apply(start: Start, flags: Reasoned & { readonly file: string; readonly dryRun?: true }): Promise<void> {
  const { settings } = start
  if (flags.file === '-' && settings.mayAsk && !settings.yes && flags.dryRun === undefined) throw usage('routes from standard input need --yes or --dry-run')
  const { parseWith, parseYaml } = await import('../yaml-file.ts')
  const wanted = parseWith(z.array(approvalRoute), parseYaml(await readInput(flags.file), flags.file), flags.file)
  const before = await routesOf(start)
  const isSame = JSON.stringify(wanted.map(lineOf)) === JSON.stringify(before.routes.map(lineOf))
  if (settings.format === 'human') await showDifference(settings, before.routes, wanted)
  if (isSame || flags.dryRun === true) {
    if (settings.format !== 'human') await printRoutes(settings, { ...before, routes: wanted })
    return say(settings, isSame ? 'nothing to do' : 'nothing was done')
  }
  await confirm(settings, 'ask people like this from now on?')
  await put(start, before, { routes: wanted, reason: flags.reason })
}

/** In one change, and only if nobody has changed them meanwhile. */
async function put(start: Start, { version }: Pick<Routes, 'version'>, { routes, reason }: { readonly routes: readonly ApprovalRoute[]; readonly reason: string | undefined }): Promise<void> {
  const why = await textFor(start.settings, '--reason', reason, 'why?')
  await printRoutes(start.settings, await call(operatorConnection(start), setApprovalRoutes, { body: { routes: [...routes], version, reason: why } }))
}

const conditionOf = ({ when: { class: identityClass, label, amount } }: ApprovalRoute): string => [
  ...(identityClass === undefined ? [] : [`class ${identityClass}`]), ...(label === undefined ? [] : [`label ${label}`]), ...(amount === undefined ? [] : [`${amount.argument} >= ${amount.from}`]),
].join(', ') || 'always'

const groupOf = ({ group }: ApprovalRoute): string => group ?? 'any reviewer'
const withinOf = ({ seconds }: ApprovalRoute): string => lengthOf(seconds * 1000)
const lineOf = (route: ApprovalRoute): string => `${route.name}  ${conditionOf(route)} -> ${route.quorum} of ${groupOf(route)} within ${route.seconds} s${route.signed ? ', signed' : ''}`

async function printRoutes(settings: Settings, { routes, version, set_by: by, set_at: at, reason }: Routes): Promise<void> {
  await printList(settings, routes, [
    { head: 'route', of: (row) => row.name }, { head: 'when', of: conditionOf }, { head: 'asks', of: groupOf }, { head: 'quorum', of: (row) => row.quorum },
    { head: 'within', of: withinOf }, { head: 'signed', of: (row) => (row.signed ? 'yes' : 'no') },
  ])
  if (by !== null && at !== null) say(settings, `version ${version}, by ${inert(by)} ${whenOf(settings, at)}: ${inert(reason ?? '')}`)
}

const printRoute = (settings: Settings, route: ApprovalRoute): Promise<void> => printThing(settings, route, [
  ['route', route.name], ['when', conditionOf(route)], ['asks', groupOf(route)], ['quorum', route.quorum], ['within', withinOf(route)], ['signed', route.signed ? 'yes' : 'no'],
])

/** One line for each route as it will be, in their order; those that go come last. */
async function showDifference(settings: Settings, before: readonly ApprovalRoute[], after: readonly ApprovalRoute[]): Promise<void> {
  const paint = await painterOf(settings)
  for (const [i, route] of after.entries()) {
    const at = before.findIndex(({ name }) => name === route.name)
    if (at === -1) printLine(paint.green(`+ ${inert(lineOf(route))}`))
    else if (at === i && lineOf(before[at]!) === lineOf(route)) printLine(paint.dim(`= ${inert(lineOf(route))}`))
    else printLine(paint.yellow(`~ ${inert(lineOf(route))}${at === i ? '' : `  (was at place ${at + 1})`}`))
  }
  for (const route of before) if (!after.some(({ name }) => name === route.name)) printLine(paint.red(`- ${inert(lineOf(route))}`))
}
