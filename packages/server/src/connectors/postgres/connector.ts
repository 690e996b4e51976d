import type { EpochMs } from '@writ/domain/time'
import { monotonicClock, type Clock } from '../../platform/clock.ts'
import { hostEntropy, type Entropy } from '../../platform/entropy.ts'
import { BackendFault, type Connector, type Minted, type Template } from '../connector.ts'
import { admitBackend } from './admit.ts'
import { postgresBackend, type PostgresBackend, type PostgresSettings } from './backend.ts'
import { SQLSTATE } from './fault.ts'
import { addressOf, controlLogin, createRole, type RoleOrder } from './mint.ts'
import { quoted } from './names.ts'
import { listRoles, probeRole } from './probe.ts'
import { scramVerifier } from './scram.ts'
import { withdrawRole } from './withdraw.ts'

export type PostgresConnectorOptions = { readonly clock?: Clock; readonly entropy?: Entropy }

/** One role per lease on a PostgreSQL 14 to 18. `secret` is the administrator's; the administrator is no superuser. */
export function postgresConnector(settings: PostgresSettings, secret: string, options: PostgresConnectorOptions = {}): Connector {
  const clock = options.clock ?? monotonicClock(() => {})
  const entropy = options.entropy ?? hostEntropy
  const backend = postgresBackend(settings, secret)
  let current = secret

  const withdraw: Connector['withdraw'] = (handle, template, survey) => withdrawRole(backend, { handle, template, survey })
  const probe: Connector['probe'] = (handle, dead, template) => probeRole(backend, clock, { handle, secret: dead, template })
  const list: Connector['list'] = (prefix) => listRoles(backend, prefix)

  const mintFor = async (bearer: string, order: MintFor): Promise<Minted> => {
    const { handle, template, expiresAt } = order
    const role = { handle, bearer, template, expiresAt, verifier: await scramVerifier(order.secret, entropy.bytes(16)) }
    await createAfresh(backend, role)
    const control = await controlLogin(backend, clock, { handle, secret: order.secret, database: template.database })
    return { address: addressOf(backend, handle, template), control }
  }

  return {
    kind: 'postgres',
    canRevoke: true,
    admit: (templates, testHandle, testSecret, now) => admitBackend(backend, clock, {
      withdraw, probe, list,
      mintTest: (order, template, expiresAt) => mintFor('test', { handle: order.testHandle, secret: order.testSecret, template, expiresAt }),
    }, { templates, testHandle, testSecret, now }),
    mint: (order) => mintFor(order.lease, order),
    withdraw,
    probe,
    list,
    rotate: async (next) => {
      await rotateSecret(backend, entropy, { current, next })
      current = next
    },
    close: () => backend.close(),
  }
}

type MintFor = { readonly handle: string; readonly secret: string; readonly template: Template; readonly expiresAt: EpochMs }

/** A crash may have left the role of this very lease behind; nobody was given its secret, so it is withdrawn and made again. */
async function createAfresh(backend: PostgresBackend, role: RoleOrder): Promise<void> {
  try {
    await createRole(backend, role)
  } catch (error) {
    if (!(error instanceof BackendFault && error.code === SQLSTATE.duplicateObject)) throw error
    await withdrawRole(backend, { ...role, survey: async () => {} })
    await createRole(backend, role)
  }
}

/** After this the old secret is dead. If the new one does not log in, the old one is put back. */
async function rotateSecret(
  backend: PostgresBackend, entropy: Entropy, { current, next }: { readonly current: string; readonly next: string },
): Promise<void> {
  const { user, database } = backend.settings
  const set = async (secret: string): Promise<void> => {
    const verifier = await scramVerifier(secret, entropy.bytes(16))
    await backend.administer(database, 'changing the administrator\'s secret', (client) => (
      client.query(`alter role ${quoted(user)} password '${verifier}'`)
    ))
  }
  await set(next)
  const login = await backend.tryLogin(user, next, database)
  if (login.kind === 'accepted') {
    backend.useSecret(next)
    return
  }
  await set(current)
  const why = login.kind === 'refused' ? `${login.message} (${login.code})` : login.why
  throw new BackendFault(`the administrator's new secret does not log in, and the old one was put back: ${why}`, login.code)
}
