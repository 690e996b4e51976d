import type { MailSecurity } from '@writ/domain/notice'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { once } from 'node:events'
import { connect, isIP, type Socket } from 'node:net'
import { createTransport } from 'nodemailer'
import type { OutboundJudge, OutboundRefusal } from './outbound.ts'

export type MailServer = {
  readonly host: string
  readonly port: number
  readonly security: MailSecurity
  readonly username: string | null
  readonly password: string | null
  /** Certification authorities in PEM, in place of those that everybody trusts. */
  readonly ca: string | null
}

/** Plain text alone: nothing in it can be anything but read. */
export type Mail = { readonly from: string; readonly to: readonly string[]; readonly subject: string; readonly text: string; /** Without brackets. */ readonly messageId: string }

/** `code` is a word of the library's or a number of the protocol's, never what the other side wrote. */
export type MailRefusal = OutboundRefusal | { readonly kind: 'mail'; readonly code: string }

export type SendMail = (server: MailServer, mail: Mail) => Promise<Outcome<null, MailRefusal>>

const CONNECT_MS = 5000
const ANSWER_MS = 10_000
/** The whole conversation: a server that says a word now and then holds nothing up. */
export const LONGEST_MAIL_MS = 25_000
const MOST_ADDRESSES = 3

/** As a URL, so that the rules for addresses are the very same. */
export const mailServerUrl = ({ host, port }: Pick<MailServer, 'host' | 'port'>): string => `https://${host}:${port}/`

/** Sends by SMTP (RFC 5321) to an address that was judged, and to no other: the name is not looked up again. */
export const mailer = (outbound: OutboundJudge): SendMail => async (server, mail) => {
  const addresses = await outbound.judge(mailServerUrl(server))
  if (!addresses.ok) return addresses
  const { host, port, security, username, password, ca } = server
  const name = host.replaceAll(/^\[|\]$/g, '')
  const socket = await connected(addresses.value, port)
  if (!socket.ok) return socket
  const timer = setTimeout(() => { socket.value.destroy() }, LONGEST_MAIL_MS)
  const transport = createTransport({
    host: name, port, secure: security === 'tls', requireTLS: security === 'starttls', ignoreTLS: security === 'none',
    // Nobody looks the name up again: this is the line.
    getSocket: (_options, use) => { use(null, { connection: socket.value }) },
    tls: { minVersion: 'TLSv1.2', rejectUnauthorized: true, ...(isIP(name) === 0 ? { servername: name } : {}), ...(ca === null ? {} : { ca }) },
    ...(username === null || password === null ? {} : { auth: { user: username, pass: password } }),
    greetingTimeout: CONNECT_MS, socketTimeout: ANSWER_MS, disableFileAccess: true, disableUrlAccess: true,
  })
  try {
    await transport.sendMail({
      from: mail.from, to: [...mail.to], subject: mail.subject, text: mail.text, textEncoding: 'base64', messageId: `<${mail.messageId}>`, headers: { 'Auto-Submitted': 'auto-generated' },
    })
    return ok(null)
  } catch (cause) {
    return refuse({ kind: 'mail', code: codeOf(cause) })
  } finally {
    clearTimeout(timer)
    transport.close()
    socket.value.destroy()
  }
}

/** To the first of these that answers. */
async function connected(addresses: readonly string[], port: number): Promise<Outcome<Socket, MailRefusal>> {
  let code = 'no_address'
  for (const host of addresses.slice(0, MOST_ADDRESSES)) {
    const socket = connect({ host, port })
    // Whoever uses it hears of it too; until then nobody would.
    socket.on('error', () => undefined)
    try {
      await once(socket, 'connect', { signal: AbortSignal.timeout(CONNECT_MS) })
      return ok(socket)
    } catch (cause) {
      socket.destroy()
      code = (cause as Error).name === 'AbortError' ? 'timeout' : wordOf((cause as NodeJS.ErrnoException).code)
    }
  }
  return refuse({ kind: 'no_connection', code })
}

function codeOf(cause: unknown): string {
  const { code, responseCode } = cause as { readonly code?: unknown; readonly responseCode?: unknown }
  return typeof responseCode === 'number' ? `${wordOf(code)}_${responseCode}` : wordOf(code)
}

const wordOf = (code: unknown): string => (typeof code === 'string' && /^[A-Z_]{1,40}$/.test(code) ? code.toLowerCase() : 'failed')
