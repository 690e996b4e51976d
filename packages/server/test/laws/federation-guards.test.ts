import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { AUDIENCE, federationStage, SUBJECT } from '../federation-stage.ts'
import { STORES } from '../store-of-writ.ts'

/** Past Writ, by somebody who has the database: the database itself refuses, and says by which rule. */
const REFUSED: readonly { readonly statement: string; readonly rule: string }[] = [
  { statement: "update issuer set url = 'https://evil.example'", rule: 'issuer_is_frozen' },
  { statement: "update issuer set kind = 'spiffe' where kind = 'oidc'", rule: 'issuer_is_frozen' },
  { statement: "update issuer set kind = 'saml'", rule: 'issuer_is_frozen' },
  { statement: 'update issuer set trusted_at = 1', rule: 'issuer_is_trusted_anew' },
  { statement: "update issuer set state = 'removed', trusted_at = 1", rule: 'issuer_is_trusted_anew' },
  { statement: "update issuer set key_source = 'anything'", rule: 'issuer_key_source_known' },
  { statement: "update issuer set key_source = 'url' where key_source = 'discovery'", rule: 'issuer_url_source_has_url' },
  { statement: "update issuer set key_source = 'inline' where key_source = 'discovery'", rule: 'issuer_inline_source_has_keys' },
  { statement: "update issuer set keys = '[]' where key_source = 'discovery'", rule: 'issuer_inline_source_has_keys' },
  { statement: "delete from issuer where kind = 'oidc'", rule: 'issuer_is_never_deleted' },
  { statement: "update binding set claims = '{\"sub\":\"anybody\"}'", rule: 'binding_is_frozen' },
  { statement: "update binding set audience = 'another'", rule: 'binding_is_frozen' },
  { statement: 'update binding set subject = null', rule: 'binding_is_frozen' },
  { statement: "update binding set issuer_id = (select id from issuer where kind = 'spiffe')", rule: 'binding_is_frozen' },
  { statement: "update binding set state = 'revoked'", rule: 'binding_revoked_has_time' },
  { statement: "update binding set state = 'open'", rule: 'binding_revoked_is_for_ever' },
  { statement: 'delete from binding', rule: 'binding_is_never_deleted' },
  { statement: "insert into binding select 'bnd_x', identity_id, issuer_id, audience, '{}', null, 'live', registered_at, null, null from binding", rule: 'binding_has_claims' },
  { statement: "insert into binding select 'bnd_x', identity_id, issuer_id, '', claims, null, 'live', registered_at, null, null from binding", rule: 'binding_has_audience' },
  { statement: "update evidence_key set thumbprint = 'another'", rule: 'evidence_key_is_frozen' },
  { statement: 'update evidence_key set expires_at = 0', rule: 'evidence_key_is_frozen' },
]

for (const store of STORES) {
  describe(`what stands behind a binding is guarded in the database, on ${store}`, () => {
    test('each rule refuses by its name, and changes nothing', async (t) => {
      const stage = await federationStage(t, { store })
      await stage.addBound([{ issuer: stage.issuer.url, audience: AUDIENCE, claims: { sub: SUBJECT } }])
      assert.match(await stage.show(stage.token()), /^nhi_/)
      const all = async (): Promise<string> => {
        const rows = []
        for (const table of ['issuer', 'binding', 'evidence_key']) rows.push(await stage.writ.sql(`select * from ${table} order by 1`))
        return JSON.stringify(rows)
      }
      const before = await all()
      for (const { statement, rule } of REFUSED) {
        await assert.rejects(stage.writ.sql(statement), (error: unknown) => {
          const { message, constraint } = error as { readonly message: string; readonly constraint?: string }
          assert.ok(constraint === rule || message.includes(rule), `${statement}: ${message}`)
          return true
        })
        assert.equal(await all(), before, statement)
      }
    })

    test('a server of the release before goes on beside it: what it trusts is a provider with discovery', async (t) => {
      const stage = await federationStage(t, { store })
      await stage.writ.sql("insert into issuer (id, url, state, trusted_at, removed_at) values ('iss_old', 'https://old.example', 'trusted', 1, null)")
      const [row] = await stage.writ.sql("select kind, key_source, keys_url, keys, ca, changed_at from issuer where id = 'iss_old'")
      assert.deepEqual({ ...row }, { kind: 'oidc', key_source: 'discovery', keys_url: null, keys: null, ca: null, changed_at: null })
    })
  })
}
