import type { Browser } from 'playwright-core'
import type { Cluster } from '../postgres-cluster.ts'
import { sitDown, type AtBrowser } from './browser.ts'
import { approve, comeByLink, contained, giveRole, invite, letIn, openCard, proofOf, stopIdentity, tryToApprove, watchInbox, type Shown } from './people.ts'
import { refundsIn, startAgent, tellOfWork, type Agent } from './refunds.ts'
import { note, step, writ, type Stage } from './stage.ts'

export type PeopleOrder = { readonly browser: Browser; readonly origin: string; readonly cluster: Cluster }

/** Maya answers for refunds. Li answers for the agent, and so she may not. Answers what makes a link for whoever reads along. */
export async function tellOfTwoPeople(stage: Stage, { browser, origin, cluster }: PeopleOrder): Promise<() => Promise<string>> {
  const { maya, li } = await comeTogether(stage, browser, origin)

  step('Li starts her agent: a process of its own, with a key of its own')
  const { shown } = await watchInbox(maya, origin)
  const agent = startAgent(stage, '5m')
  const { task, denied } = await tellOfWork(stage, agent)
  await li.page.goto(`${origin}/decisions/${denied}`)
  await li.page.locator('.w-explanation', { hasText: 'agents-erase-nobody' }).waitFor()
  note(`Li reads the same in her browser: ${origin}/decisions/${denied}`)

  await tellOfApproval({ maya, li, agent, origin, cluster, shown })
  await agent.next('goes_on')
  await tellOfStop({ maya, agent, origin, task })
  await tellOfProof(stage, { maya, origin, task })
  await agent.ended
  for (const { name, faults } of [maya, li]) if (faults.length > 0) throw new Error(`the console failed in ${name}'s browser: ${faults.join('; ')}`)
  return () => invite(maya, origin, { name: 'you', roles: ['reviewer', 'admin'], reason: 'reads along' })
}

async function comeTogether(stage: Stage, browser: Browser, origin: string): Promise<{ readonly maya: AtBrowser; readonly li: AtBrowser }> {
  step(`Two people, each at a browser of their own (Chromium ${browser.version()}; a virtual authenticator holds each one's passkey)`)
  const maya = await sitDown(browser, 'Maya Okafor')
  const { text } = await writ(stage, ['open', '--first'], { environment: atBrowser(stage), heard: () => undefined })
  await comeByLink(maya, /http\S+\/first#\S+/.exec(text)?.[0] ?? '')
  note('Maya is the first person here, an administrator, by a passkey; the operator\'s key died with that:')
  await writ(stage, ['whoami'], { code: 3 })
  const { signedIn } = await signInCommandLine(stage, maya, origin)
  await giveRole(maya, origin, { role: 'reviewer', reason: 'answers for refunds' })
  note('Maya gives herself the role of a reviewer: an administrator as such answers nothing')
  const link = await invite(maya, origin, { name: 'Li Wei', email: 'li@shop.example', roles: ['reviewer', 'owner'], reason: 'answers for the agents of the desk' })
  const li = await sitDown(browser, 'Li Wei')
  await comeByLink(li, link)
  note('Li comes by a link of Maya\'s, and is a reviewer too; she is the technical owner of refund-agent, as the manifest says')
  await signedIn
  return { maya, li }
}

/** From here on the command line is Maya's. It asks only every few seconds whether she has confirmed: that is answered once it knows. */
async function signInCommandLine(stage: Stage, maya: AtBrowser, origin: string): Promise<{ readonly signedIn: Promise<unknown> }> {
  const { promise: code, resolve: show, reject } = Promise.withResolvers<string>()
  const signedIn = writ(stage, ['login'], { environment: atBrowser(stage), heard: (text) => {
    const shown = /^ {2}([A-Z0-9]{4}-[A-Z0-9]{4})$/m.exec(text)?.[1]
    if (shown !== undefined) show(shown)
  } })
  signedIn.catch(reject)
  await letIn(maya, origin, await code)
  note('Maya compared the code in her browser, and lets the command line in: it is hers from now on')
  return { signedIn }
}

/** Nobody is told of a tunnel, and no other browser comes up: there is one already. */
const atBrowser = ({ environment }: Stage): NodeJS.ProcessEnv => ({ ...environment, BROWSER: 'true' })

type Approving = {
  readonly maya: AtBrowser; readonly li: AtBrowser; readonly agent: Agent
  readonly origin: string; readonly cluster: Cluster; readonly shown: Promise<Shown>
}

async function tellOfApproval({ maya, li, agent, origin, cluster, shown: asked }: Approving): Promise<void> {
  step('A person has to approve: of two, only the one who does not answer for the agent')
  const { says, heardAt: askedAt } = await agent.next('asks')
  const { id, at } = await asked
  note(`refund-agent: ${says} -> waits`)
  note(`in Maya's inbox ${ms(at - askedAt)} later: ${id}`)
  const { shown, answer } = await tryToApprove(li, origin, id)
  note(`Li opens it: "${shown}"`)
  note(`and past the buttons, at the server: ${answer.status} ${answer.code}`)
  if (answer.status !== 403) throw new Error('whoever answers for the agent may not approve')
  const card = await openCard(maya, id)
  note(`Maya opens it: exactly ${card.runs} will run, SHA-256 ${card.hash.slice(0, 8)}...; ${card.why}`)
  const yesAt = await approve(maya, 'the carrier says that it is lost')
  const ran = await agent.next('ran')
  note(`Maya types a reason, and her passkey signs all of it: the agent went on ${ms(ran.heardAt - yesAt)} after her yes`)
  note(`PostgreSQL: ${await refundsIn(cluster)}`)
  const again = await agent.next('used_up')
  note(`refund-agent: ${again.says} once more -> denied: ${again.code}`)
  const left = await refundsIn(cluster)
  note(`PostgreSQL: ${left}`)
  if (again.code !== 'approval_used' || !left.startsWith('1 refund,')) throw new Error('what was approved once must run once')
}

type Stopping = { readonly maya: AtBrowser; readonly agent: Agent; readonly origin: string; readonly task: string }

async function tellOfStop({ maya, agent, origin, task }: Stopping): Promise<void> {
  step('Stopped: from one moment to the next')
  note('refund-agent goes on with its work: it looks the order up, again and again')
  const { touches, at } = await stopIdentity(maya, origin, { task, reason: 'it tried to erase a customer' })
  const killed = await agent.next('killed')
  note(`Maya stops it, having seen what that touches: ${touches}`)
  note(`its next call was refused ${ms(killed.at - at)} after her click: ${killed.says}`)
  note(await contained(maya))
}

async function tellOfProof(stage: Stage, { maya, origin, task }: { readonly maya: AtBrowser; readonly origin: string; readonly task: string }): Promise<void> {
  step('Verified: in the browser, and without it')
  for (const type of ['approval.used', 'task.ended']) note(`${type}: ${await proofOf(maya, origin, { type, task })}`)
  await writ(stage, ['audit', 'export', '--stream', 'human', `${stage.folder}/people.log`])
  await writ(stage, ['verify', '--key', `${stage.folder}/people.log.key`, `${stage.folder}/people.log`], { environment: { PATH: stage.environment['PATH'] } })
}

const ms = (span: number): string => `${Math.max(0, Math.round(span))} ms`
