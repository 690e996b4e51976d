import assert from 'node:assert/strict'
import { test } from 'node:test'
import { leaseVariableNames, leaseVariables, secretVariableName } from './lease-variables.ts'

const AT = { host: 'db.example', port: 5432, database: 'shop', user: 'writ_1', password: 'secret', tls: true }

for (const { prefix, begins } of [{ prefix: 'PG', begins: 'PG' }, { prefix: 'SHOP', begins: 'SHOP_' }, { prefix: 'PGX', begins: 'PGX_' }]) {
  test(`a login under \`${prefix}\` stands in variables that begin with \`${begins}\`, and one of them is secret`, () => {
    const variables = leaseVariables(prefix, AT)
    assert.deepEqual(variables, {
      [`${begins}HOST`]: 'db.example', [`${begins}PORT`]: '5432', [`${begins}DATABASE`]: 'shop', [`${begins}USER`]: 'writ_1', [`${begins}PASSWORD`]: 'secret', [`${begins}SSLMODE`]: 'require',
    })
    assert.deepEqual(leaseVariableNames(prefix), Object.keys(variables))
    assert.deepEqual(Object.keys(variables).filter((name) => variables[name] === 'secret'), [secretVariableName(prefix)])
  })
}

test('a login without TLS says so, so that no client insists on it', () => {
  assert.equal(leaseVariables('PG', { ...AT, tls: false })['PGSSLMODE'], 'disable')
})
