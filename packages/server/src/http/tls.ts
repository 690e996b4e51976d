import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'
import { readFileSync, statSync, unwatchFile, watchFile } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { Logger } from 'pino'
import type { Clock } from '../platform/clock.ts'

export type TlsFiles = { readonly certificateFile: string; readonly keyFile: string }

/** What a TLS server shows and proves: the certificate with its chain, and its key, both in PEM. */
export type TlsIdentity = { readonly cert: string; readonly key: string; readonly endsAt: Date }

/** Which setting is wrong, and the way out. */
export type TlsRefusal = { readonly setting: 'WRIT_TLS_CERT' | 'WRIT_TLS_KEY'; readonly message: string }

/** RFC 9325 §3.1.1: nothing older than TLS 1.2. */
export const OLDEST_TLS = 'TLSv1.2'

/** How long a certificate that was renewed on the disk waits for us. */
const LOOK_EVERY_MS = 2000
const OPEN_TO_OTHERS = 0o077

export function readTlsIdentity({ certificateFile, keyFile }: TlsFiles, clock: Clock): Outcome<TlsIdentity, TlsRefusal> {
  const cert = readText(certificateFile)
  if (!cert.ok) return refuse({ setting: 'WRIT_TLS_CERT', message: `\`${certificateFile}\` can not be read (${cert.refusal})` })
  const key = readText(keyFile)
  if (!key.ok) return refuse({ setting: 'WRIT_TLS_KEY', message: `\`${keyFile}\` can not be read (${key.refusal})` })
  const mode = statSync(keyFile).mode & 0o777
  if ((mode & OPEN_TO_OTHERS) !== 0) {
    return refuse({ setting: 'WRIT_TLS_KEY', message: `\`${keyFile}\` is open to other users (mode ${mode.toString(8).padStart(3, '0')}): run \`chmod 600 ${keyFile}\`` })
  }
  const certificate = parsed(() => new X509Certificate(cert.value))
  if (certificate === undefined) return refuse({ setting: 'WRIT_TLS_CERT', message: `\`${certificateFile}\` does not hold a certificate in PEM` })
  const privateKey = parsed(() => createPrivateKey(key.value))
  if (privateKey === undefined) return refuse({ setting: 'WRIT_TLS_KEY', message: `\`${keyFile}\` does not hold a private key in PEM without a passphrase` })
  if (!certificate.checkPrivateKey(privateKey)) return refuse({ setting: 'WRIT_TLS_KEY', message: `\`${keyFile}\` is not the key of the certificate in \`${certificateFile}\`` })
  if (certificate.validToDate.getTime() <= clock.now()) {
    return refuse({ setting: 'WRIT_TLS_CERT', message: `\`${certificateFile}\` has ended on ${certificate.validToDate.toISOString().slice(0, 10)}: renew it` })
  }
  const identity = { cert: cert.value, key: key.value, endsAt: certificate.validToDate }
  if (parsed(() => createSecureContext({ cert: identity.cert, key: identity.key, minVersion: OLDEST_TLS })) === undefined) {
    return refuse({ setting: 'WRIT_TLS_CERT', message: `\`${certificateFile}\` can not be used for TLS (${isWeak(privateKey) ? 'its key is too short' : 'look at its chain'})` })
  }
  return ok(identity)
}

/**
 * Hands over what the files hold whenever they change: new connections show it, those that are open go on. Half a renewal, where the key is
 * still the old one, is none: the server goes on with what it has until the other file comes too.
 */
export function watchTlsIdentity(files: TlsFiles, needs: { readonly clock: Clock; readonly log: Logger; readonly use: (identity: TlsIdentity) => void }): () => void {
  const look = (): void => {
    const found = readTlsIdentity(files, needs.clock)
    if (!found.ok) {
      needs.log.warn(found.refusal, 'the certificate on the disk can not be used; the one in use stays')
      return
    }
    needs.use(found.value)
    needs.log.info({ ends_at: found.value.endsAt.toISOString() }, 'the certificate was renewed')
  }
  const watched = [files.certificateFile, files.keyFile]
  for (const file of watched) watchFile(file, { interval: LOOK_EVERY_MS, persistent: false }, look)
  return () => { for (const file of watched) unwatchFile(file, look) }
}

function readText(file: string): Outcome<string, string> {
  try {
    return ok(readFileSync(file, 'utf8'))
  } catch (error) {
    return refuse(error instanceof Error && 'code' in error ? String(error.code) : 'unreadable')
  }
}

function parsed<T>(parse: () => T): T | undefined {
  try {
    return parse()
  } catch {
    return undefined // what it is not is all that there is to say: the parser's words quote the file
  }
}

const isWeak = ({ asymmetricKeyDetails: details }: KeyObject): boolean => details?.modulusLength !== undefined && details.modulusLength < 2048
