import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { epochMs } from '@writ/domain/time'
import { testAuthority } from '../../test/fakes/x509.ts'
import { fixedClock } from '../../test/fakes/clock.ts'
import { HOSTILE_TEXTS } from '../../test/hostile-texts.ts'
import { mailbox, type MailboxOrder } from '../../test/mailbox.ts'
import { isSigned, postBox } from '../../test/post-box.ts'
import { mailer, type MailServer } from '../platform/mail.ts'
import { outbound } from '../platform/outbound.ts'
import { send, troubleOf } from './send.ts'
import type { NoticeAddress } from './address.ts'
import { linesOf, testTelling, type Telling } from './telling.ts'

const ORIGIN = 'https://writ.acme.example'
const APPROVAL = 'apr_01h455vb4pex5vsknk084sn02q'
const SECRET = Buffer.alloc(32, 7).toString('base64')
/** Whatever moves, hides or reorders other text; the end of a line is ours alone. */
const ACTIVE = /(?!\n)[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u

const posts = await postBox()
const plain = await mailbox()
const authority = testAuthority()
const certified = authority.certify({ names: ['localhost'] })
after(async () => { await Promise.all([posts.stop(), plain.stop()]) })

const here = (...ports: readonly number[]) => outbound({ allow: ports.flatMap((port) => [{ kind: 'host' as const, host: `127.0.0.1:${port}` }, { kind: 'host' as const, host: `localhost:${port}` }]), resolve: async () => ['127.0.0.1'] })
const needsFor = (...ports: readonly number[]) => {
  const out = here(...ports)
  return { outbound: out, sendMail: mailer(out), clock: fixedClock() }
}

const hostile = (text: string): Telling => ({
  id: 'ntc_01h455vb4pex5vsknk084sn02q', matter: 'approval.requested', at: epochMs(1_795_327_200_000), stream: 'non-human', event: 'evt_01h455vb4pex5vsknk084sn02q',
  identity: 'nhi_01h455vb4pex5vsknk084sn02q', task: 'tsk_01h455vb4pex5vsknk084sn02q', facts: { approval: APPROVAL, resource: text, list: [text] }, speaker: 'agent', said: [['intent', text]],
  link: `${ORIGIN}/approvals/${APPROVAL}`,
})
const PLAIN_LINES = linesOf(hostile('refund'))

/** The lines of a notice: as many as of a plain one, nothing in them acts, no link but ours, and what was said is marked and between quotes. */
function assertInert(lines: readonly string[], what: string): void {
  assert.equal(lines.length, PLAIN_LINES.length, what)
  const text = lines.join('\n')
  assert.doesNotMatch(text, ACTIVE, what)
  assert.deepEqual(text.match(/[a-z]+:\/\/\S*/gi), [`${ORIGIN}/approvals/${APPROVAL}`], what)
  assert.doesNotMatch(text, /@[\p{L}\p{N}]/u, what)
  assert.doesNotMatch(text, /(?:www|evil)\.[a-z]{2}/i, what)
  const said = lines.find((line) => line.startsWith('intent: '))!
  assert.match(said, /^intent: the agent's words, not verified: "(?:[^"\\]|\\.)*"$/u, what)
  assert.ok(text.length < 8000, `${text.length} characters`)
}

describe('whatever an agent says is read and nothing more', () => {
  test(`by mail (${HOSTILE_TEXTS.length} texts)`, async () => {
    const needs = needsFor(plain.port)
    const address: NoticeAddress = { kind: 'mail', from: 'writ@acme.example', to: ['maya@acme.example'], server: { host: '127.0.0.1', port: plain.port, security: 'none', username: null, password: null, ca: null } }
    // That server waits a while for whoever talks too early: side by side.
    const sent = await Promise.all(HOSTILE_TEXTS.map((text, n) => send(needs, address, { ...hostile(text), id: `ntc_${n}` })))
    for (const [n, text] of HOSTILE_TEXTS.entries()) {
      assert.ok(sent[n]!.ok, JSON.stringify([text, sent[n]]))
      const mail = plain.got.find((one) => one.headers.get('message-id') === `<ntc_${n}@acme.example>`)!
      assert.deepEqual(mail.to, ['maya@acme.example'])
      assert.equal(mail.headers.get('subject'), 'Writ: an approval is asked for (nhi_01h455vb4pex5vsknk084sn02q)')
      assert.equal(mail.headers.get('content-type'), 'text/plain; charset=utf-8')
      assert.deepEqual([...mail.headers.keys()].toSorted(), [...plain.got[0]!.headers.keys()].toSorted())
      assertInert(mail.text.replace(/\r?\n$/, '').split(/\r?\n/), text)
    }
    assert.equal(plain.got.length, HOSTILE_TEXTS.length)
  })

  test(`by a Slack-compatible webhook (${HOSTILE_TEXTS.length} texts)`, async () => {
    const needs = needsFor(posts.port)
    for (const text of HOSTILE_TEXTS) {
      const sent = await send(needs, { kind: 'slack', url: posts.urlOf('/slack'), ca: null }, hostile(text))
      assert.ok(sent.ok, JSON.stringify(sent))
      const message = JSON.parse(posts.on('/slack').at(-1)!.body) as Readonly<Record<string, unknown>> & { readonly text: string }
      assert.deepEqual(Object.keys(message).toSorted(), ['link_names', 'mrkdwn', 'parse', 'text', 'unfurl_links', 'unfurl_media'])
      assert.deepEqual([message['mrkdwn'], message['parse'], message['link_names'], message['unfurl_links']], [false, 'none', false, false])
      assert.doesNotMatch(message.text, /[<>]|&(?!(?:amp|lt|gt);)/)
      assertInert(message.text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&').split('\n'), text)
    }
  })

  test(`by a webhook (${HOSTILE_TEXTS.length} texts)`, async () => {
    const needs = needsFor(posts.port)
    for (const text of HOSTILE_TEXTS) {
      const sent = await send(needs, { kind: 'webhook', url: posts.urlOf('/hook'), ca: null, secret: SECRET }, hostile(text))
      assert.ok(sent.ok, JSON.stringify(sent))
      const post = posts.on('/hook').at(-1)!
      assert.ok(isSigned(SECRET, post))
      const { data } = JSON.parse(post.body) as { readonly data: { readonly link: string; readonly facts: Record<string, unknown>; readonly said: readonly { readonly by: string; readonly text: string }[] } }
      assert.equal(data.link, `${ORIGIN}/approvals/${APPROVAL}`)
      assert.equal(data.said[0]!.by, 'agent')
      assert.match(data.said[0]!.text, /^the agent's words, not verified: "(?:[^"\\]|\\.)*"$/u)
      for (const value of [...Object.values(data.facts).flat(), data.said[0]!.text]) assert.doesNotMatch(String(value), ACTIVE)
    }
  })
})

describe('mail', () => {
  const login = { username: 'writ', password: 'a secret of the mail server' }
  const server = (port: number, more: Partial<MailServer>): MailServer => ({ host: 'localhost', port, security: 'starttls', username: null, password: null, ca: authority.cert, ...more })
  const trySend = async (order: MailboxOrder, more: Partial<MailServer>, allowed = true) => {
    const box = await mailbox(order)
    const needs = needsFor(...(allowed ? [box.port] : []))
    const sent = await send(needs, { kind: 'mail', from: 'writ@acme.example', to: ['a@acme.example', 'b@acme.example'], server: server(box.port, more) }, testTelling('ntc_test', epochMs(0), ORIGIN))
    await box.stop()
    return { outcome: sent.ok ? 'sent' : troubleOf(sent.refusal), box }
  }

  for (const { when, order, more, expect, secure } of [
    { when: 'by STARTTLS with a login', order: { tls: certified, login }, more: login, expect: 'sent', secure: true },
    { when: 'by TLS from the first byte', order: { tls: { ...certified, fromTheFirstByte: true } }, more: { security: 'tls' as const }, expect: 'sent', secure: true },
    { when: 'to a server that can no STARTTLS: nothing is said in the open', order: {}, more: login, expect: /^mail_e(tls|socket|connection)/ },
    { when: 'with another authority than the server\'s', order: { tls: certified }, more: { ca: testAuthority().cert }, expect: /^mail_e/ },
    { when: 'with a password that is not right', order: { tls: certified, login }, more: { ...login, password: 'wrong' }, expect: /^mail_eauth_535$/ },
  ]) {
    test(`is ${expect === 'sent' ? 'sent' : 'not sent'} ${when}`, async () => {
      const { outcome, box } = await trySend(order, more)
      if (typeof expect === 'string') assert.equal(outcome, expect)
      else assert.match(outcome, expect)
      assert.deepEqual(box.got.map((mail) => [mail.secure, mail.to]), expect === 'sent' ? [[secure, ['a@acme.example', 'b@acme.example']]] : [])
    })
  }

  test('goes to no address that the rules do not allow, whatever the name says', async () => {
    const { outcome, box } = await trySend({}, { security: 'none' }, false)
    assert.equal(outcome, 'address_not_allowed')
    assert.equal(box.got.length, 0)
  })
})
