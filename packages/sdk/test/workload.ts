import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { RunningWrit, TestIdentity } from '../../server/test/running-writ.ts'
import { Writ, type WritOptions } from '../src/writ.ts'

/** A workload as it runs at a user's: the address, its name and its key file come from the environment. */
export function workload(t: Pick<TestContext, 'after'>, writ: RunningWrit, identity: TestIdentity, more: WritOptions = {}): Writ {
  const folder = mkdtempSync(join(tmpdir(), 'writ-workload-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const keyFile = join(folder, 'key.jwk')
  writeFileSync(keyFile, JSON.stringify(identity.privateKey.export({ format: 'jwk' })), { mode: 0o600 })
  return new Writ({ environment: { WRIT_URL: writ.url, WRIT_IDENTITY: identity.spiffeId, WRIT_KEY_FILE: keyFile }, ...more })
}
