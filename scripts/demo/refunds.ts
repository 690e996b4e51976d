import { once } from 'node:events'
import { join } from 'node:path'
import { ask, type Cluster } from '../postgres-cluster.ts'
import type { News } from './refund-agent.ts'
import { DEMO, note, startChild, step, writ, type Stage } from './stage.ts'

/** What happens, in its order, each with the moment in which it was heard. */
export type Heard<Kind extends News['kind'] = News['kind']> = Extract<News, { readonly kind: Kind }> & { readonly heardAt: number }

export type Agent = {
  /** The next thing that it tells, which has to be this. */
  readonly next: <Kind extends News['kind']>(kind: Kind) => Promise<Heard<Kind>>
  readonly ended: Promise<void>
}

/** A process of its own, which finds its key and the server in its environment. */
export function startAgent(stage: Stage, patience: string): Agent {
  const { WRIT_CONFIG: _, ...environment } = stage.environment
  const child = startChild(stage, process.execPath, [join(DEMO, 'refund-agent.ts'), patience], {
    env: { ...environment, WRIT_KEY_FILE: join(stage.folder, 'refund-agent.jwk'), WRIT_IDENTITY: 'spiffe://shop.example/refund-agent' },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const told: Heard[] = []
  let wake = (): void => undefined
  let isOver = false
  child.on('message', (news) => {
    told.push({ ...news as News, heardAt: performance.now() })
    wake()
  })
  // What it has told last may come after its end.
  const ended = Promise.all([once(child, 'exit'), once(child, 'disconnect')]).then(() => {
    isOver = true
    wake()
  })
  return {
    ended,
    async next(kind) {
      while (told.length === 0 && !isOver) await new Promise<void>((heard) => { wake = heard })
      const news = told.shift()
      if (news?.kind !== kind) throw new Error(`the agent was to tell \`${kind}\`, and told \`${news?.kind ?? 'nothing more'}\``)
      return news as never
    },
  }
}

/** It works as it may, is denied what it may not, and goes on by itself. */
export async function tellOfWork(stage: Stage, agent: Agent): Promise<{ readonly task: string; readonly denied: string }> {
  const { task, purpose } = await agent.next('works')
  note(`refund-agent: task ${task}: ${purpose}`)
  note(`refund-agent: ${(await agent.next('allowed')).says} -> allowed`)
  const denied = await agent.next('denied')
  note(`refund-agent: ${denied.says} -> denied`)
  await writ(stage, ['explain', denied.decision])
  return { task, denied: denied.decision }
}

export async function refundsIn(cluster: Cluster): Promise<string> {
  const [row] = await ask(cluster.url('shop'), 'select count(*)::int as n, coalesce(sum(amount_cents), 0)::int as cents from shop.refund')
  return `${String(row?.['n'])} refund${row?.['n'] === 1 ? '' : 's'}, ${(Number(row?.['cents']) / 100).toFixed(2)} in all`
}

/** The story as far as it goes where nobody can sit at a browser: the request waits, and no answer is no. */
export async function tellWithoutPeople(stage: Stage, cluster: Cluster): Promise<void> {
  step('The agent at work: a process of its own, with a key of its own')
  const agent = startAgent(stage, '2s')
  await tellOfWork(stage, agent)
  note(`refund-agent: ${(await agent.next('asks')).says} -> a person has to approve exactly this`)
  const { url } = await agent.next('unanswered')
  note(`nobody answered within 2 s, and no answer is no; a person would answer at ${url}`)
  note(`PostgreSQL: ${await refundsIn(cluster)}`)
  await agent.next('goes_on')

  step('Stopped: from one moment to the next')
  const [killed, { text }] = await Promise.all([
    agent.next('killed'),
    writ(stage, ['stop', 'identity', 'refund-agent', '--reason', 'it tried to erase a customer', '--wait', '--yes'], { heard: () => undefined }),
  ])
  note(`refund-agent: its next call was refused ${killed.at - Date.parse(/^at +(\S+)$/m.exec(text)?.[1] ?? '')} ms after the stop: ${killed.says}`)
  await agent.ended
}
