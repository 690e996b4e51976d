import { UNTRUSTED, type Effect } from '@writ/domain/decision'
import { isRecord, type ToolDefinition } from './definition.ts'

/** What a person says of a tool, and policies decide by. */
export type ToolTerms = {
  readonly effect: Effect
  readonly reversible: boolean
  readonly labels: readonly string[]
  readonly trust: string | null
  /** Names of arguments whose values may stand in the record. Nothing is decided by it. */
  readonly public: readonly string[]
}

/**
 * What the server says of its tool, in our words: a person may take it as it is. A server that says nothing is taken for one that writes
 * for good and talks to the outside, as MCP's own defaults have it; what it says is no more than a hint.
 */
export function proposalOf({ value }: Pick<ToolDefinition, 'value'>): ToolTerms {
  const annotations = isRecord(value['annotations']) ? value['annotations'] : {}
  const isOpen = annotations['openWorldHint'] !== false
  const effect = annotations['readOnlyHint'] === true ? 'read' : isOpen ? 'external' : 'write'
  // What only reads leaves nothing to take back; MCP gives `destructiveHint` no meaning there.
  return { effect, reversible: effect === 'read' || annotations['destructiveHint'] === false, labels: [], trust: isOpen ? UNTRUSTED : null, public: [] }
}
