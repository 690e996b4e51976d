import type { ApprovalCardReply } from '@writ/contract/approvals'
import { parseExactJson } from '@writ/contract/strict-json'
import { InexactNumber, type ExactRecord, type ExactValue } from '@writ/domain/exact'
import { quote } from '@writ/policy/code-text'
import type { EntityRef } from '@writ/policy/question'
import { ENOUGH_ALIKE } from './pages/routine.ts'

/** A request that a person said yes to, and who asked, as the decision has it. */
export type Agreed = { readonly card: ApprovalCardReply; readonly principal: EntityRef }

export type Proposal = { readonly file: string; readonly text: string; readonly from: number; /** What forbids them until approved, and a permit does not outweigh. */ readonly forbidden: string | null }

type Refused = { readonly why: string }

const MOST_NAMED = 20

/**
 * A permit for exactly what people said yes to: this identity, this tool as it is, and no value of an argument beside those that were seen.
 * It is text for an author to read; it opens nothing by itself.
 */
export function proposalFrom(agreed: readonly Agreed[], files: Readonly<Record<string, string>>, day: string): Proposal | Refused {
  const [first] = agreed
  if (first === undefined || agreed.length < ENOUGH_ALIKE) return { why: `fewer than ${ENOUGH_ALIKE} requests like it were approved` }
  const { card, principal } = first
  if (card.action !== 'call' || card.resource.type !== 'Writ::Tool') return { why: 'only for calls of tools' }
  const declared = declaredArguments(files['tools.json'], card.resource.id)
  if (declared === undefined) return { why: `no tool \`${card.resource.id}\` stands in tools.json` }
  const seen = agreed.map(({ card: { arguments: text } }) => recordIn(text))
  const terms = seen.includes(null) ? { why: 'what was asked for is kept no more' } : termsOf('context.arguments', seen as readonly ExactRecord[], declared)
  if ('why' in terms) return terms
  const tail = card.id.slice(-8)
  const tool = quote(card.resource.id)
  const when = [...toolTerms(card), ...terms]
  const { forbidden_by: forbiddenBy = null } = card.explanation ?? {}
  const text = `${headOf(agreed, day)}
@id("proposed-${tail}")
permit (
  principal == ${principal.type}::${quote(principal.id)},
  action == Writ::Action::${tool},
  resource == Writ::Tool::${tool}
)
when
{
  ${when.join(' &&\n  ')}
};

${sourcesOf(agreed)}
`
  return { file: `policies/proposed-${tail}.cedar`, text, from: agreed.length, forbidden: forbiddenBy === null ? null : `${forbiddenBy.policy} (${forbiddenBy.file}:${forbiddenBy.line})` }
}

/** Accepted anew as something else it is something else. */
const toolTerms = ({ effect, reversible }: ApprovalCardReply): readonly string[] => [
  ...(effect === null ? [] : [`resource.effect == ${quote(effect)}`]), ...(reversible === null ? [] : [reversible ? 'resource.reversible' : '!resource.reversible']),
]

function headOf(agreed: readonly Agreed[], day: string): string {
  const times = agreed.map(({ card }) => card.requested_at.slice(0, 10)).toSorted()
  return [
    `// Proposed on ${day} from the ${agreed.length} requests below, which people approved;`,
    `// none like them was denied. They were made from ${times[0]!} to ${times.at(-1)!}.`,
    '// This identity may use this tool within the values of those requests, and',
    '// nobody is asked any more.',
    ...(agreed[0]!.card.risk === 'high' ? ['// Mind: it is of high risk. It leaves the house, or can not be taken back,', '// and each of these was signed by a person.'] : []),
  ].join('\n')
}

function sourcesOf(agreed: readonly Agreed[]): string {
  const ids = agreed.slice(0, MOST_NAMED).map(({ card }) => `//   ${card.id}`)
  return ['// Made from:', ...ids, ...(agreed.length > ids.length ? [`//   and ${agreed.length - ids.length} more`] : [])].join('\n')
}

type Declared = { readonly names: readonly string[]; readonly required: readonly string[]; readonly input: ExactRecord }

/** The arguments that a tool has, as it was pinned. */
function declaredArguments(toolsText: string | undefined, id: string): Declared | undefined {
  const read = parseExactJson(toolsText ?? '[]')
  const tools = read.ok && Array.isArray(read.value) ? read.value as readonly ExactValue[] : []
  const tool = tools.filter(isRecord).find(({ server, name }) => `${server as string}/${name as string}` === id)
  return tool === undefined ? undefined : declaredIn(isRecord(tool['input']) ? tool['input'] : {})
}

function declaredIn(input: ExactRecord): Declared {
  const { properties, required } = input
  return { names: isRecord(properties) ? Object.keys(properties) : [], required: Array.isArray(required) ? required as readonly string[] : [], input }
}

/** What each argument was, and nothing else; why not, where Cedar has no bound for it. */
function termsOf(path: string, seen: readonly ExactRecord[], { names, required, input }: Declared): readonly string[] | Refused {
  const terms: string[] = []
  for (const name of new Set([...names, ...seen.flatMap((one) => Object.keys(one))])) {
    const given = seen.filter((one) => Object.hasOwn(one, name))
    if (!names.includes(name)) return { why: `the tool takes no argument \`${name}\` any more` }
    const has = `${path} has ${isName(name) ? name : quote(name)}`
    if (given.length === 0) {
      terms.push(`!(${has})`)
      continue
    }
    const within = boundOf(isName(name) ? `${path}.${name}` : `${path}[${quote(name)}]`, given.map((one) => one[name]!), partOf(input, name))
    if ('why' in within) return within
    if (given.length === seen.length) terms.push(...(required.includes(name) ? [] : [has]), ...within)
    else if (within.length > 0) terms.push(`(if ${has} then ${within.join(' && ')} else true)`)
  }
  return terms
}

function partOf(input: ExactRecord, name: string): ExactRecord {
  const { properties } = input
  const part = isRecord(properties) ? properties[name] : undefined
  return isRecord(part) ? part : {}
}

function boundOf(path: string, values: readonly ExactValue[], input: ExactRecord): readonly string[] | Refused {
  if (values.every((value) => typeof value === 'bigint')) {
    const sorted = (values as readonly bigint[]).toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0))
    return sorted[0] === sorted.at(-1) ? [`${path} == ${sorted[0]}`] : [`${path} >= ${sorted[0]}`, `${path} <= ${sorted.at(-1)}`]
  }
  if (values.every((value) => typeof value === 'string')) {
    const texts = [...new Set(values as readonly string[])].toSorted()
    return [texts.length === 1 ? `${path} == ${quote(texts[0]!)}` : `[${texts.map(quote).join(', ')}].contains(${path})`]
  }
  if (values.every((value) => typeof value === 'boolean')) {
    const both = new Set(values)
    return both.size === 2 ? [] : [values[0] === true ? path : `!${path}`]
  }
  if (values.every(isRecord)) return termsOf(path, values, declaredIn(input))
  return { why: `no bound can be written for \`${path.replace('context.arguments.', '')}\`` }
}

/** Cedar's words, which are no names. */
const WORDS = ['true', 'false', 'if', 'then', 'else', 'in', 'is', 'like', 'has', '__cedar']
const isName = (name: string): boolean => /^[A-Za-z_]\w*$/.test(name) && !WORDS.includes(name)

const isRecord = (value: ExactValue | undefined): value is ExactRecord => typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof InexactNumber)

function recordIn(text: string | null): ExactRecord | null {
  const read = text === null ? undefined : parseExactJson(text)
  return read?.ok === true && isRecord(read.value) ? read.value : null
}
