import { MAIL_SECURITIES, NOTICE_KINDS, NOTICE_MATTERS, type MailSecurity, type NoticeKind, type NoticeMatter } from '@writ/domain/notice'
import type { AddNoticeTargetBody, NoticeTargetReply } from '@writ/contract/notices'
import { useState } from 'react'
import { commandOf, curlOf } from '../commands.ts'
import { addNoticeTarget, listNoticeTargets, removeNoticeTarget, testNoticeTarget } from '../endpoints.ts'
import { useAsk } from '../queries.ts'
import { Action } from '../ui/action.tsx'
import { Inert } from '../ui/agent-words.tsx'
import { CopyAs } from '../ui/copy-as.tsx'
import { Empty } from '../ui/empty.tsx'
import { Mark } from '../ui/mark.tsx'
import { Part } from '../ui/page.tsx'
import { Switch } from '../ui/switch.tsx'
import { Ago } from '../ui/time.tsx'
import { plain } from '../ui/words.ts'
import { Deed, FormAction, Found, Rows, ShownOnce } from './settings-kit.tsx'

/** Where people are told of what needs them, while no page is open. */
export function Notices() {
  const found = useAsk(listNoticeTargets, {}, { poll: true })
  return (
    <Part title="Notices" aside={<span className="w-settings-do"><AddTarget /><CopyAs commands={{ cli: 'writ notice list', curl: curlOf(listNoticeTargets, {}, window.location.origin) }} /></span>}>
      <Found of={found} what="the targets">{({ targets }) => targets.length === 0 ? (
        <Empty title="Nobody is told of anything yet" command="writ notice add pager --webhook https://hooks.acme.example/writ">A webhook, a mailbox or a channel hears what needs somebody. A notice holds a link and nothing that could decide: whoever follows it signs in.</Empty>
      ) : (
        <Rows name="Notices" heads={['Name', 'Where', 'Of', 'State', 'Last sent', <span key="d" className="w-sr">Actions</span>]} rows={targets.map((one) => [
          one.id, one.name, <>{one.kind} <code><Inert text={one.place} most={100} /></code></>, <span key="o" title={one.about.join(', ')} className="w-nowrap">{one.about.length === 1 ? plain(one.about[0]!) : `${one.about.length} matters`}</span>, <Standing key="s" of={one} />,
          one.last_sent_at === null ? <span className="w-dim">never</span> : <Ago at={one.last_sent_at} />, <div key="a" className="w-settings-do">{one.state === 'active' && <Deeds of={one} />}</div>,
        ])} />
      )}</Found>
    </Part>
  )
}

function Standing({ of }: { readonly of: NoticeTargetReply }) {
  if (of.state === 'removed') return <Mark tone="quiet">removed</Mark>
  return (
    <>
      {of.trouble === null ? <Mark tone="good">active</Mark> : <Mark tone="bad">{plain(of.trouble)}</Mark>}
      {(of.waiting > 0 || of.failed > 0) && <span className="w-dim"> {of.waiting} waiting, {of.failed} given up</span>}
    </>
  )
}

function Deeds({ of }: { readonly of: NoticeTargetReply }) {
  return (
    <Deed
      name="testNoticeTarget" to={testNoticeTarget} label="Test" asked={{ parameters: { id: of.id }, body: {} }} cli={commandOf('writ', 'notice', 'test', of.name)}
      says={({ arrived, trouble }) => (arrived ? <Mark tone="good">it arrived</Mark> : <Mark tone="bad">it did not arrive: {plain(trouble ?? 'nobody knows why')}</Mark>)}
    >
      <Action
        name="removeNoticeTarget" to={removeNoticeTarget} tone="stop" label="Remove" title={`Tell ${of.name} nothing any more?`} asked={(reason) => ({ parameters: { id: of.id }, body: { reason } })}
        cli={(reason) => commandOf('writ', 'notice', 'remove', of.name, '--reason', reason)}
      >
        <p>What still waits for it ({of.waiting}) is not sent. Nothing else changes.</p>
      </Action>
    </Deed>
  )
}

/** What somebody has to act on. */
const USUAL: readonly NoticeMatter[] = ['approval.requested', 'incident.opened', 'finding.raised', 'identity.contained']

type Draft = {
  readonly kind: NoticeKind; readonly name: string; readonly about: readonly NoticeMatter[]; readonly url: string
  readonly to: string; readonly from: string; readonly host: string; readonly port: string; readonly security: MailSecurity; readonly username: string; readonly password: string
}
const EMPTY: Draft = { kind: 'webhook', name: '', about: USUAL, url: '', to: '', from: '', host: '', port: '587', security: 'starttls', username: '', password: '' }

const addressesIn = (text: string): string[] => text.split(/[\s,;]+/).filter((one) => one !== '')

function bodyOf(draft: Draft): AddNoticeTargetBody {
  const common = { name: draft.name.trim(), about: [...draft.about] }
  if (draft.kind !== 'mail') return { kind: draft.kind, ...common, url: draft.url.trim() }
  const login = draft.username === '' && draft.password === '' ? {} : { username: draft.username, password: draft.password }
  return { kind: 'mail', ...common, to: addressesIn(draft.to), from: draft.from.trim(), smtp: { host: draft.host.trim(), port: Number(draft.port), security: draft.security, ...login } }
}

/** With a word in the place of what must not stand in a shell's history. */
const withoutSecrets = (draft: Draft): Draft => ({ ...draft, url: draft.kind === 'slack' ? 'ADDRESS' : draft.url, password: draft.password === '' ? '' : 'PASSWORD' })

function cliOf(draft: Draft): string {
  const words = ['writ', 'notice', 'add', draft.name.trim() || 'NAME', '--about', draft.about.join(',')]
  if (draft.kind === 'webhook') return commandOf(...words, '--webhook', draft.url.trim() || 'URL')
  if (draft.kind === 'slack') return commandOf(...words, '--slack-url-file', '-')
  const login = draft.username === '' ? [] : ['--username', draft.username, '--password-file', '-']
  return commandOf(...words, '--mail', ...addressesIn(draft.to), '--from', draft.from.trim() || 'ADDRESS', '--smtp', `${draft.host.trim() || 'HOST'}:${draft.port}`, '--security', draft.security, ...login)
}

function AddTarget() {
  const [draft, setDraft] = useState(EMPTY)
  const [secret, setSecret] = useState<string | null>(null)
  const change = (some: Partial<Draft>): void => setDraft({ ...draft, ...some })
  return (
    <>
      <FormAction
        name="addNoticeTarget" to={addNoticeTarget} label="Add" title="Whom to tell, and of what?" asked={() => ({ body: bodyOf(draft) })} shown={() => ({ body: bodyOf(withoutSecrets(draft)) })} cli={() => cliOf(draft)}
        done={(added) => {
          setSecret(added.secret)
          setDraft(EMPTY)
        }}
      >
        <Switch name="Kind" value={draft.kind} choices={NOTICE_KINDS.map((kind) => [kind, kind === 'slack' ? 'Slack or alike' : kind] as const)} onChange={(kind) => change({ kind: kind as NoticeKind })} />
        <label className="w-field"><span>Name</span><input value={draft.name} required maxLength={63} pattern="[A-Za-z0-9][A-Za-z0-9_.\-]*" title="letters, digits, . _ and -" autoComplete="off" onChange={(event) => change({ name: event.currentTarget.value })} /></label>
        {draft.kind === 'mail' ? <MailFields draft={draft} onChange={change} /> : (
          <label className="w-field">
            <span>{draft.kind === 'slack' ? 'Address of the incoming webhook; it is a secret, and never shown again' : 'Address; requests to it are signed'}</span>
            <input type={draft.kind === 'slack' ? 'password' : 'url'} value={draft.url} required maxLength={2048} autoComplete="off" placeholder="https://" onChange={(event) => change({ url: event.currentTarget.value })} />
          </label>
        )}
        <fieldset className="w-settings-checks">
          <legend>Of</legend>
          {NOTICE_MATTERS.map((matter) => (
            <label key={matter}><input type="checkbox" checked={draft.about.includes(matter)} onChange={(event) => change({ about: NOTICE_MATTERS.filter((one) => (one === matter ? event.currentTarget.checked : draft.about.includes(one))) })} />{matter}</label>
          ))}
        </fieldset>
      </FormAction>
      {secret !== null && <ShownOnce title="The webhook’s secret" secret={secret} onClose={() => setSecret(null)}>With it the webhook checks that it is Writ who calls (Standard Webhooks). It is shown this once.</ShownOnce>}
    </>
  )
}

function MailFields({ draft, onChange }: { readonly draft: Draft; readonly onChange: (some: Partial<Draft>) => void }) {
  return (
    <>
      <label className="w-field"><span>To, with commas between</span><input value={draft.to} required autoComplete="off" onChange={(event) => onChange({ to: event.currentTarget.value })} /></label>
      <label className="w-field"><span>From</span><input type="email" value={draft.from} required autoComplete="off" onChange={(event) => onChange({ from: event.currentTarget.value })} /></label>
      <div className="w-settings-pair">
        <label className="w-field"><span>Mail server</span><input value={draft.host} required autoComplete="off" onChange={(event) => onChange({ host: event.currentTarget.value })} /></label>
        <label className="w-field"><span>Port</span><input type="number" min={1} max={65_535} value={draft.port} required onChange={(event) => onChange({ port: event.currentTarget.value })} /></label>
        <label className="w-field"><span>Protected by</span><select value={draft.security} onChange={(event) => onChange({ security: MAIL_SECURITIES.find((one) => one === event.currentTarget.value) ?? 'starttls' })}>{MAIL_SECURITIES.map((one) => <option key={one}>{one}</option>)}</select></label>
      </div>
      <div className="w-settings-pair">
        <label className="w-field"><span>User name there (optional)</span><input value={draft.username} autoComplete="off" onChange={(event) => onChange({ username: event.currentTarget.value })} /></label>
        <label className="w-field"><span>Password (sealed, never shown)</span><input type="password" value={draft.password} autoComplete="new-password" onChange={(event) => onChange({ password: event.currentTarget.value })} /></label>
      </div>
    </>
  )
}
