import type { PolicyVersionReply } from '@writ/contract/policies'
import { Link } from '@tanstack/react-router'
import { commandOf } from '../commands.ts'
import { rollBackPolicies, showPolicies } from '../endpoints.ts'
import { useAsk } from '../queries.ts'
import { Action } from '../ui/action.tsx'
import { Inert } from '../ui/agent-words.tsx'
import { Mark } from '../ui/mark.tsx'
import { Part } from '../ui/page.tsx'
import { ProblemNote } from '../ui/problem-note.tsx'
import { Ago } from '../ui/time.tsx'
import { comparedLines, type ChangedLine } from './tool-changes.ts'

type VersionsProps = { readonly versions: readonly PolicyVersionReply[]; readonly shown: number; readonly current: number; readonly onRolledBack: () => void }

/** What decides, and what did before. */
export function Versions({ versions, shown, current, onRolledBack }: VersionsProps) {
  return (
    <Part title="Versions">
      <ol className="w-versions" tabIndex={0} aria-label="Versions, newest first">
        {versions.map((one) => (
          <li key={one.version} data-shown={one.version === shown}>
            <div><Link to="/policies" search={one.in_force ? {} : { version: String(one.version) }}>version {one.version}</Link>{one.in_force && <Mark tone="good">in force</Mark>}{one.rolled_back_to !== null && <span className="w-dim">brings back {one.rolled_back_to}</span>}</div>
            {one.reason !== null && <span><Inert text={one.reason} most={200} /></span>}
            <span className="w-dim"><Ago at={one.applied_at} />, by <Inert text={one.applied_by} most={60} /></span>
            {!one.in_force && (
              <div>
                <Link to="/policies" search={{ version: String(current), against: String(one.version) }}>compare with {current}</Link>
                <Action
                  name="rollBackPolicies" to={rollBackPolicies} label="Roll back" title={`Bring back version ${one.version}?`} done={onRolledBack}
                  asked={(reason) => ({ body: { version: one.version, reason, expected_version: current } })} cli={(reason) => commandOf('writ', 'policy', 'rollback', String(one.version), '--expect', String(current), '--reason', reason)}
                >
                  Its files decide from then on, on every server, as a new version in place of version {current}. What runs now is asked anew at its next call.
                </Action>
              </div>
            )}
          </li>
        ))}
      </ol>
    </Part>
  )
}

const CONTEXT_LINES = 3

/** What became of each file between two versions. */
export function Difference({ before, after }: { readonly before: string; readonly after: string }) {
  const [a, b] = [useAsk(showPolicies, { parameters: { version: before } }), useAsk(showPolicies, { parameters: { version: after } })]
  const error = a.error ?? b.error
  if (error !== null) return <ProblemNote error={error} />
  if (a.data === undefined || b.data === undefined) return <p className="w-loading" role="status">comparing…</p>
  const [old, now] = [a.data.files, b.data.files]
  const files = [...new Set([...Object.keys(old), ...Object.keys(now)])].toSorted().filter((file) => old[file] !== now[file])
  return (
    <Part title={`From version ${before} to version ${after}`} aside={<Link to="/policies">back to the version in force</Link>}>
      {files.length === 0 && <p>Both have the very same files.</p>}
      {files.map((file) => (
        <section key={file} aria-label={file}>
          <h3>{file} {!Object.hasOwn(old, file) ? <Mark tone="good">new</Mark> : !Object.hasOwn(now, file) ? <Mark tone="stopped">removed</Mark> : null}</h3>
          <DifferenceOfText before={old[file] ?? ''} after={now[file] ?? ''} />
        </section>
      ))}
    </Part>
  )
}

const linesIn = (text: string): readonly string[] => (text === '' ? [] : text.split('\n'))

export function DifferenceOfText({ before, after }: { readonly before: string; readonly after: string }) {
  const lines = comparedLines(linesIn(before), linesIn(after))
  return (
    <div className="w-diff" role="region" aria-label="What changed" tabIndex={0}>
      {aroundChanges(lines).map((line, i) => line === null ? <div key={i} className="w-dim">⋯</div> :
        <div key={i} data-line={line.kind}><span aria-hidden="true">{line.kind === 'added' ? '+' : line.kind === 'removed' ? '−' : ' '}</span><span className="w-sr">{line.kind === 'same' ? '' : line.kind}</span><Inert text={line.text} /></div>)}
    </div>
  )
}

/** Lines far from any change are left out: null stands in their place. */
function aroundChanges(lines: readonly ChangedLine[]): readonly (ChangedLine | null)[] {
  const isNear = lines.map((_, i) => lines.slice(Math.max(0, i - CONTEXT_LINES), i + CONTEXT_LINES + 1).some(({ kind }) => kind !== 'same'))
  return lines.flatMap((line, i) => (isNear[i] ? [line] : i === 0 || isNear[i - 1] ? [null] : []))
}
