import { parseExactJson } from '@writ/contract/strict-json'
import { isLive, mayDecide, usualBound, type ApprovalBound, type ApprovalState, type Human, type MayDecideReason } from '@writ/domain/approval'
import { exactText, type ExactRecord } from '@writ/domain/exact'
import type { PersonId } from '@writ/domain/id'
import type { Identity } from '@writ/domain/identity'
import { refuse, type Outcome } from '@writ/domain/outcome'
import type { Task } from '@writ/domain/task'
import { milliseconds, plus, type EpochMs } from '@writ/domain/time'
import { rolesOf, rolesOfAll } from '../authenticate/person-roles.ts'
import { argumentText, editedPlace, envelopeText, fieldsOf, intentPlace, sha256Hex } from '../decide/envelope.ts'
import { questionPlace } from '../decide/record-decision.ts'
import type { Sealer } from '../keys/seal.ts'
import type { Db } from '../record/tx.ts'
import { listAnswersOf, listVotes, type Vote } from '../store/approval-votes.ts'
import { countPast, type Approval } from '../store/approvals.ts'
import { findDecision, type Decision } from '../store/decisions.ts'
import { findIdentity } from '../store/identities.ts'
import { findPerson, listPeople } from '../store/people.ts'
import { findTask } from '../store/tasks.ts'
import { keptArguments } from './choose.ts'
import { allRequesters } from './vote.ts'

/** Whoever looks: null for an operator's key, which never answers. */
export type Looker = Human & { readonly name: string } | null

/** The person of a sign-in with all that says who that is, as roles and groups stand now. */
export async function humanOf(db: Db, id: PersonId): Promise<Looker> {
  const person = await findPerson(db, id)
  if (person === undefined) return null
  const { name, email, issuer, subject, groups } = person
  return { person: id, name, email, issuer, subject, groups, roles: await rolesOf(db, person) }
}

/** Whether whoever looks may answer it now, and else why not. */
export async function mayAnswer(db: Db, approval: Approval, { looker, votes, now }: { readonly looker: Looker; readonly votes: readonly Vote[]; readonly now: EpochMs }): Promise<Outcome<null, MayDecideReason>> {
  if (approval.state !== 'waiting' || now >= approval.expiresAt) return refuse('over')
  if (looker === null) return refuse('not_a_person')
  return mayDecide({ human: looker, requesters: await allRequesters({ db }, approval), route: approval.route, voted: votes })
}

export type CardLink = { readonly task: Task; readonly identity: Identity }

export type Card = {
  readonly approval: Approval
  readonly identity: Identity
  readonly votes: readonly Vote[]
  readonly decision: Decision
  /** What was asked, as exact JSON; null once erased. */
  readonly question: string | null
  readonly chain: readonly CardLink[]
  readonly arguments: string | null
  readonly edited: string | null
  readonly intent: string | null
  readonly history: Readonly<Partial<Record<ApprovalState, number>>>
  readonly bound: ApprovalBound | null
  readonly envelope: string | null
  readonly envelopeSha256: string | null
  readonly people: readonly { readonly person: PersonId; readonly name: string }[]
  readonly may: Outcome<null, MayDecideReason>
}

export type CardNeeds = { readonly questions: Pick<Sealer, 'unseal'>; readonly looker: Looker; readonly now: EpochMs }

const HISTORY_MS = milliseconds(-30 * 86_400_000)

/** Everything that whoever decides has to see. */
export async function cardOf(db: Db, approval: Approval, { questions, looker, now }: CardNeeds): Promise<Card> {
  const chain: CardLink[] = []
  for (const link of approval.chain) chain.push({ task: (await findTask(db, link.task))!, identity: (await findIdentity(db, link.identity))! })
  const votes = await listVotes(db, [approval.id])
  const decision = (await findDecision(db, approval.decision))!
  const question = decision.evaluated === null ? null : questions.unseal(decision.evaluated, questionPlace(decision.id))
  const kept = keptArguments(approval, questions) ?? (question === null ? undefined : askedIn(question, approval.argumentsSha256))
  const envelope = isLive(approval.state) ? envelopeText(fieldsOf(approval, approval.choice ?? { scope: 'once' })) : null
  return {
    approval, identity: chain.at(-1)!.identity, votes, decision, question, chain, arguments: kept ?? null,
    edited: approval.edited === null ? null : questions.unseal(approval.edited, editedPlace(approval.id)),
    intent: approval.intent === null ? null : questions.unseal(approval.intent, intentPlace(approval.id)),
    history: await countPast(db, approval, plus(now, HISTORY_MS)), bound: approval.state === 'waiting' && kept !== undefined ? offered(kept, chain.at(-1)!.task.deadline) : null,
    envelope, envelopeSha256: envelope === null ? null : sha256Hex(envelope), people: await listDeciders(db, approval), may: await mayAnswer(db, approval, { looker, votes, now }),
  }
}

/** Once it has its end, the same stands with the denial for as long as nobody erases it there. */
function askedIn(question: string, argumentsSha256: string): string | undefined {
  const read = parseExactJson(question)
  if (!read.ok) return undefined
  const { arguments: args, known } = read.value as { readonly arguments: ExactRecord; readonly known: ExactRecord }
  const text = argumentText(args, typeof known['template'] === 'string' ? known['template'] : undefined)
  return sha256Hex(text) === argumentsSha256 ? text : undefined
}

function offered(text: string, deadline: EpochMs): ApprovalBound | null {
  const read = parseExactJson(text)
  return read.ok ? usualBound(read.value as ExactRecord, deadline) : null
}

/** Of more people than these nobody reads the names. */
const MOST_PEOPLE = 200

async function listDeciders(db: Db, approval: Approval): Promise<Card['people']> {
  if (approval.state !== 'waiting') return []
  const all = (await listPeople(db, { limit: MOST_PEOPLE })).filter(({ blockedAt }) => blockedAt === null)
  const [roles, requesters] = [await rolesOfAll(db, all), await allRequesters({ db }, approval)]
  return all.flatMap((one) => {
    const human = { person: one.id, email: one.email, issuer: one.issuer, subject: one.subject, groups: one.groups, roles: roles.get(one.id)! }
    return mayDecide({ human, requesters, route: approval.route, voted: [] }).ok ? [{ person: one.id, name: one.name }] : []
  })
}

export type Habit = { readonly answered: number; readonly approveRate: number | null; readonly medianSeconds: number | null; readonly proposePolicy: boolean }

const LOOKED_BACK = 50
const ENOUGH = 20
const HIGH_RATE = 0.95

/** Whoever says yes nearly always reads no more: then a policy would say it as well. */
export async function habitOf(db: Db, person: PersonId): Promise<Habit> {
  const answers = await listAnswersOf(db, person, LOOKED_BACK)
  if (answers.length === 0) return { answered: 0, approveRate: null, medianSeconds: null, proposePolicy: false }
  const approveRate = answers.filter(({ answer }) => answer === 'approve').length / answers.length
  const sorted = answers.map(({ afterMs }) => afterMs).toSorted((a, b) => a - b)
  return { answered: answers.length, approveRate, medianSeconds: Math.round(sorted[Math.floor((sorted.length - 1) / 2)]! / 1000), proposePolicy: answers.length >= ENOUGH && approveRate > HIGH_RATE }
}

/** Of requests that one list may show: whoever reads it sees each value, and nothing of high risk. */
export function alikeOf({ identity, action, resource, route, risk, state }: Approval): string | null {
  if (state !== 'waiting' || risk === 'high' || route.signed || route.quorum > 1) return null
  return sha256Hex(exactText([identity, action, resource.type, resource.id, route.name])).slice(0, 16)
}
