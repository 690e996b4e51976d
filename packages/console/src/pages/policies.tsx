import './policies.css'
import type { PolicyComplaint } from '@writ/contract/policies'
import { Button } from '@mantine/core'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { lazy, Suspense, useCallback, useEffect, useMemo, useState } from 'react'
import { checkSyntax, type Complaints } from '../cedar-check.ts'
import { commandOf, curlOf } from '../commands.ts'
import { applyPolicies, checkPolicies, listPolicies, showCurrentPolicies, showPolicies } from '../endpoints.ts'
import { useAsk, useDo } from '../queries.ts'
import { Action, whoMay } from '../ui/action.tsx'
import { Inert } from '../ui/agent-words.tsx'
import { CopyAs } from '../ui/copy-as.tsx'
import { Mark, NotEvaluated } from '../ui/mark.tsx'
import { Page, Part } from '../ui/page.tsx'
import { ProblemNote } from '../ui/problem-note.tsx'
import { useReach } from '../who.ts'
import { ProposalNote, useProposal } from './policy-propose.tsx'
import { Simulate } from './policy-simulate.tsx'
import { TryRequest } from './policy-try.tsx'
import { Difference, DifferenceOfText, Versions } from './policy-versions.tsx'

const PolicyEditor = lazy(() => import('./policy-editor.tsx').then(({ PolicyEditor: of }) => ({ default: of })))

type Files = Readonly<Record<string, string>>

/** After the last key. */
const PAUSE_MS = 250

/** What decides: its files, what is wrong with them, what they say, and what decided before. */
export function Policies() {
  const search = useSearch({ from: '/inside/policies' })
  const navigate = useNavigate({ from: '/policies' })
  const versions = useAsk(listPolicies, { query: { limit: 100 } })
  const current = useAsk(showCurrentPolicies, {})
  const older = useAsk(showPolicies, { parameters: { version: search.version ?? '' } }, { when: search.version !== undefined && search.against === undefined })
  const shown = search.version === undefined || search.against !== undefined || search.version === String(current.data?.version) ? current : older
  const may = useReach('applyPolicies') === 'all'
  const like = search.version === undefined ? search.like : undefined
  const proposing = useProposal(like, current.data?.files, may)
  if (current.data === undefined || shown.data === undefined) return current.error ?? shown.error ? <ProblemNote error={(current.error ?? shown.error)!} /> : <p className="w-loading" role="status">loading the policies…</p>
  const { version, in_force: isInForce, files } = shown.data
  return (
    <Page
      title="Policies" beside={<>version {version} {isInForce ? <Mark tone="good">in force</Mark> : <Mark tone="quiet">not in force</Mark>}</>}
      commands={{ cli: commandOf('writ', 'policy', 'show', ...(isInForce ? [] : [String(version)])), curl: isInForce ? curlOf(showCurrentPolicies, {}, window.location.origin) : curlOf(showPolicies, { parameters: { version: String(version) } }, window.location.origin) }}
    >
      <div className="w-policies">
        <div>
          {like !== undefined && !may && <p className="w-routine" role="status">A policy is proposed from requests like <Inert text={like} most={60} />: {whoMay('applyPolicies')}. Send them this page’s address.</p>}
          <ProposalNote of={proposing} like={like} />
          {search.against !== undefined && search.version !== undefined ? <Difference before={search.against} after={search.version} /> :
            <Workbench key={`${isInForce ? 'in force' : version} ${proposing.kind === 'made' ? proposing.proposal.file : ''}`} added={proposing.kind === 'made' ? proposing.proposal : null} version={version} files={files} isInForce={isInForce} file={search.file ?? (proposing.kind === 'made' ? proposing.proposal.file : undefined)} onFile={(file) => void navigate({ search: { ...search, file }, replace: true })} onApplied={() => void navigate({ search: { file: search.file }, replace: true })} />}
        </div>
        <div>
          {versions.data !== undefined && <Versions versions={versions.data.versions} shown={version} current={current.data.version} onRolledBack={() => void navigate({ search: {} })} />}
          <TryRequest />
        </div>
      </div>
    </Page>
  )
}

type WorkbenchProps = { /** Begun with, and not applied. */ readonly added: { readonly file: string; readonly text: string } | null; readonly version: number; readonly files: Files; readonly isInForce: boolean; readonly file: string | undefined; readonly onFile: (file: string) => void; readonly onApplied: () => void }

function Workbench({ isInForce, file: wanted, onFile, onApplied, added, ...now }: WorkbenchProps) {
  /** What the draft began from: somebody else may apply another version meanwhile. */
  const [{ version, files }, setBase] = useState<{ readonly version: number; readonly files: Files }>(now)
  const [draft, setDraft] = useState<Files>(added === null ? files : { ...files, [added.file]: added.text })
  /** Another one is another text in the editor. */
  const [round, setRound] = useState(0)
  const [goTo, setGoTo] = useState<{ readonly line: number; readonly column: number } | null>(null)
  const names = Object.keys(draft).toSorted(byWeight)
  const file = names.find((name) => name === wanted) ?? names[0]!
  const may = useReach('applyPolicies') === 'all'
  const changed = names.filter((name) => draft[name] !== files[name])
  const syntax = useSyntax(draft)
  const check = useDo(checkPolicies)
  const isChecked = check.variables?.body.files === draft && check.data !== undefined
  const complaints = syntax.complaints.length > 0 || !isChecked ? syntax.complaints : check.data.complaints
  const ofFile = useMemo(() => complaints.filter((one) => one.file === file), [complaints, file])
  const onChange = useCallback((text: string) => setDraft((before) => ({ ...before, [file]: text })), [file])
  const open = ({ file: to, line, column }: PolicyComplaint): void => {
    if (to !== file) onFile(to)
    // The other file has to be there first.
    setTimeout(() => setGoTo({ line, column }), to === file ? 0 : 100)
  }
  const beginFrom = (base: { readonly version: number; readonly files: Files }): void => {
    setBase(base)
    setDraft(base.files)
    setRound(round + 1)
    setGoTo(null)
  }
  const isBehind = now.version > version
  if (isBehind && changed.length === 0) beginFrom(now)
  const off = changed.length === 0 ? 'nothing is changed' : isBehind ? `version ${now.version} is in force by now` : syntax.complaints.length > 0 ? 'what is wrong has to be mended first' : undefined
  return (
    <>
      <Part title="Files" aside={changed.length === 0 ? <span className="w-dim">{isInForce ? may ? 'edit, check, apply' : 'to read' : 'an older version, to read'}</span> : <Mark tone="ask">{changed.length} changed, not applied</Mark>}>
        {isBehind && changed.length > 0 && <p className="w-problem" role="status">Version {now.version} is in force by now, and this began from version {version}: it can not be applied over it. <button type="button" className="w-quiet-button" onClick={() => beginFrom(now)}>Put back, and begin from version {now.version}</button></p>}
        <div className="w-files" role="group" aria-label="Files">
          {names.map((name) => <button key={name} type="button" aria-pressed={name === file} onClick={() => onFile(name)}>{name}{complaints.some((one) => one.file === name) ? <span data-tone="bad"> ✖<span className="w-sr"> has faults</span></span> : draft[name] === files[name] ? null : <span data-tone="ask"> ●<span className="w-sr"> changed</span></span>}</button>)}
        </div>
        <Suspense fallback={<p className="w-loading" role="status">loading the editor…</p>}>
          <PolicyEditor key={`${round} ${file}`} file={file} text={draft[file]!} isReadOnly={!isInForce || !may} complaints={ofFile} onChange={onChange} goTo={goTo} />
        </Suspense>
        <div className="w-check" role="status">
          <SyntaxWords of={syntax} />
          {isChecked && syntax.complaints.length === 0 && (check.data.complaints.length === 0 ? <Mark tone="good">types fit, and {casesIn(draft)} pass</Mark> : <Mark tone="bad">the server found {check.data.complaints.length === 1 ? 'one fault' : `${check.data.complaints.length} faults`}</Mark>)}
          {!isChecked && <span className="w-dim">types and cases: <NotEvaluated why="the server has not been asked about these very files" /></span>}
        </div>
        {check.error !== null && <ProblemNote error={check.error} />}
        {complaints.length > 0 && <Faults of={complaints} onOpen={open} />}
        <div className="w-form-end">
          <Button variant="default" size="compact-sm" loading={check.isPending} onClick={() => check.mutate({ body: { files: draft } })}>Check types, run tests</Button>
          <CopyAs commands={{ cli: commandOf('writ', 'policy', 'test', 'DIR'), curl: curlOf(checkPolicies, { body: { files: draft } }, window.location.origin) }} />
          <span className="w-spring" />
          {changed.length > 0 && <Button variant="subtle" size="compact-sm" onClick={() => beginFrom(now)}>Put back</Button>}
          {isInForce && (
            <Action
              name="applyPolicies" to={applyPolicies} label="Apply" title="Decide by these files from now on?" off={off} done={(reply) => {
                setBase({ version: reply.version, files: draft })
                onApplied()
              }}
              asked={(reason) => ({ body: { files: draft, reason, expected_version: version } })} cli={(reason) => commandOf('writ', 'policy', 'apply', 'DIR', '--expect', String(version), '--reason', reason)}
            >
              <p>On every server, all files at once, in place of version {version}. The server checks types and runs the cases first; where one fails, version {version} stays.</p>
              {changed.map((name) => <section key={name}><h3>{name}</h3><DifferenceOfText before={files[name] ?? ''} after={draft[name]!} /></section>)}
            </Action>
          )}
        </div>
      </Part>
      <Simulate files={draft} off={syntax.complaints.length > 0 ? 'what is wrong has to be mended first' : changed.length === 0 && isInForce ? 'nothing is changed' : undefined} />
    </>
  )
}

/** Policies first, what they speak of next, tests last. */
const byWeight = (a: string, b: string): number => weightOf(a) - weightOf(b) || (a < b ? -1 : 1)
const weightOf = (name: string): number => (name.endsWith('.cedar') ? 0 : name.startsWith('tests/') ? 2 : 1)

type Syntax = { readonly complaints: readonly PolicyComplaint[]; readonly state: 'checking' | 'checked' | 'not_evaluated'; readonly says?: string }

/** Checked as somebody types, in a worker, each file that changed. */
function useSyntax(draft: Files): Syntax {
  const [found, setFound] = useState<{ readonly of: Files; readonly syntax: Syntax } | null>(null)
  useEffect(() => {
    let isOld = false
    const pause = setTimeout(() => {
      void Promise.all(Object.entries(draft).map(([file, text]) => remembered(file, text))).then((all) => {
        if (isOld) return
        const without = all.find((one) => one.kind === 'not_evaluated')
        const complaints = all.flatMap((one) => (one.kind === 'checked' ? one.complaints : []))
        setFound({ of: draft, syntax: without === undefined ? { complaints, state: 'checked' } : { complaints, state: 'not_evaluated', says: without.says } })
      })
    }, PAUSE_MS)
    return () => {
      isOld = true
      clearTimeout(pause)
    }
  }, [draft])
  return found === null ? CHECKING : found.of === draft ? found.syntax : { ...found.syntax, state: 'checking' }
}

const CHECKING: Syntax = { complaints: [], state: 'checking' }
const last = new Map<string, { readonly text: string; readonly complaints: Promise<Complaints> }>()

/** A file that is as it was is not read again. */
function remembered(file: string, text: string): Promise<Complaints> {
  const known = last.get(file)
  if (known?.text === text) return known.complaints
  const complaints = checkSyntax(file, text)
  last.set(file, { text, complaints })
  return complaints
}

function SyntaxWords({ of: { state, complaints, says } }: { readonly of: Syntax }) {
  if (state === 'not_evaluated') return <span className="w-dim">syntax: <NotEvaluated why={says ?? 'Cedar could not be asked'} /></span>
  if (complaints.length > 0) return <Mark tone="bad">{complaints.length === 1 ? 'one fault in how it is written' : `${complaints.length} faults in how it is written`}</Mark>
  return state === 'checking' ? <Mark tone="busy">reading</Mark> : <Mark tone="good">well written</Mark>
}

function Faults({ of, onOpen }: { readonly of: readonly PolicyComplaint[]; readonly onOpen: (one: PolicyComplaint) => void }) {
  return (
    <ul className="w-complaints" aria-label="Faults" tabIndex={0}>
      {of.slice(0, 100).map((one, i) => <li key={i}><button type="button" onClick={() => onOpen(one)}>{one.file}:{one.line}:{one.column}</button> <Inert text={one.message} most={600} />{one.hint !== undefined && <span className="w-dim"> <Inert text={one.hint} most={400} /></span>}</li>)}
    </ul>
  )
}

function casesIn(files: Files): string {
  const count = Object.entries(files).filter(([name]) => name.startsWith('tests/')).reduce((sum, [, text]) => sum + (JSON.parse(text) as readonly unknown[]).length, 0)
  return count === 1 ? 'one case' : `all ${count} cases`
}
