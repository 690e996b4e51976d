import { commandOf, curlOf } from '../commands.ts'
import { listBackends, listIssuers, listOperators, removeBackend, removeIssuer, removeOperator, testBackend } from '../endpoints.ts'
import { useAsk } from '../queries.ts'
import { Action } from '../ui/action.tsx'
import { Inert } from '../ui/agent-words.tsx'
import { CopyAs } from '../ui/copy-as.tsx'
import { Id } from '../ui/copy.tsx'
import { Empty } from '../ui/empty.tsx'
import { Mark } from '../ui/mark.tsx'
import { Part } from '../ui/page.tsx'
import { Ago } from '../ui/time.tsx'
import { Deed, Found, Rows } from './settings-kit.tsx'

const ACTIONS = <span key="d" className="w-sr">Actions</span>

/** Databases that Writ makes logins in. */
export function Backends() {
  const found = useAsk(listBackends, {}, { poll: true })
  return (
    <Part title="Back ends" aside={<CopyAs commands={{ cli: 'writ backend list', curl: curlOf(listBackends, {}, window.location.origin) }} />}>
      <Found of={found} what="the back ends">{({ backends }) => backends.length === 0 ? (
        <Empty title="There is no back end yet" command="writ backend add shop --host db.acme.example --database shop --user writ_admin --templates shop.yaml">Where tasks get logins that live as long as they do. It is added where its secret is: at a command line.</Empty>
      ) : (
        <Rows name="Back ends" heads={['Name', 'Where', 'Templates', 'State', 'Its secret', ACTIONS]} rows={backends.map((one) => [
          one.id, one.name, <><code><Inert text={`${one.settings.host}:${one.settings.port}/${one.settings.database}`} most={100} /></code> <span className="w-dim">{one.kind} {one.version}, TLS {one.settings.tls}</span></>,
          Object.keys(one.templates).join(', '), <Mark key="s" tone={one.state === 'active' ? 'good' : 'quiet'}>{one.state}</Mark>, one.secret_rotated_at === null ? <span className="w-dim">as it was given</span> : <>changed <Ago at={one.secret_rotated_at} /></>,
          <div key="a" className="w-settings-do">
            {one.state === 'active' && (
              <Deed
                name="testBackend" to={testBackend} label="Test" asked={{ parameters: { name: one.name }, body: {} }} cli={commandOf('writ', 'backend', 'test', one.name)}
                says={({ cycle_ms: ms }) => <Mark tone="good">the whole cycle took {Math.round(ms)} ms</Mark>}
              >
                <Action
                  name="removeBackend" to={removeBackend} tone="stop" label="Remove" title={`Remove the back end ${one.name}?`} asked={(reason) => ({ parameters: { name: one.name }, body: { reason } })}
                  cli={(reason) => commandOf('writ', 'backend', 'remove', one.name, '--reason', reason)}
                >
                  <p>No task gets a login there any more. Identities whose end it is are retired.</p>
                </Action>
              </Deed>
            )}
          </div>,
        ])} />
      )}</Found>
    </Part>
  )
}

const SOURCES = { discovery: 'by discovery', url: 'from an address', inline: 'given here' } as const

/** Whose word about a workload counts. */
export function Issuers() {
  const found = useAsk(listIssuers, {}, { poll: true })
  return (
    <Part title="Trusted issuers" aside={<CopyAs commands={{ cli: 'writ issuer list', curl: curlOf(listIssuers, {}, window.location.origin) }} />}>
      <Found of={found} what="the issuers">{({ issuers }) => issuers.length === 0 ? (
        <Empty title="No issuer is trusted yet" command="writ issuer trust https://token.actions.githubusercontent.com">An issuer says who a workload is, so that it needs no key of its own: a CI system, a cluster, a SPIFFE trust domain.</Empty>
      ) : (
        <Rows name="Trusted issuers" heads={['Issuer', 'Kind', 'Its keys', 'Bindings', 'State', 'Since', ACTIONS]} rows={issuers.map((one) => [
          one.id, <code key="u"><Inert text={one.url} most={120} /></code>, one.kind, <>{SOURCES[one.keys.source]}{one.own_ca && <span className="w-dim">, authorities of its own</span>}</>, one.bindings,
          <Mark key="s" tone={one.state === 'trusted' ? 'good' : 'quiet'}>{one.state}</Mark>, <Ago key="t" at={one.trusted_at} />,
          <div key="a" className="w-settings-do">
            {one.state === 'trusted' && (
              <Action
                name="removeIssuer" to={removeIssuer} tone="stop" label="Remove" title="Stop trusting this issuer?" asked={(reason) => ({ parameters: { id: one.id }, body: { reason } })}
                cli={(reason) => commandOf('writ', 'issuer', 'remove', one.url, '--reason', reason)}
              >
                <p>No token of <code><Inert text={one.url} most={120} /></code> is taken from now on. Its {one.bindings} live bindings end, also when it is trusted again; identities whose end it is are retired.</p>
              </Action>
            )}
          </div>,
        ])} />
      )}</Found>
    </Part>
  )
}

/** Keys of machines and of whoever set this up; people sign in. */
export function Operators() {
  const found = useAsk(listOperators, {}, { poll: true })
  return (
    <Part title="Operators’ keys" aside={<CopyAs commands={{ cli: 'writ operator list', curl: curlOf(listOperators, {}, window.location.origin) }} />}>
      <Found of={found} what="the operators">{({ operators }) => operators.length === 0 ? (
        <Empty title="There is no key" command="writ operator add deploy">A key is for a machine that manages Writ. It can do what people may, and answers for nobody.</Empty>
      ) : (
        <Rows name="Operators' keys" heads={['Name', 'Id', 'State', 'Since', ACTIONS]} rows={operators.map((one) => [
          one.id, <Inert key="n" text={one.name} most={80} />, <Id key="i" of={one.id} />, <Mark key="s" tone={one.state === 'active' ? 'good' : 'quiet'}>{one.state}</Mark>, <Ago key="c" at={one.created_at} />,
          <div key="a" className="w-settings-do">
            {one.state === 'active' && (
              <Action
                name="removeOperator" to={removeOperator} tone="stop" label="Remove" title="Remove this operator's key?" asked={(reason) => ({ parameters: { id: one.id }, body: { reason } })}
                cli={(reason) => commandOf('writ', 'operator', 'remove', one.id, '--reason', reason)}
              >
                <p>The key of “<Inert text={one.name} most={80} />” is refused from now on, on every server, for ever.</p>
              </Action>
            )}
          </div>,
        ])} />
      )}</Found>
    </Part>
  )
}
