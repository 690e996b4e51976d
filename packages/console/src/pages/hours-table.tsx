import type { DecisionHour } from '@writ/contract/overview'

type HourPart = {
  readonly name: 'allowed' | 'approved' | 'observed' | 'denied'
  readonly label: string
  readonly sign: string
  readonly tone: 'good' | 'approved' | 'ask' | 'bad'
  /** What is drawn over its colour, in a square of 6 px. */
  readonly strokes: string | null
}

/** From the ground up, in chart and table alike. */
export const HOUR_PARTS: readonly HourPart[] = [
  { name: 'allowed', label: 'allowed', sign: '✔', tone: 'good', strokes: null },
  { name: 'approved', label: 'approved by a person', sign: '✔', tone: 'approved', strokes: 'M0 1.5H6M0 4.5H6' },
  { name: 'observed', label: 'observed: would be denied', sign: '◐', tone: 'ask', strokes: 'M1.5 0V6M4.5 0V6' },
  { name: 'denied', label: 'denied', sign: '✖', tone: 'bad', strokes: 'M-1 1L1 -1M0 6L6 0M5 7L7 5' },
]

/** The hour in the reader's own time: `14:00`. */
export const hourText = (from: string): string => new Date(from).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' })

export const sumOf = (hours: readonly DecisionHour[], part: HourPart['name']): number => hours.reduce((sum, hour) => sum + hour[part], 0)

/** The same as the chart, to read. */
export function HoursTable({ hours }: { readonly hours: readonly DecisionHour[] }) {
  return (
    <div className="w-scroll" tabIndex={0} role="region" aria-label="Decisions per hour">
      <table className="w-table">
        <thead><tr><th scope="col">Hour</th>{HOUR_PARTS.map(({ name, label }) => <th key={name} scope="col" data-number>{label}</th>)}</tr></thead>
        <tbody>
          {hours.toReversed().map((hour) => (
            <tr key={hour.from}><th scope="row"><time dateTime={hour.from}>{hourText(hour.from)}</time></th>{HOUR_PARTS.map(({ name }) => <td key={name} data-number>{hour[name].toLocaleString('en')}{hour.more ? '+' : ''}</td>)}</tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
