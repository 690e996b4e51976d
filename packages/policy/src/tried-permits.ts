import { openEngine, type Engine } from './engine.ts'
import type { Policy } from './policies.ts'
import type { Question } from './question.ts'
import { partsOf, type PolicyParts, type Term } from './terms.ts'

/** A permit whose scope fits the question, and those of its terms that keep it from applying. */
export type TriedPermit = { readonly policy: Policy; readonly failed: readonly Term[] }

/**
 * Tries every permit term by term. Each term stands as a permit of its own, with the scope of its policy, in an engine that is compiled
 * once for a version; so one decision tells of all terms, and by the very code that decides.
 */
export function tryPermits(engine: Engine, question: Question): readonly TriedPermit[] {
  const held = new Map<number, Set<number>>()
  for (const { policy: name } of termEngineOf(engine).decide(question).by) {
    const [policy, term] = name.split('/').map(Number) as [number, number]
    held.set(policy, (held.get(policy) ?? new Set()).add(term))
  }
  return [...held].toSorted(([a], [b]) => a - b).map(([index, terms]) => {
    const policy = engine.bundle.policies[index]!
    return { policy, failed: partsOfPolicy(policy).terms.filter((_, i) => !terms.has(i)) }
  })
}

const partsByPolicy = new WeakMap<Policy, PolicyParts>()

export function partsOfPolicy(policy: Policy): PolicyParts {
  const known = partsByPolicy.get(policy)
  if (known !== undefined) return known
  const parts = partsOf(policy.text)
  partsByPolicy.set(policy, parts)
  return parts
}

/** Stands among the terms for the scope alone, so that a policy of which no term holds is heard of too. */
const SCOPE = -1

const nameOf = (policy: number, term: number): string => `${policy}/${term}`

/** Engines hold memory that only closing gives back: of the versions that are explained, the last two keep theirs. */
const MOST_KEPT = 2
const kept: { readonly engine: Engine; readonly ofTerms: Engine }[] = []

function termEngineOf(engine: Engine): Engine {
  const found = kept.find((one) => one.engine === engine)
  if (found !== undefined) return found.ofTerms
  const ofTerms = openEngine({ ...engine.bundle, policies: engine.bundle.policies.flatMap(termPolicies) })
  kept.push({ engine, ofTerms })
  if (kept.length > MOST_KEPT) kept.shift()!.ofTerms.close()
  return ofTerms
}

function termPolicies(policy: Policy, index: number): readonly Policy[] {
  if (policy.effect !== 'permit') return []
  const { scope, terms } = partsOfPolicy(policy)
  return [
    { ...policy, id: nameOf(index, SCOPE), text: `permit ${scope};` },
    ...terms.map((term, i) => ({
      ...policy,
      id: nameOf(index, i),
      text: `permit ${scope} when { ${[...terms.slice(0, i).filter((before) => guards(before, term)), term].map(asWanted).join(' && ')} };`,
    })),
  ]
}

/** Whether a term may be evaluated only where one before it holds: it looks at what the other has asked for. */
const guards = (before: Term, term: Term): boolean => /\b(?:has|is|hasTag)\b/.test(before.text) &&
  before.paths.some((asked) => term.paths.some((path) => asked.every((name, i) => path[i] === name)))

/** The term as it has to be for the policy to apply. In brackets, for it may be a choice. */
const asWanted = ({ text, negated }: Term): string => `${negated ? '!' : ''}(${text})`
