import { MOST_QUORUM } from '@writ/domain/approval'
import { IDENTITY_CLASSES } from '@writ/domain/profile'
import type { ApprovalRouteBody } from '@writ/contract/approvals'

/** A route as it stands in fields. */
export type DraftRoute = {
  readonly name: string; readonly class: string; readonly label: string; readonly argument: string; readonly from: string
  readonly group: string; readonly quorum: string; readonly minutes: string; readonly signed: boolean
}

export const NEW_ROUTE: DraftRoute = { name: '', class: '', label: '', argument: '', from: '', group: '', quorum: '1', minutes: '15', signed: false }

const SECONDS = { least: 10, most: 604_800 } as const

export const draftOf = ({ name, when, group, quorum, seconds, signed }: ApprovalRouteBody): DraftRoute => ({
  name, class: when?.class ?? '', label: when?.label ?? '', argument: when?.amount?.argument ?? '', from: when?.amount === undefined ? '' : String(when.amount.from),
  group: group ?? '', quorum: String(quorum ?? 1), minutes: minutesText(seconds ?? 900), signed: signed ?? false,
})

/** Exact for whole seconds: `0.5`, `15`, and `1.0166666666666666` of 61. */
const minutesText = (seconds: number): string => String(seconds / 60)
const secondsIn = (minutes: string): number => Math.round(Number(minutes) * 60)

export function routeOf(draft: DraftRoute): ApprovalRouteBody {
  const [label, argument, group] = [draft.label.trim(), draft.argument.trim(), draft.group.trim()]
  const known = IDENTITY_CLASSES.find((one) => one === draft.class)
  return {
    name: draft.name.trim(),
    when: { ...(known === undefined ? {} : { class: known }), ...(label === '' ? {} : { label }), ...(argument === '' ? {} : { amount: { argument, from: Number(draft.from) } }) },
    group: group === '' ? null : group, quorum: Number(draft.quorum), seconds: secondsIn(draft.minutes), signed: draft.signed,
  }
}

const isWhole = (text: string): boolean => /^\d{1,15}$/.test(text.trim())

/** Why a field can not be saved as it stands. */
export function faultIn(draft: DraftRoute, field: keyof DraftRoute): string | undefined {
  switch (field) {
    case 'name': return /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(draft.name.trim()) ? undefined : 'a route needs a name of letters, digits, `.`, `_` and `-`'
    case 'from': return draft.argument.trim() === '' ? (draft.from.trim() === '' ? undefined : 'say which argument has to be at least this much') : isWhole(draft.from) ? undefined : 'say from how much of the argument on, as a whole number'
    case 'quorum': return isWhole(draft.quorum) && Number(draft.quorum) >= 1 && Number(draft.quorum) <= MOST_QUORUM ? undefined : `from 1 to ${MOST_QUORUM} people have to say yes`
    case 'minutes': {
      const seconds = draft.minutes.trim() === '' ? Number.NaN : secondsIn(draft.minutes)
      return seconds >= SECONDS.least && seconds <= SECONDS.most ? undefined : 'the time is from 10 seconds to 7 days, in minutes'
    }
    case 'class': case 'label': case 'argument': case 'group': case 'signed': return undefined
  }
}

/** The first thing that is wrong with all of them. */
export function faultsIn(rows: readonly DraftRoute[]): string | undefined {
  for (const row of rows) {
    for (const field of ['name', 'from', 'quorum', 'minutes'] as const) {
      const fault = faultIn(row, field)
      if (fault !== undefined) return row.name.trim() === '' ? fault : `${row.name.trim()}: ${fault}`
    }
  }
  const names = rows.map((row) => row.name.trim())
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  return twice === undefined ? undefined : `two routes are called ${twice}`
}
