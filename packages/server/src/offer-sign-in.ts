import { createHash } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SECRET_PREFIX, toSecret } from '@writ/domain/secret'
import { milliseconds, plus } from '@writ/domain/time'
import type { Logger } from 'pino'
import type { Config } from './config/config.ts'
import type { ResyncedClock } from './platform/clock.ts'
import { hostEntropy } from './platform/entropy.ts'
import { failpoint } from './platform/failpoint.ts'
import type { Store } from './record/tx.ts'
import { BOOTSTRAP_LIVES_MS, offerBootstrap } from './registry/operators.ts'
import { listOperators } from './store/operators.ts'
import { isAnyAdmin } from './store/people.ts'

/**
 * The first sign-in, or another one where whoever starts the server asks for it: that is who has its store and its keys, and could do as he
 * likes. A one-time link, also left in a file that only this user can read, so that the command line next door can take it.
 */
export async function offerSignIn(config: Config, store: Store, { clock, url, log }: { readonly clock: ResyncedClock; readonly url: string; readonly log: Logger }): Promise<string | undefined> {
  const file = join(config.dataDirectory, 'bootstrap')
  rmSync(file, { force: true })
  const operators = (await store.read(listOperators)).filter(({ state }) => state === 'active').length
  const reason = config.newOperatorLink
  const isFirst = operators === 0 && !(await store.read(isAnyAdmin))
  if (!isFirst && reason === undefined) return undefined
  const beside = isFirst || reason === undefined ? {} : { beside: { operators, reason } }
  const code = toSecret(SECRET_PREFIX.bootstrap, hostEntropy.bytes(32))
  const now = clock.now()
  await store.change(offerBootstrap, { codeHash: new Uint8Array(createHash('sha256').update(code).digest()), now, expiresAt: plus(now, milliseconds(BOOTSTRAP_LIVES_MS)), ...beside })
  if ('beside' in beside) log.warn({ operators }, 'a link for one more operator is offered, because WRIT_NEW_OPERATOR_LINK asks for it: take the setting away again')
  failpoint('bootstrap.offered.before_file')
  // The code stands behind `#`: no browser sends that part, so it reaches no server's log.
  const link = `${url}/first#${code}`
  mkdirSync(config.dataDirectory, { recursive: true, mode: 0o700 })
  writeFileSync(file, `${link}\n`, { mode: 0o600 })
  return link
}
