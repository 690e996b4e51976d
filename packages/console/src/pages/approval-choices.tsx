import type { ApprovalBound, ApprovalCardReply, ApprovalChoice } from '@writ/contract/approvals'
import { useState } from 'react'
import { Inert } from '../ui/agent-words.tsx'
import { useNow } from '../ui/now.tsx'
import { Exactly } from '../ui/time.tsx'
import { lowerableIn, loweredText, wayKey } from './exact-arguments.ts'

type ChoosingProps = { readonly card: ApprovalCardReply; /** Null while what stands there is no choice. */ readonly onChoice: (choice: ApprovalChoice | null) => void }

/** Whole numbers may be lowered; everything else stays as it was asked for. */
export function Lowering({ card, onChoice }: ChoosingProps) {
  const text = card.arguments ?? '{}'
  const numbers = lowerableIn(text)
  const [typed, setTyped] = useState<ReadonlyMap<string, string>>(new Map())
  const faultOf = (value: string, asked: bigint): string | null => (!/^\d{1,20}$/.test(value) ? 'a whole number' : BigInt(value) > asked ? `at most ${asked}: it may only be lowered` : null)
  const change = (key: string, value: string): void => {
    const next = new Map(typed).set(key, value)
    setTyped(next)
    const given = numbers.map(({ way, asked }) => ({ key: wayKey(way), asked, value: next.get(wayKey(way)) ?? String(asked) }))
    const isLower = given.every((one) => faultOf(one.value, one.asked) === null) && given.some((one) => BigInt(one.value) < one.asked)
    onChoice(isLower ? { scope: 'edited', arguments: loweredText(text, new Map(given.map((one) => [one.key, BigInt(one.value)]))) } : null)
  }
  return (
    <fieldset className="w-choice">
      <legend>Edit: lower the numbers. Nothing else may differ from what was asked.</legend>
      {numbers.map(({ way, asked }) => {
        const key = wayKey(way)
        const value = typed.get(key) ?? String(asked)
        const fault = faultOf(value, asked)
        return (
          <label key={key} className="w-choice-line">
            <span><Inert text={way.join(' › ')} most={80} /></span>
            <input inputMode="numeric" value={value} aria-invalid={fault !== null} spellCheck={false} autoComplete="off" onChange={(event) => change(key, event.currentTarget.value)} />
            <span className={fault === null ? 'w-dim' : 'w-choice-fault'}>{fault ?? `asked for ${asked}`}</span>
          </label>
        )
      })}
    </fieldset>
  )
}

const MINUTES = [5, 15, 60] as const
const MOST_CALLS = 1000

/** What a permission for the rest of the task would let through: all of it in sight, nothing wider than it says. */
export function Bounding({ card, bound, onChoice }: ChoosingProps & { readonly bound: ApprovalBound }) {
  const [now] = useState(useNow())
  const [mine, setMine] = useState<ApprovalBound>(bound)
  const change = (next: ApprovalBound): void => {
    setMine(next)
    const isWhole = Number.isSafeInteger(next.calls) && next.calls >= 1 && next.calls <= MOST_CALLS && Object.values(next.arguments).every((one) => !('most' in one) || (Number.isSafeInteger(one.most) && one.most >= 0))
    onChoice(isWhole ? { scope: 'task', bound: next } : null)
  }
  const ends = [...MINUTES.map((minutes) => [new Date(now + minutes * 60_000).toISOString(), `for ${minutes} min`] as const).filter(([until]) => Date.parse(until) < Date.parse(bound.until)), [bound.until, 'until the task ends'] as const]
  return (
    <fieldset className="w-choice">
      <legend>For this task: calls of <Inert text={card.resource.id} most={80} /> within this bound run without asking again. An argument that is not listed may not be there.</legend>
      {Object.entries(mine.arguments).map(([name, one]) => (
        <label key={name} className="w-choice-line">
          <span><Inert text={name} most={80} /></span>
          {'most' in one ? <><input type="number" min={0} value={Number.isNaN(one.most) ? '' : one.most} onChange={(event) => change({ ...mine, arguments: { ...mine.arguments, [name]: { most: event.currentTarget.valueAsNumber } } })} /><span className="w-dim">at most</span></>
            : 'is' in one ? <><code className="w-choice-is"><Inert text={one.is} /></code><span className="w-dim">exactly this</span></> : <><span>anything</span><span /></>}
        </label>
      ))}
      <label className="w-choice-line"><span>calls</span><input type="number" min={1} max={MOST_CALLS} value={Number.isNaN(mine.calls) ? '' : mine.calls} onChange={(event) => change({ ...mine, calls: event.currentTarget.valueAsNumber })} /><span className="w-dim">at most, this one included</span></label>
      <label className="w-choice-line">
        <span>until</span>
        <select value={mine.until} onChange={(event) => change({ ...mine, until: event.currentTarget.value })}>{ends.map(([until, says]) => <option key={until} value={until}>{says}</option>)}</select>
        <span className="w-dim"><Exactly at={mine.until} /></span>
      </label>
    </fieldset>
  )
}
