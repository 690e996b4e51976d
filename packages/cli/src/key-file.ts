import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose'
import { keysFolder, readPrivateFile, writePrivateFile } from './config.ts'
import { CommandFailure, EXIT, usage } from './exit.ts'

/** RFC 7518 §6.2.2, §6.3.2, §6.4: the members that only a private or a symmetric key has. */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'] as const

/** A private key as a JWK, from a file that nobody else may read. What is wrong with it is said without quoting it. */
export async function readPrivateKey(path: string): Promise<JWK> {
  const text = await readPrivateFile(path)
  if (text === undefined) throw new CommandFailure(EXIT.bad_configuration, `there is no key file \`${path}\``, { hints: ['`writ identity key add` makes a new key'] })
  const key = parseJwk(text)
  if (key === undefined || typeof key.d !== 'string') {
    throw new CommandFailure(EXIT.bad_configuration, `\`${path}\` is not a private key in JWK form`, { hints: ['a private JWK is one JSON object with the member `d` (RFC 7517 §4, RFC 7518 §6)'] })
  }
  return key
}

/** The public key in `text`; a private one is refused, so that none is ever sent. */
export function parsePublicKey(text: string, path: string): JWK {
  const key = parseJwk(text)
  if (key === undefined) throw usage(`\`${path}\` is not a key in JWK form (one JSON object with \`kty\`)`)
  if (PRIVATE_MEMBERS.some((member) => member in key)) throw usage(`\`${path}\` holds a private key; only a public one leaves this machine`, 'give the file with the public half')
  return key
}

function parseJwk(text: string): JWK | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && typeof (value as JWK).kty === 'string' ? (value as JWK) : undefined
  } catch {
    return undefined
  }
}

export type KeptKey = { readonly path: string; readonly publicKey: Record<string, string>; readonly forget: () => Promise<void> }

/** Makes an ES256 key pair and keeps its private half in `keys/<name>.jwk`, never over a file that is there. */
export async function makeKey(name: string, environment: NodeJS.ProcessEnv, asked?: string): Promise<KeptKey> {
  const pair = await generateKeyPair('ES256', { extractable: true })
  const privateKey = { ...(await exportJWK(pair.privateKey)), alg: 'ES256' }
  const publicKey = { ...(await exportJWK(pair.publicKey)), alg: 'ES256' } as unknown as Record<string, string>
  const thumbprint = await calculateJwkThumbprint(publicKey)
  const places = asked === undefined
    ? [join(keysFolder(environment), `${name}.jwk`), join(keysFolder(environment), `${name}-${thumbprint.slice(0, 8)}.jwk`)]
    : [asked]
  for (const path of places) {
    try {
      await writePrivateFile(path, `${JSON.stringify(privateKey)}\n`, { over: false })
      return { path, publicKey, forget: () => rm(path, { force: true }) }
    } catch (fault) {
      if ((fault as NodeJS.ErrnoException).code !== 'EEXIST') throw fault
    }
  }
  throw usage(`there is a file \`${places.at(-1)}\` already, and a key is never written over one`, 'name another place with --key-out')
}
