import { EFFECTS, type Effect } from '@writ/domain/decision'
import type { McpToolReply, ToolTerms } from '@writ/contract/mcp-servers'
import { InvalidArgumentError } from 'commander'
import { usage } from '../exit.ts'

/** What a person says of a tool in place of what is proposed: `TOOL=VALUE`. */
export type Said = { readonly tool: string; readonly value: string }

export type SaidFlags = {
  readonly effect?: readonly Said[]
  readonly reversible?: readonly Said[]
  readonly label?: readonly Said[]
  readonly trust?: readonly Said[]
  readonly public?: readonly Said[]
}

/** A tool's name may hold `=` itself. */
export function oneMoreSaid(text: string, before: readonly Said[] = []): readonly Said[] {
  const at = text.lastIndexOf('=')
  if (at < 1 || at === text.length - 1) throw new InvalidArgumentError('it must be TOOL=VALUE.')
  return [...before, { tool: text.slice(0, at), value: text.slice(at + 1) }]
}

function oneMoreOf(values: readonly string[]) {
  return (text: string, before: readonly Said[] = []): readonly Said[] => {
    const said = oneMoreSaid(text, before)
    if (!values.includes(said.at(-1)!.value)) throw new InvalidArgumentError(`it must be TOOL=${values.join('|')}.`)
    return said
  }
}

export const oneMoreEffect = oneMoreOf(EFFECTS)
export const oneMoreYesOrNo = oneMoreOf(['yes', 'no'])

/** What is in force of the tool, else what is proposed, and over it what was said. */
export function termsOf({ name, terms, proposal, ...listed }: McpToolReply, { effect, reversible, label, trust, public: open = [] }: SaidFlags): ToolTerms {
  const base = terms ?? proposal!
  const last = (said: readonly Said[] = []): string | undefined => said.findLast(({ tool }) => tool === name)?.value
  const labels = (label ?? []).filter(({ tool }) => tool === name).map(({ value }) => value)
  const saidPublic = open.filter(({ tool }) => tool === name).map(({ value }) => value)
  const [saidEffect, saidReversible, saidTrust] = [last(effect) as Effect | undefined, last(reversible), last(trust)]
  return {
    effect: saidEffect ?? base.effect, reversible: saidReversible === undefined ? base.reversible : saidReversible === 'yes',
    labels: labels.length === 0 ? base.labels : labels.filter((one) => one !== NONE), trust: saidTrust === undefined ? base.trust : saidTrust === NONE ? null : saidTrust,
    public: saidPublic.length === 0 ? base.public.filter((one) => argumentsIn(listed).includes(one)) : saidPublic.filter((one) => one !== NONE),
  }
}

/** An argument that a changed definition does not have any more, or that no policy sees, is nothing that could still be public. */
function argumentsIn({ definition, unshown }: Pick<McpToolReply, 'definition' | 'unshown'>): readonly string[] {
  const { inputSchema } = JSON.parse(definition ?? '{}') as { readonly inputSchema?: { readonly properties?: object } }
  return Object.keys(inputSchema?.properties ?? {}).filter((name) => !unshown.includes(name))
}

/** `--label TOOL=none` takes the labels away, `--trust TOOL=none` the trust, `--public TOOL=none` makes all its arguments secret. */
const NONE = 'none'

export const isSaidOf = (name: string, flags: SaidFlags): boolean => saidIn(flags).some(({ tool }) => tool === name)

/** A word about a tool that is not there was mistyped. */
export function checkSaid(flags: SaidFlags, names: readonly string[]): void {
  const stranger = saidIn(flags).find(({ tool }) => !names.includes(tool))
  if (stranger !== undefined) throw usage(`\`${stranger.tool}\` is none of the tools to be pinned`)
}

const saidIn = ({ effect = [], reversible = [], label = [], trust = [], public: open = [] }: SaidFlags): readonly Said[] => [...effect, ...reversible, ...label, ...trust, ...open]
