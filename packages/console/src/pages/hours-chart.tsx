import '@mantine/core/styles/ColorSwatch.css'
import '@mantine/core/styles/Paper.css'
import '@mantine/charts/styles.css'
import { BarChart } from '@mantine/charts'
import type { DecisionHour } from '@writ/contract/overview'
import { hourText } from './hours-table.tsx'

const SERIES = [
  { name: 'allowed', label: 'allowed', color: 'var(--w-chart-good)' },
  { name: 'observed', label: 'observed: would be denied', color: 'var(--w-chart-ask)' },
  { name: 'denied', label: 'denied', color: 'var(--w-chart-bad)' },
]

export function HoursChart({ hours }: { readonly hours: readonly DecisionHour[] }) {
  const bars = hours.map((hour) => ({ hour: hourText(hour.from), allowed: hour.allowed, observed: hour.observed, denied: hour.denied }))
  const sum = (of: (hour: DecisionHour) => number): number => hours.reduce((all, hour) => all + of(hour), 0)
  return (
    <figure className="w-chart">
      <BarChart h={220} data={bars} dataKey="hour" type="stacked" series={SERIES} withLegend legendProps={{ verticalAlign: 'bottom', height: 32 }} barProps={{ isAnimationActive: false }} tickLine="none" gridAxis="x" yAxisProps={{ allowDecimals: false, width: 44 }} />
      <figcaption className="w-sr">{`In 24 hours ${sum((hour) => hour.allowed)} allowed, ${sum((hour) => hour.denied)} denied, ${sum((hour) => hour.observed)} observed; the table has each hour.`}</figcaption>
    </figure>
  )
}
