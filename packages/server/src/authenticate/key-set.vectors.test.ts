import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseKeySet, type KeySetRefusal } from './key-set.ts'

const folder = join(process.env['WRIT_VECTORS'] ?? join(import.meta.dirname, '../../../../../shared/vectors'), 'spiffe-ids', 'bundles')
const skip = existsSync(folder) ? false : 'skipped: no vectors'

/** The reference project's bundles; a number is how many keys for JWT-SVIDs the file holds. */
const EXPECTED: Readonly<Record<string, KeySetRefusal['kind'] | number>> = {
  jwks_valid_1: 1, jwks_valid_2: 2, jwks_missing_kid: 'kid_missing', spiffebundle_valid_1: 1, spiffebundle_valid_2: 6, spiffebundle_valid_with_wit: 2,
  spiffebundle_missing_kid: 'kid_missing', spiffebundle_no_keys: 'not_a_key_set', spiffebundle_multiple_x509: 1,
}

for (const [name, expected] of Object.entries(EXPECTED)) {
  test(`the reference project's bundle \`${name}\` is read as it says`, { skip }, () => {
    const parsed = parseKeySet(JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')), 'spiffe')
    assert.equal(parsed.ok ? parsed.value.keys.length : parsed.refusal.kind, expected)
  })
}
