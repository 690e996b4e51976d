import type { BackendId } from '@writ/domain/id'
import type { BackendSettings } from '@writ/domain/template'
import { BackendFault, type Connector, type LeaseAddress, type Template } from '../connectors/connector.ts'
import type { Sealer } from '../keys/seal.ts'
import type { Store } from '../record/tx.ts'
import { findBackend, secretPlace, type Backend } from '../store/backends.ts'

/** Makes a connector of the kind that a back end is. */
export type Connect = (kind: Backend['kind'], settings: BackendSettings, secret: string) => Connector

/** A back end with an open way to it. */
export type ReachedBackend = {
  readonly id: BackendId
  readonly name: string
  readonly templates: readonly Template[]
  readonly connector: Connector
  templateOf(name: string): Template
  addressOf(handle: string, template: Template): LeaseAddress
}

export type Reach = {
  /** By id or name. Undefined when there is none; a removed one is reached as long as leases of it may be left. */
  reach(reference: string): Promise<ReachedBackend | undefined>
  /** Forgets the way, so that the next call reads settings and secret anew. */
  forget(backend: BackendId): Promise<void>
  close(): Promise<void>
}

type ReachNeeds = { readonly store: Pick<Store, 'read'>; readonly secrets: Pick<Sealer, 'unseal'>; readonly connect: Connect }

/** Keeps one connector for each back end; each has its own connections, so that one that hangs holds up no other. */
export function reachBackends(needs: ReachNeeds): Reach {
  const open = new Map<BackendId, { readonly sealedSecret: string; readonly connector: Connector }>()

  async function connectorOf(backend: Backend): Promise<Connector> {
    const known = open.get(backend.id)
    if (known?.sealedSecret === backend.sealedSecret) return known.connector
    await known?.connector.close()
    const connector = needs.connect(backend.kind, backend.settings, needs.secrets.unseal(backend.sealedSecret, secretPlace(backend.id)))
    open.set(backend.id, { sealedSecret: backend.sealedSecret, connector })
    return connector
  }

  return {
    async reach(reference) {
      const backend = await needs.store.read((db) => findBackend(db, reference))
      if (backend === undefined) return undefined
      return reached(backend, await connectorOf(backend))
    },
    async forget(backend) {
      const known = open.get(backend)
      open.delete(backend)
      await known?.connector.close()
    },
    async close() {
      await Promise.all([...open.values()].map(({ connector }) => connector.close()))
      open.clear()
    },
  }
}

function reached(backend: Backend, connector: Connector): ReachedBackend {
  return {
    id: backend.id,
    name: backend.name,
    templates: backend.templates,
    connector,
    templateOf(name) {
      const template = backend.templates.find((one) => one.name === name)
      if (template === undefined) throw new BackendFault(`back end \`${backend.name}\` has no template \`${name}\``, 'no_such_template')
      return template
    },
    addressOf: (handle, template) => ({
      host: backend.settings.host, port: backend.settings.port, database: template.database, user: handle, tls: backend.settings.tls !== 'disable',
    }),
  }
}
