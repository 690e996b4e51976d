import { IDENTITY_CLASSES, PROFILES } from '@writ/domain/profile'
import type { BundleFiles } from '@writ/policy/bundle'
import { DEFAULT_BUNDLE } from '@writ/policy/defaults'
import type { Entity, Question } from '@writ/policy/question'

/** An estate with so many policies beside the set that ships: half for a tool, a quarter each for a group's members and for a back end. */
export function estateFiles(policies: number): BundleFiles {
  const tools = Array.from({ length: Math.ceil(policies / 2) }, (_, i) => toolNamed(serverOf(i), 'refund', 'write', { amount: { type: 'integer' } }))
  const written = Array.from({ length: policies }, (_, i) => (i % 2 === 0 ? refundPermit(i / 2) : i % 4 === 1 ? groupPermit(i) : backendForbid(i)))
  return { ...DEFAULT_BUNDLE, 'estate.cedar': written.join('\n'), 'tools.json': JSON.stringify([...COMMON_TOOLS, ...tools]) }
}

export const serverOf = (index: number): string => `shop-${index}`
export const MOST_REFUNDED = 100
export const GROUP = 'team-1'

const refundPermit = (tool: number): string => `@id("refunds-${tool}")
permit (principal, action == Writ::Action::"${serverOf(tool)}/refund", resource)
when { context.arguments has amount && context.arguments.amount <= ${MOST_REFUNDED} };
`
const groupPermit = (group: number): string => `@id("notes-of-team-${group}")
permit (principal in Writ::Group::"team-${group}", action in Writ::Action::"call", resource is Writ::Tool)
when { resource.effect == "external" && context.depth == 0 };
`
const backendForbid = (backend: number): string => `@id("no-ddl-on-${backend}")
forbid (principal, action == Writ::Action::"connect", resource == Writ::Backend::"database-${backend}")
when { context.template == "ddl" && context.environment == "production" };
`

const toolNamed = (server: string, name: string, effect: string, input: object): object =>
  ({ server, name, effect, reversible: false, labels: [], input: { type: 'object', properties: input, additionalProperties: false } })

/** The same in every size. */
const COMMON_TOOLS: readonly object[] = [
  toolNamed('crm', 'search', 'read', { query: { type: 'string' }, limit: { type: 'integer' } }), toolNamed('mail', 'send', 'external', { to: { type: 'string' } }),
]

export const TOOL_FILES: BundleFiles = { ...DEFAULT_BUNDLE, 'tools.json': JSON.stringify(COMMON_TOOLS) }

export const BACKEND = 'database-3'

/** One question of each sort: what the set that ships allows, what a policy of the tool or of a group does, and what a person would have to. */
export type Asked = { readonly question: Question; readonly answer: 'allow' | 'deny' }

/** So many agents are at work. */
const AGENTS = 50

/** `round`: no two rounds ask the same, for no two uses in a task do: each is by another agent, in another task with another budget left. */
export function askedOf(entity: (ref: { readonly type: string; readonly id: string }) => Entity | undefined, round = 0): readonly Asked[] {
  const ask = (action: string, resource: Entity, more: More): Question => asking(action, resource, more, round)
  const question = (tool: string, args: Question['arguments']): Question => ask('call', entity({ type: 'Writ::Tool', id: tool })!, { arguments: args })
  return [
    { question: question('crm/search', { query: `unpaid orders of week ${round}`, limit: 50n }), answer: 'allow' },
    { question: question(`${serverOf(0)}/refund`, { amount: BigInt(40 + (round % 60)) }), answer: 'allow' },
    { question: question('mail/send', { to: 'maya@acme.example' }), answer: 'allow' },
    { question: question(`${serverOf(0)}/refund`, { amount: BigInt(4000 + round) }), answer: 'deny' },
    { question: ask('connect', DATABASE, { also: { template: 'ddl' } }), answer: 'allow' },
  ]
}

const DATABASE: Entity = {
  uid: { type: 'Writ::Backend', id: BACKEND }, attributes: { kind: 'postgres', labels: [], effect: 'write', reversible: false }, parents: [],
}

type More = { readonly arguments?: Question['arguments']; readonly also?: Question['known'] }

function asking(action: string, resource: Entity, { arguments: args = {}, also = {} }: More, round: number): Question {
  return {
    principal: {
      uid: { type: 'Writ::Agent', id: `spiffe://acme.example/answers-customers-${round % AGENTS}` },
      attributes: { class: 'autonomous', environment: 'test', system_scope: ['crm', 'shop'] },
      parents: [{ type: 'Writ::Class', id: 'autonomous' }, { type: 'Writ::Group', id: GROUP }],
    },
    action, resource, arguments: args, claimed: {},
    known: {
      task: `tsk_01jgq3v9ty${String(round).padStart(16, '0')}`, purpose: { entity: { type: 'Writ::Purpose', id: 'none' } }, class: 'autonomous', environment: 'test',
      on_behalf_of: { issuer: 'https://id.acme.example', subject: 'maya' }, change: 'CHG-1', depth: 0n, budget_left: BigInt(99 + round), labels: ['confidential'], approved: false,
      at: '2026-11-22T12:00:00.000Z', ...also,
    },
  }
}

/** What needs a person's answer before it may do what can't be taken back. */
export const ANSWERED_FOR: readonly string[] = IDENTITY_CLASSES.filter((one) => PROFILES[one].approvalByDefault)
