import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { after, before, beforeEach, describe, test } from 'node:test'
import * as people from '@writ/contract/people'
import * as registry from '@writ/contract/registry'
import { signInWays } from '@writ/contract/sign-in'
import { eventually } from '../eventually.ts'
import { eventsOf, inStoreOf, onEachStore } from '../kept.ts'
import { redirectBrowser, startOpenIdProvider, type Landed, type OpenIdProvider, type RedirectBrowser } from '../openid-provider.ts'
import { signInAs } from '../people.ts'
import { startWrit, type RunningWrit } from '../running-writ.ts'

const idp = await startOpenIdProvider()
after(() => idp.stop())

const MAYA = { sub: 'maya-1', name: 'Maya', email: 'Maya@acme.example', email_verified: true, groups: ['finance', 'admins'] }
const consoleOf = (writ: RunningWrit): string => `http://localhost:${new URL(writ.url).port}`
const isCallback = (url: URL): boolean => url.pathname === '/sign-in/oidc/callback'
const begin = (writ: RunningWrit, returnTo = '/approvals/apr_1?a=b#c'): string => `${consoleOf(writ)}/sign-in/oidc?return_to=${encodeURIComponent(returnTo)}`
const problemAt = ({ url }: Landed): string | null => (url.pathname === '/sign-in' ? url.searchParams.get('problem') : `no problem at ${url.href}`)
const isSignedIn = (browser: RedirectBrowser): boolean => browser.cookies.get('localhost')?.has('__Host-writ') === true
const countOf = async (writ: RunningWrit, table: string): Promise<number> => Number((await inStoreOf(writ, `select count(*) as many from ${table}`))[0]!['many'])

/** It leads to this problem, and nobody was signed in. */
async function comesToNothing(writ: RunningWrit, problem: string, ride: (browser: RedirectBrowser) => Promise<Landed>): Promise<void> {
  const [browser, before] = [redirectBrowser(), await countOf(writ, 'sign_in')]
  const landed = await ride(browser)
  assert.equal(problemAt(landed), problem)
  assert.ok(!isSignedIn(browser))
  assert.equal(await countOf(writ, 'sign_in'), before)
}

beforeEach(() => { Object.assign(idp, { person: MAYA, declines: false, tamper: undefined }) })

onEachStore('sign-in by the provider', (writ) => {
  test('leads back to where it was begun, with the provider\'s name, verified address and groups, and every tie is there', async () => {
    const browser = redirectBrowser()
    const landed = await browser.go(begin(writ()))
    assert.equal(landed.url.href, `${consoleOf(writ())}/approvals/apr_1?a=b#c`)
    const asked = landed.steps.find((url) => url.origin === idp.issuer)!.searchParams
    assert.deepEqual([asked.get('response_type'), asked.get('code_challenge_method'), asked.get('redirect_uri'), asked.get('client_id'), asked.get('scope')],
      ['code', 'S256', `${consoleOf(writ())}/sign-in/oidc/callback`, 'writ', 'openid profile email groups'])
    for (const name of ['state', 'nonce', 'code_challenge']) assert.match(asked.get(name)!, /^[\w-]{43}$/)
    assert.equal(landed.steps.find(isCallback)!.searchParams.get('iss'), idp.issuer)
    const cookie = `__Host-writ=${browser.cookies.get('localhost')!.get('__Host-writ')!}`
    const me = await writ().stranger(registry.whoAmI, { headers: { cookie } })
    assert.deepEqual([me.status, me.reply.kind, me.reply.name, me.reply.email, me.reply.groups], [200, 'person', 'Maya', 'maya@acme.example', ['admins', 'finance']])
    assert.ok(!browser.cookies.get('localhost')!.has('__Host-writ-oidc'), 'what belonged to the attempt is gone')
    assert.equal(await countOf(writ(), 'provider_sign_in'), 0)
    const told = (await eventsOf(writ(), 'human')).filter(({ actor }) => actor.id === me.reply.id).map(({ type }) => type)
    assert.deepEqual(told, ['person.registered', 'person.signed_in'])
    assert.ok(!writ().log().includes(landed.steps.find(isCallback)!.searchParams.get('code')!), 'no code stands in the log')
  })

  test('whoever is blocked here is sent back, whatever their provider says, and nothing of what it says is taken over', async () => {
    idp.person = { ...MAYA, sub: 'gone' }
    const first = redirectBrowser()
    await first.go(begin(writ()))
    const { reply: me } = await writ().stranger(registry.whoAmI, { headers: { cookie: `__Host-writ=${first.cookies.get('localhost')!.get('__Host-writ')!}` } })
    const blocked = await writ().operator(people.blockPerson, { parameters: { id: me.id }, body: { reason: 'left' } })
    assert.equal(blocked.status, 200, blocked.text)
    idp.person = { ...MAYA, sub: 'gone', name: 'Mallory' }
    await comesToNothing(writ(), 'blocked', (browser) => browser.go(begin(writ())))
    assert.equal((await writ().operator(people.showPerson, { parameters: { id: me.id } })).reply.name, 'Maya')
  })

  test('the same person comes back as the same person, with the roles of the groups of now', async () => {
    const rule = await writ().operator(people.setRoleRule, { body: { group: 'finance', roles: ['reviewer'], reason: 'they decide' } })
    assert.equal(rule.status, 200, rule.text)
    const rolesWith = async (groups: readonly string[]) => {
      idp.person = { ...MAYA, groups }
      const browser = redirectBrowser()
      await browser.go(begin(writ()))
      return (await writ().stranger(registry.whoAmI, { headers: { cookie: `__Host-writ=${browser.cookies.get('localhost')!.get('__Host-writ')!}` } })).reply
    }
    const first = await rolesWith(['finance'])
    const second = await rolesWith([])
    assert.deepEqual([first.roles, second.roles, first.id === second.id], [['reviewer'], [], true])
  })

  test('an answer works once, also when it comes many times at once', async () => {
    const browser = redirectBrowser()
    const { url } = await browser.go(begin(writ()), isCallback)
    const before = await countOf(writ(), 'sign_in')
    const cookie = `__Host-writ-oidc=${browser.cookies.get('localhost')!.get('__Host-writ-oidc')!}`
    const all = await Promise.all(Array.from({ length: 8 }, () => fetch(url, { redirect: 'manual', headers: { cookie } })))
    const went = all.map((one) => new URL(one.headers.get('location')!).pathname)
    assert.equal(went.filter((path) => path === '/sign-in').length, 7)
    assert.equal(await countOf(writ(), 'sign_in'), before + 1)
    assert.equal(problemAt(await browser.go(url.href)), 'start_again', 'replayed later')
  })

  test('an answer is good for nobody but the browser that set out, and stays good for that one', async () => {
    const victim = redirectBrowser()
    const { url } = await victim.go(begin(writ()), isCallback)
    await comesToNothing(writ(), 'start_again', (browser) => browser.go(url.href))
    await comesToNothing(writ(), 'start_again', async (browser) => {
      await browser.go(begin(writ()), isCallback)
      return browser.go(url.href)
    })
    await victim.go(url.href)
    assert.ok(isSignedIn(victim))
  })

  test('an attempt that took too long is over', async () => {
    await comesToNothing(writ(), 'start_again', async (browser) => {
      const { url } = await browser.go(begin(writ()), isCallback)
      const [state, secret] = [`${'x'.repeat(42)}${Math.floor(Math.random() * 10)}`, browser.cookies.get('localhost')!.get('__Host-writ-oidc')!]
      const hash = (text: string): Buffer => createHash('sha256').update(text).digest()
      await inStoreOf(writ(), 'insert into provider_sign_in (state_hash, browser_hash, return_to, begun_at, ends_at) values ($1, $2, $3, $4, $5) returning ends_at', [hash(state), hash(secret), '/', 1, Date.now() - 1])
      url.searchParams.set('state', state)
      return browser.go(url.href)
    })
  })

  test('the store takes no way back that leads to another host', async () => {
    const hash = createHash('sha256').update('x').digest()
    await assert.rejects(inStoreOf(writ(), 'insert into provider_sign_in (state_hash, browser_hash, return_to, begun_at, ends_at) values ($1, $1, $2, $3, $4) returning ends_at', [hash, '//evil.example', 1, 2]), /returns_to_a_path/)
  })
}, { env: idp.env })

describe('sign-in by a provider that is not as it should be', () => {
  let running: RunningWrit
  const writ = (): RunningWrit => running
  before(async () => {
    await idp.down()
    running = await startWrit({ env: idp.env })
  })
  after(() => running.stop())
  const restart = async (env?: NodeJS.ProcessEnv): Promise<void> => {
    await running.kill('SIGTERM')
    await running.restart(env)
  }
  const ride = (change: (url: URL) => void) => async (browser: RedirectBrowser): Promise<Landed> => {
    const { url } = await browser.go(begin(writ()), isCallback)
    change(url)
    return browser.go(url.href)
  }
  test('the server starts while the provider is down, says so on the page, and asks it again once it is up', async () => {
    assert.deepEqual((await running.stranger(signInWays)).reply.provider, { host: new URL(idp.issuer).host, state: 'not_asked' })
    const away = await redirectBrowser().go(begin(running))
    const root = await signInAs(running, { roles: ['admin'] })
    const { options } = (await running.stranger(people.beginPasskeySignIn)).reply
    const byPasskey = await running.stranger(people.signInWithPasskey, { body: { response: root.authenticator.sign(options, root.origin) } })
    assert.equal(byPasskey.status, 201, 'the passkey of the administrator still works')
    assert.equal(away.url.href, `${consoleOf(running)}/sign-in?problem=provider_unreachable&return_to=%2Fapprovals%2Fapr_1%3Fa%3Db%23c`)
    assert.equal((await running.stranger(signInWays)).reply.provider!.state, 'unreachable')
    await idp.up()
    await eventually('a sign-in', async () => {
      const browser = redirectBrowser()
      await browser.go(begin(running))
      return isSignedIn(browser) ? true : undefined
    })
    assert.equal((await running.stranger(signInWays)).reply.provider!.state, 'ready')
  })

  for (const { what, problem, change } of [
    { what: 'the state is another one', problem: 'start_again', change: (url: URL) => { url.searchParams.set('state', 'y'.repeat(43)) } },
    { what: 'there is no state', problem: 'start_again', change: (url: URL) => { url.searchParams.delete('state') } },
    { what: 'the state stands twice', problem: 'start_again', change: (url: URL) => { url.searchParams.append('state', 'x') } },
    { what: 'the issuer is missing', problem: 'provider_misbehaved', change: (url: URL) => { url.searchParams.delete('iss') } },
    { what: 'the issuer is another one', problem: 'provider_misbehaved', change: (url: URL) => { url.searchParams.set('iss', 'https://evil.example') } },
    { what: 'the code stands twice', problem: 'provider_misbehaved', change: (url: URL) => { url.searchParams.append('code', 'x') } },
    { what: 'the code is another one', problem: 'provider_refused', change: (url: URL) => { url.searchParams.set('code', 'x'.repeat(43)) } },
    { what: 'the provider can not answer', problem: 'provider_unreachable', change: (url: URL) => { url.searchParams.delete('code'); url.searchParams.set('error', 'temporarily_unavailable') } },
    { what: 'the provider says what nobody knows', problem: 'provider_refused', change: (url: URL) => { url.searchParams.delete('code'); url.searchParams.set('error', '<b>evil</b>') } },
  ] as const) test(`nobody is signed in when ${what}`, () => comesToNothing(writ(), problem, ride(change)))

  const NOW = Math.floor(Date.now() / 1000)
  for (const { what, problem = 'provider_misbehaved', claims } of [
    { what: 'is for another attempt', claims: { nonce: 'n'.repeat(43) } },
    { what: 'has no nonce', claims: { nonce: undefined } },
    { what: 'has ended', claims: { exp: NOW - 120 } },
    { what: 'is for another client', claims: { aud: 'somebody-else' } },
    { what: 'is from another issuer', claims: { iss: 'https://evil.example' } },
    { what: 'is about nobody', claims: { sub: undefined } },
    { what: 'is about somebody else than the provider says elsewhere', claims: { sub: 'mallory' } },
  ] as const satisfies readonly { readonly what: string; readonly problem?: string; readonly claims: object }[] as readonly { what: string; problem?: string; claims: object }[]) {
    test(`nobody is signed in when the ID token ${what}`, async () => {
      idp.tamper = (path, { body }) => (path === '/token' ? idp.resigned(body, (own) => ({ ...own, ...claims })) : undefined)
      await comesToNothing(writ(), problem, (browser) => browser.go(begin(writ())))
    })
  }

  test('an ID token that says everything is enough, and the provider\'s word for one group is a group', async () => {
    const before = idp.asked.get('/me')
    idp.tamper = (path, { body }) => (path === '/token' ? idp.resigned(body, (own) => ({ ...own, name: 'Mx\u202eA', email: MAYA.email, email_verified: true, groups: 'finance' })) : undefined)
    const browser = redirectBrowser()
    await browser.go(begin(writ()))
    const { reply } = await writ().stranger(registry.whoAmI, { headers: { cookie: `__Host-writ=${browser.cookies.get('localhost')!.get('__Host-writ')!}` } })
    assert.deepEqual([reply.name, reply.email, reply.groups, idp.asked.get('/me')], ['Mx A', 'maya@acme.example', ['finance'], before])
  })

  for (const { what, problem, tamper } of [
    { what: 'the ID token is signed by nobody that is known', problem: 'provider_misbehaved', tamper: (path, { body }) => { if (path === '/token') body['id_token'] = `${String(body['id_token']).slice(0, -8)}AAAAAAAA` } },
    { what: 'there is no ID token', problem: 'provider_misbehaved', tamper: (path, { body }) => { if (path === '/token') delete body['id_token'] } },
    { what: 'the token endpoint fails', problem: 'provider_unreachable', tamper: (path, answered) => { if (path === '/token') Object.assign(answered, { status: 503, body: { error: 'server_error' } }) } },
    { what: 'the UserInfo endpoint fails', problem: 'provider_unreachable', tamper: (path, answered) => { if (path === '/me') answered.status = 500 } },
  ] as readonly { what: string; problem: string; tamper: NonNullable<OpenIdProvider['tamper']> }[]) {
    test(`nobody is signed in when ${what}`, async () => {
      idp.tamper = tamper
      await comesToNothing(writ(), problem, (browser) => browser.go(begin(writ())))
    })
  }

  test('whoever says no there is told so, and can begin again', async () => {
    idp.declines = true
    await comesToNothing(writ(), 'declined', (browser) => browser.go(begin(writ())))
  })

  for (const { what, said, email } of [
    { what: 'has not been verified', said: { email_verified: false }, email: null },
    { what: 'is said to be verified in a word', said: { email_verified: 'true' }, email: null },
    { what: 'is no address', said: { email: 'a b@c' }, email: null },
    { what: 'has been verified', said: {}, email: 'maya@acme.example' },
  ]) {
    test(`an address that ${what} is ${email === null ? 'not taken for theirs' : 'theirs'}`, async () => {
      idp.person = { ...MAYA, sub: `of-${what}`, ...said }
      const browser = redirectBrowser()
      await browser.go(begin(writ()))
      const me = await writ().stranger(registry.whoAmI, { headers: { cookie: `__Host-writ=${browser.cookies.get('localhost')!.get('__Host-writ')!}` } })
      assert.equal(me.reply.email, email)
    })
  }

  for (const { to, leads } of [
    { to: 'https://evil.example/', leads: '/' }, { to: '//evil.example', leads: '/' }, { to: '/\\evil.example', leads: '/' }, { to: '/.//evil.example', leads: '/' }, { to: '/%2e//evil.example', leads: '/' },
    { to: '/\t/evil.example', leads: '/' }, { to: 'javascript:alert(1)', leads: '/' }, { to: '/sign-in/oidc', leads: '/' }, { to: '/tasks/../audit?x=1', leads: '/audit?x=1' }, { to: '/@evil.example', leads: '/@evil.example' },
  ]) {
    test(`a way back to ${JSON.stringify(to)} leads to ${leads}`, async () => {
      const landed = await redirectBrowser().go(begin(writ(), to))
      assert.equal(landed.url.href, `${consoleOf(writ())}${leads}`)
    })
  }

  test('whoever comes by another name of this machine goes on by the one that the provider knows', async () => {
    const browser = redirectBrowser()
    const landed = await browser.go(begin(writ()).replace('localhost', '127.0.0.1'))
    assert.equal(landed.url.origin, consoleOf(writ()))
    assert.ok(isSignedIn(browser))
  })

  test('a secret that can not be read any more is the administrator\'s to mend', async () => {
    chmodSync(idp.secretFile, 0o644)
    try {
      await comesToNothing(writ(), 'not_set_up', (browser) => browser.go(begin(writ())))
    } finally {
      chmodSync(idp.secretFile, 0o600)
    }
    assert.match(writ().log(), /chmod 600/)
  })

  test('a provider that is asked for a private address is not asked', async () => {
    idp.tamper = (path, { body }) => { if (path.includes('openid-configuration')) body['token_endpoint'] = 'http://169.254.169.254/token' }
    await restart()
    await comesToNothing(writ(), 'provider_unreachable', (browser) => browser.go(begin(writ())))
    assert.match(writ().log(), /"because":"(?:bad_url|address_not_allowed)"/)
  })

  test('a provider that calls itself otherwise is not taken', async () => {
    idp.tamper = (path, { body }) => { if (path.includes('openid-configuration')) body['issuer'] = 'https://evil.example' }
    await restart()
    await comesToNothing(writ(), 'provider_misbehaved', (browser) => browser.go(begin(writ())))
  })

  test('one address begins only so many in a minute', async () => {
    await restart({ WRIT_SIGN_INS_PER_MINUTE: '2' })
    for (let i = 0; i < 2; i++) await redirectBrowser().go(begin(writ()), isCallback)
    await comesToNothing(writ(), 'too_many', (browser) => browser.go(begin(writ())))
  })

  test('a server that can not read the secret does not start, and one without a provider says that it has none', async () => {
    const secret = readFileSync(idp.secretFile, 'utf8').trim()
    assert.ok(![secret, encodeURIComponent(secret)].some((one) => writ().log().includes(one)), 'the client\'s secret stands in no log')
    writeFileSync(idp.secretFile, '', { mode: 0o600 })
    await assert.rejects(startWrit({ env: idp.env }), /WRIT_OIDC_CLIENT_SECRET_FILE .* does not hold a secret/)
    await restart({ WRIT_OIDC_ISSUER: '', WRIT_OIDC_CLIENT_ID: '', WRIT_OIDC_CLIENT_SECRET_FILE: '', WRIT_OIDC_SCOPES: '' })
    assert.equal((await writ().stranger(signInWays)).reply.provider, null)
    await comesToNothing(writ(), 'not_set_up', (browser) => browser.go(begin(writ())))
  })
})
