import init, { checkParsePolicySet, type DetailedError } from '@cedar-policy/cedar-wasm/web'
import type { CedarAnswer, CedarQuestion } from './cedar-check.ts'

/** Cedar itself, beside the page: 4 MB that only somebody who writes policies loads, and that holds up no key while it reads. */
const ready = init()

addEventListener('message', ({ data }: MessageEvent<CedarQuestion>) => {
  void ready.then(() => postMessage({ id: data.id, flaws: flawsOf(data.text) } satisfies CedarAnswer), (fault: unknown) => postMessage({ id: data.id, fault: String(fault) } satisfies CedarAnswer))
})

function flawsOf(text: string): NonNullable<CedarAnswer['flaws']> {
  const answer = checkParsePolicySet({ staticPolicies: text })
  return answer.type === 'success' ? [] : withRelated(answer.errors).map(({ message, help, sourceLocations }) => ({
    byte: sourceLocations?.[0]?.start ?? 0, message: message.replace(/^(?:failed to parse [a-z ]+ from string: )+/, ''), hint: help ?? sourceLocations?.[0]?.label ?? null,
  }))
}

const withRelated = (flaws: readonly DetailedError[]): readonly DetailedError[] => flaws.flatMap((flaw) => [flaw, ...withRelated(flaw.related ?? [])])
