import type { DecisionHour } from '@writ/contract/overview'

/** The hour in the reader's own time: `14:00`. */
export const hourText = (from: string): string => new Date(from).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' })

/** The same as the chart, to read. */
export function HoursTable({ hours }: { readonly hours: readonly DecisionHour[] }) {
  return (
    <div className="w-scroll" tabIndex={0} role="region" aria-label="Decisions per hour">
      <table className="w-table">
        <thead><tr><th scope="col">Hour</th><th scope="col" data-number>Allowed</th><th scope="col" data-number>Denied</th><th scope="col" data-number>Observed</th></tr></thead>
        <tbody>
          {hours.toReversed().map((hour) => (
            <tr key={hour.from}><th scope="row"><time dateTime={hour.from}>{hourText(hour.from)}</time></th>{[hour.allowed, hour.denied, hour.observed].map((count, i) => <td key={i} data-number>{count.toLocaleString('en')}{hour.more ? '+' : ''}</td>)}</tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
