import { Switch } from '../ui/switch.tsx'
import { utcText } from '../ui/spans.ts'
import type { Bin, Bins, Lane, Range } from './event-bins.ts'

type HistogramProps = {
  readonly bins: Bins
  readonly lanes: readonly Lane[]
  readonly shows: 'chart' | 'table'
  readonly onShow: (shows: 'chart' | 'table') => void
  readonly onZoom: (to: Range) => void
}

const HEIGHT = 46
/** What there is at all is seen. */
const LEAST = 3

/** What happened when: a lane of machines and a lane of people on one axis of time, denials below in red, or the same as a table. */
export function EventHistogram({ bins, lanes, shows, onShow, onZoom }: HistogramProps) {
  return (
    <section className="w-lanes" aria-label="Events over time">
      {shows === 'chart' ? lanes.map((lane) => <LaneBars key={lane} of={bins} lane={lane} onZoom={onZoom} />) : <BinTable of={bins} lanes={lanes} onZoom={onZoom} />}
      <Switch name="Chart or table" value={shows} choices={[['chart', 'chart'], ['table', 'table']]} onChange={(next) => onShow(next === 'table' ? 'table' : 'chart')} />
      {shows === 'chart' && <div className="w-lane-axis"><time>{utcText(bins.from)}</time><span>one bar: {stepText(bins.step)}; a click looks closer</span><time>{utcText(bins.to)}</time></div>}
    </section>
  )
}

const stepText = (ms: number): string => (ms < 60_000 ? `${ms / 1000} s` : ms < 3_600_000 ? `${ms / 60_000} min` : ms < 86_400_000 ? `${ms / 3_600_000} h` : `${ms / 86_400_000} d`)

function LaneBars({ of: { bins }, lane, onZoom }: { readonly of: Bins; readonly lane: Lane; readonly onZoom: (to: Range) => void }) {
  const most = Math.max(1, ...bins.map((bin) => bin[lane].all))
  const [all, denied] = [sum(bins, (bin) => bin[lane].all), sum(bins, (bin) => bin[lane].denied)]
  const tall = (count: number): number => (count === 0 ? 0 : Math.max(LEAST, (count / most) * (HEIGHT - 2)))
  const says = `${lane}: ${all.toLocaleString('en')} events, ${denied.toLocaleString('en')} of them denied, at most ${most.toLocaleString('en')} in one bar; the table has each bar`
  return (
    <>
      <div className="w-lane-name"><strong>{lane}</strong><span>{all.toLocaleString('en')}, {denied === 0 ? 'none denied' : `${denied.toLocaleString('en')} denied`}</span></div>
      <svg className="w-lane" viewBox={`0 0 ${bins.length * 10} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={says} data-lane={lane}>
        <g data-lane={lane}>
          {bins.map((bin, i) => (
            <g key={bin.from} onClick={() => onZoom(bin)}>
              <title>{`${utcText(bin.from)}: ${bin[lane].all} events, ${bin[lane].denied} denied`}</title>
              <rect data-part="bin" x={i * 10} y={0} width={10} height={HEIGHT} />
              <rect data-part="all" x={i * 10 + 1} y={HEIGHT - tall(bin[lane].all)} width={8} height={tall(bin[lane].all)} />
              <rect data-part="denied" x={i * 10 + 1} y={HEIGHT - tall(bin[lane].denied)} width={8} height={tall(bin[lane].denied)} />
            </g>
          ))}
        </g>
      </svg>
    </>
  )
}

const sum = (bins: readonly Bin[], of: (bin: Bin) => number): number => bins.reduce((all, bin) => all + of(bin), 0)

function BinTable({ of: { bins }, lanes, onZoom }: { readonly of: Bins; readonly lanes: readonly Lane[]; readonly onZoom: (to: Range) => void }) {
  return (
    <div className="w-scroll" tabIndex={0} role="region" aria-label="Events in each step of time">
      <table className="w-table">
        <thead><tr><th scope="col">From</th>{lanes.flatMap((lane) => [<th key={lane} scope="col" data-number>{lane}</th>, <th key={`${lane} denied`} scope="col" data-number>denied</th>])}<th scope="col"><span className="w-sr">Look closer</span></th></tr></thead>
        <tbody>
          {bins.filter((bin) => lanes.some((lane) => bin[lane].all > 0)).toReversed().map((bin) => (
            <tr key={bin.from}>
              <th scope="row"><time>{utcText(bin.from)}</time></th>
              {lanes.flatMap((lane) => [<td key={lane} data-number>{bin[lane].all}</td>, <td key={`${lane} denied`} data-number>{bin[lane].denied}</td>])}
              <td><button type="button" className="w-quiet-button" aria-label={`Look closer at ${utcText(bin.from)}`} onClick={() => onZoom(bin)}>look closer</button></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
