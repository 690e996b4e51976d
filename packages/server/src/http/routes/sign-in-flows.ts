import type { Logger } from 'pino'
import type { RefusedOften } from '../../authenticate/refused-often.ts'
import { signInProvider } from '../../authenticate/sign-in-provider.ts'
import type { SignInProviderSettings } from '../../config/sign-in-provider.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Entropy } from '../../platform/entropy.ts'
import type { OutboundStreams } from '../../platform/outbound.ts'
import { perMinute } from '../../platform/per-minute.ts'
import type { Store } from '../../record/tx.ts'
import type { Route } from '../call.ts'
import { deviceRoutes } from './sign-in-device.ts'
import { providerSignInRoutes } from './sign-in-oidc.ts'

export type SignInFlowNeeds = {
  readonly store: Store
  readonly clock: Clock
  readonly entropy: Entropy
  readonly log: Logger
  readonly outbound: OutboundStreams
  readonly often: RefusedOften
  readonly consoleOrigin: () => string
  readonly settings: SignInProviderSettings | null
  /** From one address in a minute. */
  readonly mostBegun: number
}

/** The ways to sign in that go over somewhere else: the organisation's provider, and a browser for a command line. */
export function signInFlowRoutes(needs: SignInFlowNeeds): readonly Route[] {
  const { settings, log } = needs
  const provider = settings === null ? undefined : signInProvider({ ...needs, settings, onTrouble: (trouble) => { log.warn({ provider: settings.issuer, trouble }, 'the provider of sign-ins did not do as it should') } })
  const own = { ...needs, provider, begun: perMinute(needs.clock) }
  return [...providerSignInRoutes(own), ...deviceRoutes(own)]
}
