import { ROLES, type Role } from '@writ/domain/person'
import type { PersonReply, RoleRuleReply } from '@writ/contract/people'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { useState } from 'react'
import { commandOf, curlOf } from '../commands.ts'
import { blockPerson, giveRole, invitePerson, listPasskeysOf, listPeople, listRoleRules, listSignInsOf, removeRoleRule, setRoleRule, showPerson, takeRole, unblockPerson } from '../endpoints.ts'
import { useLiveState } from '../live.ts'
import { useAll, useAsk } from '../queries.ts'
import { Action } from '../ui/action.tsx'
import { Inert } from '../ui/agent-words.tsx'
import { CopyAs } from '../ui/copy-as.tsx'
import { Id } from '../ui/copy.tsx'
import { Empty } from '../ui/empty.tsx'
import { ListTable, type Column } from '../ui/list-table.tsx'
import { Mark } from '../ui/mark.tsx'
import { Facts, Part } from '../ui/page.tsx'
import { Ago } from '../ui/time.tsx'
import { plain } from '../ui/words.ts'
import { Confirmation, Found, Rows, ShownOnce, useConfirmation } from './settings-kit.tsx'
import { Passkeys, SignIns } from './settings-own.tsx'

const rolesText = (roles: readonly Role[]): string => roles.map(plain).join(', ')

/** Whoever has signed in, and what groups bring; or one person. */
export function People() {
  const { person } = useSearch({ from: '/inside/settings' })
  return person === undefined ? <><Everybody /><RoleRules /></> : <Person id={person} />
}

const COLUMNS: readonly Column<PersonReply>[] = [
  { id: 'name', header: 'Name', width: 'minmax(120px, 1.3fr)', value: (one) => one.name, cell: (one) => <><Link to="/settings" search={{ section: 'people', person: one.id }}><Inert text={one.name} most={60} /></Link>{one.blocked_at !== null && <> <Mark tone="stopped">blocked</Mark></>}</> },
  { id: 'email', header: 'Address', width: 'minmax(140px, 1.4fr)', value: (one) => one.email, cell: (one) => (one.email === null ? <span className="w-dim">none</span> : <Inert text={one.email} most={80} />) },
  { id: 'roles', header: 'Roles', width: 'minmax(120px, 1.4fr)', value: (one) => one.roles.join(' '), cell: (one) => rolesText(one.roles) || <span className="w-dim">none</span> },
  { id: 'groups', header: 'Groups', width: 'minmax(90px, 1fr)', value: (one) => one.groups.join(' '), cell: (one) => <Inert text={one.groups.join(', ')} most={80} /> },
  { id: 'passkeys', header: 'Passkeys', width: '70px', isNumber: true, value: (one) => one.passkeys },
  { id: 'seen', header: 'Signed in', width: '100px', value: (one) => one.signed_in_at, cell: (one) => (one.signed_in_at === null ? <span className="w-dim">never</span> : <Ago at={one.signed_in_at} />) },
  { id: 'id', header: 'Id', value: (one) => one.id },
  { id: 'issuer', header: 'Vouched for by', value: (one) => one.issuer },
]

function Everybody() {
  const { q, sort } = useSearch({ from: '/inside/settings' })
  const navigate = useNavigate({ from: '/settings' })
  const list = useAll(listPeople, {}, (reply) => reply.people)
  return (
    <Part title="People" aside={<span className="w-settings-do"><Invite /><CopyAs commands={{ cli: 'writ people list', curl: curlOf(listPeople, {}, window.location.origin) }} /></span>}>
      <div className="w-settings-people">
        <ListTable
          name="people" columns={COLUMNS} list={list} idOf={(one) => one.id} search={{ q, sort }} hint="filter: roles:admin -passkeys:0 maya"
          onSearch={(next) => void navigate({ search: { section: 'people', ...next }, replace: true })} onOpen={(one) => void navigate({ search: { section: 'people', person: one.id } })}
          empty={<Empty title="Nobody has signed in yet" command="writ open --first">The first person is an administrator, and comes by a one-time link.</Empty>}
        />
      </div>
    </Part>
  )
}

function RoleRules() {
  const rules = useAsk(listRoleRules, {}, { poll: useLiveState().kind !== 'live' })
  return (
    <Part title="Roles by group" aside={<span className="w-settings-do"><SetRule /><CopyAs commands={{ cli: 'writ people rules', curl: curlOf(listRoleRules, {}, window.location.origin) }} /></span>}>
      <Found of={rules} what="the rules">{({ rules: found }) => found.length === 0 ? (
        <Empty title="No group brings a role" command="writ people rules set finance --roles reviewer --reason '...'">A rule gives roles to whoever your organisation’s provider says is in a group, at once, and takes them back when it says so no more.</Empty>
      ) : (
        <Rows name="Roles by group" heads={['Group', 'Brings', 'Since', 'Set by', <span key="d" className="w-sr">Actions</span>]} rows={found.map((one) => [
          one.group, <Inert key="g" text={one.group} most={80} />, rolesText(one.roles), <Ago key="s" at={one.set_at} />, <Id key="b" of={one.set_by} />,
          <div key="a" className="w-settings-do"><SetRule rule={one} />
            <Action
              name="removeRoleRule" to={removeRoleRule} tone="stop" label="Remove" title={`Let ${one.group} bring no role any more?`} asked={(reason) => ({ body: { group: one.group, reason } })}
              cli={(reason) => commandOf('writ', 'people', 'rules', 'remove', one.group, '--reason', reason)}
            >
              <p>Whoever is in this group loses <strong>{rolesText(one.roles)}</strong> at once, unless another group brings it or it was given to them.</p>
            </Action>
          </div>,
        ])} />
      )}</Found>
    </Part>
  )
}

function SetRule({ rule }: { readonly rule?: RoleRuleReply }) {
  const [group, setGroup] = useState(rule?.group ?? '')
  const [roles, setRoles] = useState<readonly Role[]>(rule?.roles ?? [])
  const body = (reason: string) => ({ group: group.trim() || 'GROUP', roles: [...roles], reason })
  return (
    <Action
      name="setRoleRule" to={setRoleRule} label={rule === undefined ? 'Add a rule' : 'Change'} title={rule === undefined ? 'Which roles does a group bring?' : `Which roles does ${rule.group} bring?`}
      asked={(reason) => ({ body: body(reason) })} cli={(reason) => commandOf('writ', 'people', 'rules', 'set', body('').group, '--roles', roles.join(',') || 'ROLES', '--reason', reason)}
      done={() => { if (rule === undefined) { setGroup(''); setRoles([]) } }}
    >
      {rule === undefined && <label className="w-field"><span>Group, as the provider calls it</span><input value={group} required maxLength={200} onChange={(event) => setGroup(event.currentTarget.value)} /></label>}
      <RoleBoxes roles={roles} onChange={setRoles} />
      <p className="w-dim">In place of all that the group brought; at once, also for those who have signed in.</p>
    </Action>
  )
}

function RoleBoxes({ roles, onChange }: { readonly roles: readonly Role[]; readonly onChange: (roles: readonly Role[]) => void }) {
  return (
    <fieldset className="w-settings-checks">
      <legend>Roles</legend>
      {ROLES.map((role) => (
        <label key={role}><input type="checkbox" checked={roles.includes(role)} onChange={(event) => onChange(ROLES.filter((one) => (one === role ? event.currentTarget.checked : roles.includes(one))))} />{plain(role)}</label>
      ))}
    </fieldset>
  )
}

/** The link is in the reply and nowhere else. */
function Invite() {
  const [name, setName] = useState('')
  const [email, setEmail] = useState('')
  const [roles, setRoles] = useState<readonly Role[]>(['viewer'])
  const [link, setLink] = useState<{ readonly link: string; readonly expires_at: string } | null>(null)
  const { hasPasskey } = useConfirmation()
  const body = (reason: string) => ({ name: name.trim() || 'NAME', roles: [...roles], reason, ...(email.trim() === '' ? {} : { email: email.trim() }) })
  return (
    <>
      <Action
        name="invitePerson" to={invitePerson} label="Invite" title="Invite one more person?" off={hasPasskey ? undefined : 'a passkey has to confirm it: make one under “You” first'}
        asked={(reason) => ({ body: body(reason) })} done={setLink}
        cli={(reason) => commandOf('writ', 'people', 'invite', body('').name, '--roles', roles.join(',') || 'ROLES', ...(email.trim() === '' ? [] : ['--email', email.trim()]), '--reason', reason)}
      >
        <p>For whom no provider knows: a link that works once, by which they enrol a passkey. With a provider nobody is invited; a group brings the roles. By the address, identities find their owners.</p>
        <div className="w-settings-pair">
          <label className="w-field"><span>Name</span><input value={name} required maxLength={100} autoComplete="off" onChange={(event) => setName(event.currentTarget.value)} /></label>
          <label className="w-field"><span>Address (optional)</span><input type="email" value={email} maxLength={254} autoComplete="off" onChange={(event) => setEmail(event.currentTarget.value)} /></label>
        </div>
        <RoleBoxes roles={roles} onChange={setRoles} />
        <Confirmation what="An invitation" />
      </Action>
      {link !== null && <ShownOnce title={`The link for ${name}`} secret={link.link} onClose={() => { setLink(null); setName(''); setEmail('') }}>It is shown this once, and ends <Ago at={link.expires_at} />. Hand it over by a way that nobody else reads: whoever opens it first is them.</ShownOnce>}
    </>
  )
}

function Person({ id }: { readonly id: string }) {
  const poll = useLiveState().kind !== 'live'
  const [person, signIns, passkeys] = [useAsk(showPerson, { parameters: { id } }, { poll }), useAsk(listSignInsOf, { parameters: { id } }, { poll }), useAsk(listPasskeysOf, { parameters: { id } }, { poll })]
  return (
    <>
      <p><Link to="/settings" search={{ section: 'people' }}>← People and roles</Link></p>
      <Found of={person} what="the person">{(one) => <><WhoTheyAre person={one} /><RolesOf person={one} /></>}</Found>
      {passkeys.data !== undefined && <Part title="Passkeys"><Passkeys of={passkeys.data.passkeys} /></Part>}
      {signIns.data !== undefined && <Part title="Sign-ins"><SignIns of={signIns.data.sign_ins} /></Part>}
    </>
  )
}

function WhoTheyAre({ person: one }: { readonly person: PersonReply }) {
  return (
    <Part title={one.name} aside={<span className="w-settings-do"><Block person={one} /><CopyAs commands={{ cli: commandOf('writ', 'people', 'show', one.id), curl: curlOf(showPerson, { parameters: { id: one.id } }, window.location.origin) }} /></span>}>
      {one.blocked_at !== null && <p role="status"><Mark tone="stopped">blocked</Mark> <Ago at={one.blocked_at} />: nobody signs in as them.</p>}
      <Facts of={[
        ['Address', one.email === null ? <span className="w-dim">none that a provider vouches for</span> : <Inert text={one.email} most={120} />],
        ['Vouched for by', one.issuer === 'writ' ? 'a passkey alone' : <code key="i"><Inert text={one.issuer} most={200} /></code>], ['Groups', one.groups.length === 0 ? <span className="w-dim">none</span> : <Inert text={one.groups.join(', ')} most={400} />],
        ['Id', <code key="d">{one.id}</code>], ['Since', <Ago key="r" at={one.registered_at} />],
      ]} />
    </Part>
  )
}

function Block({ person: { id, name, blocked_at: blockedAt } }: { readonly person: PersonReply }) {
  const asked = (reason: string) => ({ parameters: { id }, body: { reason } })
  const cli = (verb: string) => (reason: string) => commandOf('writ', 'people', verb, id, '--reason', reason)
  return blockedAt === null ? (
    <Action name="blockPerson" to={blockPerson} tone="stop" label="Block" title={`Block ${name}?`} asked={asked} cli={cli('block')}>
      <p>Nobody signs in as them from then on, whatever their provider says. Where they have signed in ends, on every server, and so do operator keys that they made. What they have done stays; what they own needs another owner.</p>
    </Action>
  ) : (
    <Action name="unblockPerson" to={unblockPerson} label="Unblock" title={`Let ${name} sign in again?`} asked={asked} cli={cli('unblock')}>
      <p>With the roles that they have by then. Operator keys that they had made stay removed.</p>
    </Action>
  )
}

function RolesOf({ person }: { readonly person: PersonReply }) {
  const own = person.given_roles
  return (
    <Part title="Roles" aside={<GiveRole person={person} />}>
      {person.roles.length === 0 ? <p className="w-dim">None: they can sign in, and see nothing but themselves.</p> : (
        <Rows name="Roles" heads={['Role', 'Because', <span key="d" className="w-sr">Actions</span>]} rows={person.roles.map((role) => [
          role, plain(role), own.includes(role) ? 'given to them' : 'a group brings it',
          <div key="a" className="w-settings-do">
            <Action
              name="takeRole" to={takeRole} tone="stop" label="Take back" title={`Take ${plain(role)} back from ${person.name}?`} off={own.includes(role) ? undefined : 'a group brings it: change the rule of the group'}
              asked={(reason) => ({ parameters: { id: person.id }, body: { role, reason } })} cli={(reason) => commandOf('writ', 'people', 'take', person.id, role, '--reason', reason)}
            >
              <p>At once, on every server. What a group brings stays, and so does what they have done.</p>
            </Action>
          </div>,
        ])} />
      )}
    </Part>
  )
}

function GiveRole({ person }: { readonly person: PersonReply }) {
  const left = ROLES.filter((role) => !person.given_roles.includes(role))
  const [chosen, setRole] = useState<Role | undefined>(undefined)
  const role = chosen !== undefined && left.includes(chosen) ? chosen : left[0] ?? 'viewer'
  return (
    <Action
      name="giveRole" to={giveRole} label="Give a role" title={`Give ${person.name} a role?`} off={left.length === 0 ? 'they have every role' : undefined}
      asked={(reason) => ({ parameters: { id: person.id }, body: { role, reason } })} cli={(reason) => commandOf('writ', 'people', 'give', person.id, role, '--reason', reason)}
    >
      <label className="w-field"><span>Role</span><select value={role} onChange={(event) => setRole(left.find((one) => one === event.currentTarget.value))}>{left.map((one) => <option key={one} value={one}>{plain(one)}: {MEANS[one]}</option>)}</select></label>
      <p className="w-dim">It holds at once, until it is taken back, whatever their groups.</p>
    </Action>
  )
}

const MEANS: Readonly<Record<Role, string>> = {
  viewer: 'sees what runs', reviewer: 'answers requests for approval', owner: 'acts on the identities that are theirs', policy_author: 'writes policies', responder: 'stops things',
  auditor: 'reads all and changes nothing', admin: 'decides who is what',
}
