import { listEvaluated } from '@writ/contract/decisions'
import { inert } from '@writ/ledger/inert'
import { ANSWERS, type Answer } from '@writ/policy/explanation'
import type { ChangedDecision, ReplayState } from '@writ/policy/replay'
import type { z } from 'zod'
import { call, type Connection } from '../client.ts'
import { operatorConnection, type Start } from '../connections.ts'
import { inertJson } from '../inert.ts'
import { painterOf, printLine, say, tableOf } from '../output.ts'
import { testedEngine } from '../policy/check.ts'
import { count, digits } from '../policy/count.ts'
import { openProgress } from '../policy/progress.ts'
import { openThreads, type ReplayThreads } from '../policy/replay-threads.ts'
import type { Settings } from '../settings.ts'

type Span = { readonly since: string; readonly until: string | undefined }
type SimulateOrder = Span & { readonly isWhole: boolean }

/** How many a person looks at without having asked for all of them. */
const SHOWN = 20
/** And a script. */
const LISTED = 1000
const PAGE = 1000

type Simulated = ReplayState & { readonly advisory: number; readonly ms: number }

export async function simulate(start: Start, folder: string, order: SimulateOrder): Promise<void> {
  const { settings } = start
  const engine = await testedEngine(folder)
  const { files } = engine.bundle
  engine.close()
  const mostListed = order.isWhole ? Number.POSITIVE_INFINITY : settings.format === 'human' ? SHOWN : LISTED
  const threads = openThreads({ files, mostListed })
  try {
    const simulated = await replayAll(start, threads, order)
    if (settings.format === 'human') await printSimulated(settings, simulated, { ...order, folder })
    else printScripted(settings, simulated, order)
  } finally {
    await threads.close()
  }
}

async function replayAll(start: Start, threads: ReplayThreads, span: Span): Promise<Simulated> {
  const began = performance.now()
  const progress = openProgress(start.settings)
  let [advisory, replayed, changed] = [0, 0, 0]
  let total: number | null = null
  try {
    for await (const page of pagesOf(operatorConnection(start), span)) {
      total ??= page.total
      advisory += page.decisions.filter((one) => one.advisory).length
      await threads.feed(page.decisions, (more) => {
        replayed += page.decisions.length
        changed += more
        progress.show(total === null ? undefined : replayed / total, `${count(replayed, 'decision')} of ${digits(Math.max(replayed, total ?? 0))}, ${digits(changed)} changed`)
      })
    }
    return { ...await threads.state(), advisory, ms: performance.now() - began }
  } finally {
    progress.end()
  }
}

/** Each page is asked for before the one before it is worked on. */
async function* pagesOf(connection: Connection, { since, until }: Span): AsyncGenerator<z.output<typeof listEvaluated.reply>> {
  const ask = (cursor: string | undefined) => {
    const page = call(connection, listEvaluated, { query: { limit: PAGE, cursor, since, until } })
    // It is awaited later, and what went wrong is said there.
    page.catch(() => undefined)
    return page
  }
  let coming: ReturnType<typeof ask> | undefined = ask(undefined)
  while (coming !== undefined) {
    const page: Awaited<ReturnType<typeof ask>> = await coming
    coming = page.next === null ? undefined : ask(page.next)
    yield page
  }
}

const SAID: Readonly<Record<Answer, string>> = { allow: 'allow', approval_required: 'approval', deny: 'deny' }

async function printSimulated(settings: Settings, simulated: Simulated, { since, isWhole, folder }: SimulateOrder & { readonly folder: string }): Promise<void> {
  const { matrix, fed, changed, listed, notEvaluated, notByPolicy, advisory, ms } = simulated
  if (fed === 0) return say(settings, `no decision was recorded since ${since}: not evaluated`)
  const replayed = fed - notEvaluated - notByPolicy
  const went = ANSWERS.flatMap((was) => ANSWERS.filter((now) => now !== was && matrix[was][now] > 0).map((now) => `${SAID[was]}→${SAID[now]} ${digits(matrix[was][now])}`))
  const changes = changed === 0 ? 'no answer changes' : `${digits(changed)} ${changed === 1 ? 'changes' : 'change'}   ${went.join('   ')}`
  printLine(`${count(replayed, 'decision')} replayed in ${(ms / 1000).toFixed(1)} s: ${changes}`)
  printLine('')
  for (const line of await matrixLines(settings, simulated)) printLine(line)
  if (listed.length > 0) {
    printLine('')
    printLine(await tableOf(settings, ['decision', 'was', 'now', 'who', 'action', 'resource', 'by'], listed.map(cellsOf)))
  }
  if (notEvaluated > 0) say(settings, `${count(notEvaluated, 'decision')} not evaluated: what was asked is erased`)
  if (notByPolicy > 0) say(settings, `${count(notByPolicy, 'decision')} left out: denied by grant, budget or state, which no policy outweighs`)
  if (advisory > 0) say(settings, `${digits(advisory)} of all were advice: asked outside of any task`)
  if (changed > listed.length) say(settings, `${digits(changed - listed.length)} more ${changed - listed.length === 1 ? 'changes' : 'change'}: writ policy simulate ${inert(folder)} ${isWhole ? '' : '--all '}--json`)
}

/** Rows: what was answered; columns: what would be. A number outside the diagonal is one to look at. */
async function matrixLines(settings: Settings, { matrix }: ReplayState): Promise<readonly string[]> {
  const paint = await painterOf(settings)
  const heads = ANSWERS.map((now) => `now ${SAID[now]}`)
  const widest = Math.max(...heads.map((head) => head.length), ...ANSWERS.flatMap((was) => ANSWERS.map((now) => digits(matrix[was][now]).length)))
  const first = Math.max(...ANSWERS.map((was) => SAID[was].length)) + 4
  return [
    `${' '.repeat(first)}${heads.map((head) => `  ${paint.dim(head.padStart(widest))}`).join('')}`,
    ...ANSWERS.map((was) => `${`was ${SAID[was]}`.padEnd(first)}${ANSWERS.map((now) => {
      const shown = digits(matrix[was][now]).padStart(widest)
      return `  ${was !== now && matrix[was][now] > 0 ? paint.yellow(shown) : shown}`
    }).join('')}`),
  ]
}

const cellsOf = ({ id, was, now, principal, action, resource, by, errors }: ChangedDecision): readonly string[] => [
  id, SAID[was], SAID[now], principal.id, action, `${resource.type.replace(/^Writ::/, '')} ${resource.id}`,
  errors.length > 0 ? `error: ${errors[0]}` : by.map(({ policy }) => policy).join(', ') || 'no permit applies',
].map(inert)

function printScripted(settings: Settings, { listed, matrix, fed, changed, notEvaluated, notByPolicy, advisory, ms }: Simulated, { since, until }: Span): void {
  if (settings.format === 'jsonl') return listed.forEach((one) => printLine(inertJson(one)))
  if (settings.format === 'plain') return listed.forEach((one) => printLine(cellsOf(one).join('\t')))
  const replayed = fed - notEvaluated - notByPolicy
  printLine(inertJson({ since, until: until ?? null, recorded: fed, replayed, changed, not_evaluated: notEvaluated, not_by_policy: notByPolicy, advisory, ms: Math.round(ms), matrix, changes: listed }, 2))
}
