import { IDENTITY_CLASSES } from '@writ/domain/profile'
import type { ApprovalRouteBody, showApprovalRoutes as showApprovalRoutesContract } from '@writ/contract/approvals'
import { useState } from 'react'
import type { ReplyOf } from '../api.ts'
import { curlOf } from '../commands.ts'
import { setApprovalRoutes, showApprovalRoutes } from '../endpoints.ts'
import { useAsk } from '../queries.ts'
import { Action, whoMay } from '../ui/action.tsx'
import { Inert } from '../ui/agent-words.tsx'
import { CopyAs } from '../ui/copy-as.tsx'
import { Id } from '../ui/copy.tsx'
import { Part } from '../ui/page.tsx'
import { Ago } from '../ui/time.tsx'
import { useReach } from '../who.ts'
import { Found } from './settings-kit.tsx'
import { draftOf, faultIn, faultsIn, NEW_ROUTE, routeOf, type DraftRoute } from './settings-route-draft.ts'

type Kept = ReplyOf<typeof showApprovalRoutesContract>

/** Who is asked about what: a table that is changed as a whole, with a reason. */
export function ApprovalRoutes() {
  const found = useAsk(showApprovalRoutes, {}, { poll: true })
  return (
    <Part title="Approval routes" aside={<CopyAs commands={{ cli: null, curl: curlOf(showApprovalRoutes, {}, window.location.origin) }} />}>
      <Found of={found} what="the routes">{(kept) => <Editor kept={kept} />}</Found>
    </Part>
  )
}

type Edit = { readonly version: number; readonly rows: readonly DraftRoute[] }

function Editor({ kept }: { readonly kept: Kept }) {
  const [edit, setEdit] = useState<Edit | null>(null)
  const may = useReach('setApprovalRoutes') !== 'none'
  const saved = kept.routes.map(draftOf)
  const rows = edit?.rows ?? saved
  const change = (next: readonly DraftRoute[]): void => setEdit({ version: edit?.version ?? kept.version, rows: next })
  const isChanged = edit !== null && JSON.stringify(rows) !== JSON.stringify(saved)
  const isOvertaken = edit !== null && edit.version !== kept.version
  const fault = faultsIn(rows)
  const body = (reason: string) => ({ routes: rows.map(routeOf), version: edit?.version ?? kept.version, reason })
  return (
    <>
      <p className="w-dim">The first that fits counts; behind the last, any one reviewer has fifteen minutes. A change is for new requests: those that wait keep the route that they were made by.</p>
      <fieldset className="w-routes" disabled={!may} title={may ? undefined : whoMay('setApprovalRoutes')}>
        <legend className="w-sr">Routes</legend>
        {rows.length > 0 && <Table rows={rows} onChange={change} />}
        <div className="w-form-end">
          <button type="button" className="w-quiet-button" onClick={() => change([...rows, NEW_ROUTE])}>+ add a route</button>
          <span className="w-spring" />
          {isChanged && <button type="button" className="w-quiet-button" onClick={() => setEdit(null)}>undo all</button>}
          <Action
            name="setApprovalRoutes" to={setApprovalRoutes} label="Save" title="Ask these people from now on?" off={!isChanged ? 'nothing is changed yet' : fault}
            asked={(reason) => ({ body: body(reason) })} cli={() => null} done={() => setEdit(null)}
          >
            <ol>{rows.map((row, i) => <li key={i}>{inWords(routeOf(row))}</li>)}</ol>
            {rows.length === 0 && <p>No route is left: any one reviewer is asked about everything.</p>}
          </Action>
        </div>
      </fieldset>
      {isChanged && fault !== undefined && <p role="status" className="w-problem">{fault}</p>}
      {isOvertaken && <p role="alert" className="w-problem">Somebody has changed the routes meanwhile (version {kept.version}). Undo all, and do it again on theirs.</p>}
      <p className="w-dim">Version {kept.version}{kept.set_at === null ? ': as it comes' : <>, set <Ago at={kept.set_at} />{kept.set_by !== null && <> by <Id of={kept.set_by} /></>}{kept.reason !== null && <>: “<Inert text={kept.reason} most={200} />”</>}</>}</p>
    </>
  )
}

/** `refunds: of shop, from 100 of amount: 2 of finance, within 15 min, signed`. */
function inWords({ name, when, group, quorum, seconds, signed }: ApprovalRouteBody): string {
  const { class: kind, label, amount } = when ?? {}
  const fits = [kind === undefined ? '' : `class ${kind}`, label === undefined ? '' : `label ${label}`, amount === undefined ? '' : `${amount.argument} from ${amount.from}`].filter((one) => one !== '')
  return `${name}: ${fits.join(', ') || 'everything'} → ${quorum} of ${group ?? 'the reviewers'}, within ${Math.round((seconds ?? 900) / 6) / 10} min${signed === true ? ', signed' : ''}`
}

function Table({ rows, onChange }: { readonly rows: readonly DraftRoute[]; readonly onChange: (rows: readonly DraftRoute[]) => void }) {
  const put = (at: number, some: Partial<DraftRoute>): void => onChange(rows.map((row, i) => (i === at ? { ...row, ...some } : row)))
  const up = (at: number): void => onChange(rows.map((row, i) => (i === at - 1 ? rows[at]! : i === at ? rows[at - 1]! : row)))
  return (
    <div className="w-scroll" tabIndex={0} role="region" aria-label="Approval routes">
      <table className="w-table">
        <thead><tr><th scope="col">Name</th><th scope="col">Class</th><th scope="col">Label</th><th scope="col">Argument</th><th scope="col">from</th><th scope="col">Group</th><th scope="col">People</th><th scope="col">Minutes</th><th scope="col">Signed</th><th scope="col"><span className="w-sr">Order</span></th></tr></thead>
        <tbody>{rows.map((row, i) => <Row key={i} row={row} at={i} onPut={(some) => put(i, some)} onUp={() => up(i)} onRemove={() => onChange(rows.filter((_, j) => j !== i))} />)}</tbody>
      </table>
    </div>
  )
}

type RowProps = { readonly row: DraftRoute; readonly at: number; readonly onPut: (some: Partial<DraftRoute>) => void; readonly onUp: () => void; readonly onRemove: () => void }

type TextField = 'name' | 'label' | 'argument' | 'from' | 'group' | 'quorum' | 'minutes'

function Row({ row, at, onPut, onUp, onRemove }: RowProps) {
  const nth = `of route ${at + 1}`
  const field = (name: TextField, said: string, placeholder = '') => (
    <input aria-label={`${said} ${nth}`} value={row[name]} placeholder={placeholder} maxLength={200} aria-invalid={faultIn(row, name) !== undefined} title={faultIn(row, name)} autoComplete="off" onChange={(event) => onPut({ [name]: event.currentTarget.value })} />
  )
  return (
    <tr>
      <td>{field('name', 'Name')}</td>
      <td><select aria-label={`Class ${nth}`} value={row.class} onChange={(event) => onPut({ class: event.currentTarget.value })}><option value="">any</option>{IDENTITY_CLASSES.map((one) => <option key={one}>{one}</option>)}</select></td>
      <td>{field('label', 'Label', 'any')}</td><td>{field('argument', 'Argument', 'any')}</td><td data-narrow="true">{field('from', 'From', '–')}</td><td>{field('group', 'Group', 'reviewers')}</td>
      <td data-narrow="true">{field('quorum', 'People')}</td><td data-narrow="true">{field('minutes', 'Minutes')}</td>
      <td><input type="checkbox" aria-label={`Signed ${nth}`} checked={row.signed} onChange={(event) => onPut({ signed: event.currentTarget.checked })} /></td>
      <td><div className="w-settings-do"><button type="button" className="w-quiet-button" aria-label={`Move route ${at + 1} up`} disabled={at === 0} onClick={onUp}>↑</button><button type="button" className="w-quiet-button" aria-label={`Remove route ${at + 1}`} onClick={onRemove}>✕</button></div></td>
    </tr>
  )
}
