import type { Reassigned } from '@writ/domain/lease'
import { BackendFault, type Connector, type Minted, type Template, type Withdrawal } from '../../src/connectors/connector.ts'

/** What a test tells the back end to do; each is looked at anew at every call. */
export type Mood = {
  canRevoke: boolean
  /** Whether the control login works. */
  control: boolean
  /** `hangs` until `release` is called; a text is the code of the fault. */
  mint: 'works' | 'hangs' | (string & {})
  withdraw: 'works' | 'hangs' | (string & {})
  probe: 'refused' | 'accepted' | 'unclear' | 'still in the catalogue'
  /** What a withdrawal finds that the lease has made. */
  found: readonly Reassigned[]
}

export type FakeConnector = Connector & {
  readonly mood: Mood
  /** Logins that exist, and their secrets. */
  readonly logins: Map<string, string>
  /** Every call in its order: `mint H`, `withdraw H`, `probe H`. */
  readonly calls: string[]
  /** Lets go of all who hang. */
  release(): void
}

export const FAKE_TEMPLATE: Template = { name: 'ddl', database: 'shop', owner: 'owner', memberOf: [], grants: [], connectionLimit: 5 }

/** A back end in memory that does as the test says. */
export function fakeConnector(mood: Partial<Mood> = {}): FakeConnector {
  const current: Mood = { canRevoke: true, control: true, mint: 'works', withdraw: 'works', probe: 'refused', found: [], ...mood }
  const logins = new Map<string, string>()
  const calls: string[] = []
  let released = Promise.withResolvers<void>()
  const act = async (how: string): Promise<void> => {
    if (how === 'hangs') await released.promise
    else if (how !== 'works') throw new BackendFault('the fake back end fails as it was told', how)
  }
  return {
    kind: 'fake',
    get canRevoke() { return current.canRevoke },
    mood: current, logins, calls,
    release() {
      released.resolve()
      released = Promise.withResolvers()
    },
    admit: async () => ({ ok: true, value: { version: '1', cycleMs: 1 } }),
    async mint({ handle, secret }): Promise<Minted> {
      calls.push(`mint ${handle}`)
      await act(current.mint)
      logins.set(handle, secret)
      return {
        address: { host: 'fake', port: 1, database: 'shop', user: handle, tls: false },
        control: current.control ? { ok: true, tookMs: 1 } : { ok: false, why: 'the control login got no answer' },
      }
    },
    async withdraw(handle, _template, survey): Promise<Withdrawal> {
      calls.push(`withdraw ${handle}`)
      await act(current.withdraw)
      if (current.found.length > 0) await survey({ sessionsEnded: 1, reassigned: current.found })
      const existed = logins.delete(handle)
      return { existed, sessionsEnded: 1, reassigned: existed ? current.found : [] }
    },
    async probe(handle) {
      calls.push(`probe ${handle}`)
      const refused = { kind: 'refused', by: 'the fake', code: '28P01', message: 'no such login', absentFromCatalogue: true, tookMs: 1 } as const
      switch (current.probe) {
        case 'refused': return refused
        case 'accepted': return { kind: 'accepted', by: 'the fake' }
        case 'unclear': return { kind: 'not_evaluated', why: 'the probe timed out' }
        case 'still in the catalogue': return { ...refused, absentFromCatalogue: false }
      }
    },
    list: async (prefix) => [...logins.keys()].filter((handle) => handle.startsWith(prefix)).map((handle) => ({ handle })),
    rotate: async () => {},
    close: async () => {},
  }
}
