import type { PolicyComplaint } from '@writ/contract/policies'

export type CedarQuestion = { readonly id: number; readonly text: string }
/** `byte`: Cedar counts in the UTF-8 form of what it was shown. */
export type CedarAnswer = {
  readonly id: number
  readonly flaws?: readonly { readonly byte: number; readonly message: string; readonly hint: string | null }[]
  /** Cedar itself could not be started. */
  readonly fault?: string
}

export type Complaints = { readonly kind: 'checked'; readonly complaints: readonly PolicyComplaint[] } | { readonly kind: 'not_evaluated'; readonly says: string }

let worker: Worker | undefined
let asked = 0
const waiting = new Map<number, (answer: CedarAnswer) => void>()

function theWorker(): Worker {
  if (worker !== undefined) return worker
  worker = new Worker(new URL('./cedar-worker.ts', import.meta.url), { type: 'module' })
  worker.addEventListener('message', ({ data }: MessageEvent<CedarAnswer>) => {
    waiting.get(data.id)?.(data)
    waiting.delete(data.id)
  })
  worker.addEventListener('error', () => {
    for (const [id, answer] of waiting) answer({ id, fault: 'Cedar could not be loaded' })
    waiting.clear()
    worker = undefined
  })
  return worker
}

/** What is wrong with how a file is written, found in this browser: types and cases are the server's to check. */
export async function checkSyntax(file: string, text: string): Promise<Complaints> {
  if (file.endsWith('.json')) return { kind: 'checked', complaints: jsonComplaints(file, text) }
  if (!file.endsWith('.cedar')) return { kind: 'checked', complaints: [] }
  const id = asked++
  const answer = await new Promise<CedarAnswer>((resolve) => {
    waiting.set(id, resolve)
    theWorker().postMessage({ id, text } satisfies CedarQuestion)
  })
  if (answer.flaws === undefined) return { kind: 'not_evaluated', says: answer.fault ?? 'Cedar said nothing' }
  return { kind: 'checked', complaints: answer.flaws.map(({ byte, message, hint }) => ({ file, ...placeAtByte(text, byte), message, ...(hint === null ? {} : { hint }) })) }
}

function jsonComplaints(file: string, text: string): readonly PolicyComplaint[] {
  try {
    JSON.parse(text)
    return []
  } catch (fault) {
    const message = fault instanceof Error ? fault.message : 'not JSON'
    const [, line = '1', column = '1'] = /line (\d+) column (\d+)/.exec(message) ?? []
    return [{ file, line: Number(line), column: Number(column), message: `not JSON: ${message}` }]
  }
}

/** Lines and columns count from 1, columns in characters. */
export function placeAtByte(text: string, byte: number): { readonly line: number; readonly column: number } {
  const before = new TextDecoder().decode(new TextEncoder().encode(text).subarray(0, byte))
  const lines = before.split('\n')
  return { line: lines.length, column: Array.from(lines.at(-1)!).length + 1 }
}
