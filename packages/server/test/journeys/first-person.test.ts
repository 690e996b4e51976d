import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as operators from '@writ/contract/operators'
import * as people from '@writ/contract/people'
import * as registry from '@writ/contract/registry'
import { softAuthenticator } from '../authenticator.ts'
import { eventsOf, keptIn, refused } from '../kept.ts'
import { browser, comeByLink, originOf } from '../people.ts'
import { startWrit, type RunningWrit } from '../running-writ.ts'
import { STORES } from '../store-of-writ.ts'

const fileOf = (writ: RunningWrit): string => join(writ.folder, 'data', 'bootstrap')
const linkOf = (writ: RunningWrit): string => readFileSync(fileOf(writ), 'utf8').trim()
const codeOf = (link: string): string => link.split('#')[1]!

for (const store of STORES) {
  describe(`the first person, on ${store}`, () => {
    let writ: RunningWrit
    before(async () => { writ = await startWrit({ store, signsIn: false }) })
    after(async () => { await writ.stop() })

    test('the link of the server makes an administrator, or an operator, and whoever comes second gets nothing', async () => {
      const link = linkOf(writ)
      const stranger = browser(writ, '')
      const authenticator = softAuthenticator()
      const begun = await stranger(people.beginPersonByLink, { body: { code: codeOf(link), name: 'Maya' } })
      const response = authenticator.make(begun.reply.options, originOf(writ))
      const asPerson = () => stranger(people.registerPersonByLink, { body: { code: codeOf(link), name: 'Maya', response } })
      const asOperator = () => writ.stranger(registry.redeemBootstrap, { body: { code: codeOf(link), operator: 'maya' } })
      const got = await Promise.all([asPerson(), asOperator(), asPerson(), asOperator()])
      assert.deepEqual(got.map((one) => String(one.status)).toSorted(), ['201', '401', '401', '401'])
      for (const one of got.filter(({ status }) => status === 401)) assert.equal(one.problem.code, 'bad_bootstrap_code')
    })

    test('an operator may have a link for the first person, as long as nobody has come by one', async () => {
      await writ.kill('SIGTERM')
      await writ.restart({ WRIT_NEW_OPERATOR_LINK: 'for the test' })
      const key = (await writ.stranger(registry.redeemBootstrap, { body: { code: codeOf(linkOf(writ)), operator: 'li' } })).reply.key
      const hadPerson = (await keptIn(writ)).person === 1
      const offered = await writ.as(() => key)(people.offerFirstPerson)
      assert.equal(offered.status, hadPerson ? 409 : 201)
      assert.equal((await writ.stranger(people.offerFirstPerson)).status, 401)
      if (hadPerson) return
      const maya = await comeByLink(writ, offered.reply.link, 'Maya')
      assert.deepEqual((await maya.api(registry.whoAmI)).reply.roles, ['admin'])
      assert.equal((await writ.as(() => key)(registry.whoAmI)).status, 401)
      assert.equal((await maya.api(people.offerFirstPerson)).problem.code, 'not_the_first')
    })

    test('a key that came by a link ends with the first person, and one that an operator made stays', async () => {
      // Whoever was first above, an operator and then a person come by a link that whoever starts the server asks for.
      await writ.kill('SIGTERM')
      await writ.restart({ WRIT_NEW_OPERATOR_LINK: 'for the test' })
      const hadPerson = (await keptIn(writ)).person === 1
      const key = (await writ.stranger(registry.redeemBootstrap, { body: { code: codeOf(linkOf(writ)), operator: 'noor' } })).reply.key
      const byLink = writ.as(() => key)
      const madeKey = (await byLink(operators.addOperator, { body: { name: 'ci' } })).reply.key
      const byOperator = writ.as(() => madeKey)
      await writ.kill('SIGTERM')
      await writ.restart({ WRIT_NEW_OPERATOR_LINK: 'for the test' })
      const link = linkOf(writ)
      const maya = await comeByLink(writ, link, 'Maya')
      const { reply } = await maya.api(registry.whoAmI)
      assert.deepEqual([reply.kind, reply.name, reply.roles, reply.passkeys], ['person', 'Maya', ['admin'], 1])
      assert.equal((await byLink(registry.whoAmI)).status, hadPerson ? 200 : 401)
      assert.equal((await byOperator(registry.whoAmI)).status, 200)
      await refused(writ, () => writ.stranger(registry.redeemBootstrap, { body: { code: codeOf(link), operator: 'again' } }), { status: 401, code: 'bad_bootstrap_code' })
      await refused(writ, () => browser(writ, '')(people.beginPersonByLink, { body: { code: codeOf(link), name: 'again' } }), { status: 401, code: 'bad_bootstrap_code' })
      const told = (await eventsOf({ ...writ, operator: maya.api }, 'human')).map((one) => one.type)
      const arrival = ['person.registered', 'role.given', 'passkey.enrolled', 'person.signed_in']
      assert.deepEqual(told.slice(told.lastIndexOf('person.registered')).slice(0, 4), arrival)
      if (!hadPerson) assert.ok(told.slice(told.lastIndexOf('person.registered')).includes('operator.removed'))
      // From here on no start offers a link of itself.
      await writ.kill('SIGTERM')
      await writ.restart({ WRIT_NEW_OPERATOR_LINK: '' })
      assert.equal(existsSync(fileOf(writ)), false)
      assert.equal((await maya.api(registry.whoAmI)).status, 200, 'a sign-in outlives the server')

      await refused(writ, () => byOperator(people.invitePerson, { body: { name: 'Noor', roles: ['reviewer'], reason: 'x' } }), { status: 403, code: 'people_only' })
      const offered = await maya.api(people.invitePerson, { body: { name: 'Noor', email: 'noor@acme.example', roles: ['reviewer', 'viewer'], reason: 'she reviews' } })
      assert.equal(offered.status, 201, offered.text)
      await refused(writ, () => writ.stranger(registry.redeemBootstrap, { body: { code: offered.reply.code, operator: 'noor' } }), { status: 401, code: 'bad_bootstrap_code' })
      const noor = await comeByLink(writ, offered.reply.link, 'Mallory')
      assert.deepEqual([(await noor.api(registry.whoAmI)).reply].map(({ name, email, roles }) => ({ name, email, roles })), [{ name: 'Noor', email: 'noor@acme.example', roles: ['viewer', 'reviewer'] }])
      await refused(writ, () => browser(writ, '')(people.beginPersonByLink, { body: { code: offered.reply.code, name: 'again' } }), { status: 401, code: 'bad_bootstrap_code' })
      await refused(writ, () => noor.api(people.invitePerson, { body: { name: 'Eve', roles: ['admin'], reason: 'x' } }), { status: 403, code: 'role_needed' })
      const listed = (await maya.api(people.listPeople)).reply.people
      assert.ok(listed.some((one) => one.name === 'Noor' && one.issuer === 'writ'))
    })
  })
}
