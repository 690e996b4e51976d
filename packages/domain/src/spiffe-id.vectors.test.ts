import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseSpiffeId } from './spiffe-id.ts'

const folder = process.env['WRIT_VECTORS'] ?? join(import.meta.dirname, '../../../../shared/vectors')
const file = join(folder, 'spiffe-ids', 'spiffe-ids.json')
const skip = existsSync(file) ? false : 'skipped: no vectors'

type Vector = { readonly id: string; readonly valid: boolean; readonly why?: string | null }

/** The reference project's words for each refusal. */
const KIND_OF: Readonly<Record<string, string>> = {
  'scheme is missing or invalid': 'wrong_scheme',
  'trust domain is missing': 'missing_trust_domain',
  'trust domain characters are limited to lowercase letters, numbers, dots, dashes, and underscores': 'bad_trust_domain_character',
  'path cannot have a trailing slash': 'trailing_slash',
  'path segment characters are limited to letters, numbers, dots, dashes, and underscores': 'bad_path_character',
  'path cannot contain dot segments': 'dot_segment',
  'path cannot contain empty segments': 'empty_segment',
}

test('every SPIFFE ID of the reference project is accepted or refused as it says', { skip }, (t) => {
  const vectors = JSON.parse(readFileSync(file, 'utf8')) as readonly Vector[]
  assert.equal(vectors.length, 276)
  for (const { id, valid } of vectors) {
    const parsed = parseSpiffeId(id)
    assert.equal(parsed.ok, valid, JSON.stringify(id))
    if (parsed.ok) assert.equal(parsed.value, id)
  }
  t.diagnostic(`${vectors.filter((one) => one.valid).length} accepted, ${vectors.filter((one) => !one.valid).length} refused`)
})

test('a refused SPIFFE ID of the reference project is refused for the reason that it gives', { skip }, () => {
  const vectors = JSON.parse(readFileSync(file, 'utf8')) as readonly Vector[]
  const explained = vectors.filter((one) => typeof one.why === 'string')
  assert.ok(explained.length >= 20)
  for (const { id, why } of explained) {
    const parsed = parseSpiffeId(id)
    const kind = parsed.ok ? 'accepted' : parsed.refusal.kind
    // Where a path both ends in a slash and has an empty segment, we name the slash and they the segment.
    assert.equal(id.endsWith('//') && kind === 'trailing_slash' ? 'empty_segment' : kind, KIND_OF[why!], JSON.stringify(id))
  }
})
