import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { SMTPServer } from 'smtp-server'
import type { Certified } from './fakes/x509.ts'

export type GotMail = { readonly from: string; readonly to: readonly string[]; readonly secure: boolean; readonly user: string | undefined; readonly headers: ReadonlyMap<string, string>; readonly text: string }

/** A mail server that keeps what it gets. */
export type Mailbox = {
  readonly port: number
  readonly got: readonly GotMail[]
  /** The next so many are refused for now. */
  refuse(times: number): void
  stop(): Promise<void>
}

export type MailboxOrder = { readonly tls?: Certified & { readonly fromTheFirstByte?: boolean }; readonly login?: { readonly username: string; readonly password: string } }

export async function mailbox({ tls, login }: MailboxOrder = {}): Promise<Mailbox> {
  const got: GotMail[] = []
  let refusals = 0
  const server = new SMTPServer({
    ...(tls === undefined ? { hideSTARTTLS: true } : { cert: tls.cert, key: tls.key, secure: tls.fromTheFirstByte === true }),
    authOptional: login === undefined, disableReverseLookup: true, logger: false, closeTimeout: 100,
    onAuth(auth, _session, done) {
      if (auth.username === login?.username && auth.password === login?.password) done(null, { user: auth.username })
      else done(new Error('no'))
    },
    onData(stream, session, done) {
      const pieces: Buffer[] = []
      stream.on('data', (piece: Buffer) => pieces.push(piece))
      stream.on('end', () => {
        if (refusals-- > 0) {
          done(Object.assign(new Error('later'), { responseCode: 451 }))
          return
        }
        const { mailFrom, rcptTo } = session.envelope
        got.push({ from: mailFrom === false ? '' : mailFrom.address, to: rcptTo.map(({ address }) => address), secure: session.secure, user: session.user as string | undefined, ...parsed(Buffer.concat(pieces).toString('latin1')) })
        done()
      })
    },
  })
  server.on('error', () => { /* a client that goes away */ })
  const listening = server.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  return {
    port: (listening.address() as AddressInfo).port, got,
    refuse(times) { refusals = times },
    stop: () => new Promise((resolve) => { server.close(() => { resolve() }) }),
  }
}

/** RFC 5322 §2.2, RFC 2045 §6.8: one part of plain text, as Writ sends it. */
function parsed(raw: string): Pick<GotMail, 'headers' | 'text'> {
  const at = raw.indexOf('\r\n\r\n')
  const lines = raw.slice(0, at).replaceAll(/\r\n[ \t]+/g, ' ').split('\r\n')
  const headers = new Map(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]))
  return { headers, text: Buffer.from(raw.slice(at + 4), headers.get('content-transfer-encoding') === 'base64' ? 'base64' : 'latin1').toString('utf8') }
}
