import '@mantine/core/styles/ColorSwatch.css'
import '@mantine/core/styles/Paper.css'
import '@mantine/charts/styles.css'
import { BarChart } from '@mantine/charts'
import type { DecisionHour } from '@writ/contract/overview'
import { HOUR_PARTS, hourText, sumOf } from './hours-table.tsx'

const fillOf = (name: string): string => `url(#w-hours-${name})`

/** What was decided hour by hour: each part by its colour and by its pattern. */
export function HoursChart({ hours }: { readonly hours: readonly DecisionHour[] }) {
  const bars = hours.map(({ from, ...counts }) => ({ hour: hourText(from), ...counts }))
  const series = HOUR_PARTS.map(({ name, label, tone }) => ({ name, label, color: `var(--w-chart-${tone})` }))
  return (
    <figure className="w-chart">
      <Patterns />
      <BarChart h={200} data={bars} dataKey="hour" type="stacked" series={series} barProps={({ name }) => ({ isAnimationActive: false, fill: fillOf(name) })} tickLine="none" gridAxis="x" yAxisProps={{ allowDecimals: false, width: 44 }} />
      <ul className="w-legend">
        {HOUR_PARTS.map(({ name, label, sign }) => <li key={name}><svg width="14" height="14" aria-hidden="true"><rect width="14" height="14" rx="2" fill={fillOf(name)} /></svg> <span aria-hidden="true">{sign}</span> {label} {sumOf(hours, name).toLocaleString('en')}</li>)}
      </ul>
      <figcaption className="w-sr">{`In 24 hours ${HOUR_PARTS.map(({ name, label }) => `${sumOf(hours, name)} ${label}`).join(', ')}; the table has each hour.`}</figcaption>
    </figure>
  )
}

/** `allowed` is plain; the others differ from it without any colour. */
function Patterns() {
  return (
    <svg width="0" height="0" aria-hidden="true" className="w-patterns">
      <defs>
        {HOUR_PARTS.map(({ name, tone, strokes }) => (
          <pattern key={name} id={`w-hours-${name}`} width="6" height="6" patternUnits="userSpaceOnUse">
            <rect width="6" height="6" data-tone={tone} />
            {strokes !== null && <path d={strokes} />}
          </pattern>
        ))}
      </defs>
    </svg>
  )
}
