import { ok, type Outcome } from '@writ/domain/outcome'
import type { Logger } from 'pino'
import { addressesOf, isLoopback, type Binding } from '../config/binding.ts'
import type { Clock } from '../platform/clock.ts'
import type { IsProxy } from './forwarded.ts'
import { listeners, type Listeners } from './listener.ts'
import { readTlsIdentity, watchTlsIdentity, type TlsRefusal } from './tls.ts'

export type EntranceNeeds = { readonly clock: Clock; readonly log: Logger; readonly onStranger: () => void }

/** How callers come in: by TLS or not, from everywhere or from the named proxies alone. */
export type Entrance = {
  readonly listeners: Listeners
  readonly isProxy: IsProxy
  readonly isHttps: boolean
  readonly urlsOf: (port: number) => { readonly url: string; readonly listensAt: string }
  readonly close: () => void
}

/** However many try: they are told of so often at most. */
const TELL_EVERY_MS = 10_000

export function openEntrance(binding: Binding, { clock, log, onStranger }: EntranceNeeds): Outcome<Entrance, TlsRefusal> {
  const { host, issuer, tls: files, trustedProxies } = binding
  const tls = files === null ? ok(null) : readTlsIdentity(files, clock)
  if (!tls.ok) return tls
  const isProxy = addressesOf(trustedProxies)
  const isNamed = trustedProxies.length > 0
  let toldUntil = 0
  const lines = listeners({
    tls: tls.value,
    onlyFrom: isNamed ? isProxy : undefined,
    onStranger(address) {
      onStranger()
      if (clock.now() < toldUntil) return
      toldUntil = clock.now() + TELL_EVERY_MS
      log.warn({ address }, 'connections from elsewhere than WRIT_TRUSTED_PROXY are refused')
    },
  })
  return ok({
    listeners: lines,
    isProxy,
    isHttps: files !== null || issuer?.startsWith('https:') === true,
    urlsOf(port) {
      const listensAt = `${files === null ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`
      // A certificate is for the name that everybody uses, and a proxy's port for the proxy.
      const isForUs = isLoopback(host) && (!isNamed || isProxy('127.0.0.1')) && (files === null || issuer === null)
      return { url: isForUs ? listensAt : issuer ?? listensAt, listensAt }
    },
    close: files === null ? () => {} : watchTlsIdentity(files, { clock, log, use: lines.renew }),
  })
}
