import type { Primitives } from '@writ/ledger/hash'

/** What the ledger's arithmetic still has to be told: the browser answers later, and the arithmetic asks at once. */
class Wanted extends Error {
  readonly key: string
  readonly answer: () => Promise<Uint8Array | boolean>

  constructor(key: string, answer: () => Promise<Uint8Array | boolean>) {
    super('to be computed')
    this.key = key
    this.answer = answer
  }
}

const textOf = (...parts: readonly Uint8Array[]): string => parts.map((part) => Array.from(part, (byte) => byte.toString(16).padStart(2, '0')).join('')).join(':')
const bytesOf = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(bytes)

/**
 * Carries out what the ledger computes with the browser's own SHA-256 and Ed25519. Each question that it asks ends the run; it is answered,
 * and the run begins anew with all answers so far. Good for proofs, whose questions are few.
 */
export async function withBrowserCrypto<T>(run: (primitives: Primitives) => T): Promise<T> {
  const answers = new Map<string, Uint8Array | boolean>()
  const known = <A extends Uint8Array | boolean>(key: string, answer: () => Promise<A>): A => {
    const found = answers.get(key)
    if (found === undefined) throw new Wanted(key, answer)
    return found as A
  }
  const primitives: Primitives = {
    sha256: (bytes) => known(`sha256:${textOf(bytes)}`, async () => new Uint8Array(await crypto.subtle.digest('SHA-256', bytesOf(bytes)))),
    verifyEd25519: (key, message, signature) => known(`ed25519:${textOf(key, message, signature)}`, async () => {
      const imported = await crypto.subtle.importKey('raw', bytesOf(key), 'Ed25519', false, ['verify'])
      return crypto.subtle.verify('Ed25519', imported, bytesOf(signature), bytesOf(message))
    }),
  }
  for (;;) {
    try {
      return run(primitives)
    } catch (wanted) {
      if (!(wanted instanceof Wanted)) throw wanted
      answers.set(wanted.key, await wanted.answer())
    }
  }
}

/** WebCrypto is for secure contexts alone, and Ed25519 in it is of 2025. */
export async function canVerify(): Promise<boolean> {
  if (globalThis.crypto?.subtle === undefined) return false
  return crypto.subtle.generateKey('Ed25519', false, ['sign', 'verify']).then(() => true, () => false)
}
