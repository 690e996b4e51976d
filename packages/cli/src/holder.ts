import type { JWK } from 'jose'
import type { Config } from './config.ts'
import { CommandFailure, EXIT, usage } from './exit.ts'

/** The flags by which a command says as whom it speaks. */
export type HolderFlags = { readonly as?: string; readonly key?: string }

/** --as, WRIT_IDENTITY, the default one, the only one; and its key from --key, WRIT_KEY_FILE, the configuration. */
export function chooseHolder(flags: HolderFlags, config: Config, environment: NodeJS.ProcessEnv): { readonly spiffeId: string; readonly keyFile: string } {
  const spiffeId = chooseIdentity(flags.as ?? environment.WRIT_IDENTITY, config)
  const keyFile = flags.key ?? environment.WRIT_KEY_FILE ?? config.identities[spiffeId]?.key_file
  if (keyFile === undefined || keyFile === '') {
    throw new CommandFailure(EXIT.not_signed_in, `there is no key for \`${spiffeId}\` here`, { hints: ['name its file with --key or WRIT_KEY_FILE', `\`writ identity key add ${spiffeId}\` makes a new one`] })
  }
  return { spiffeId, keyFile }
}

function chooseIdentity(asked: string | undefined, config: Config): string {
  const known = Object.keys(config.identities)
  const list = known.length === 0 ? '`writ identity register` makes one' : `known here: ${known.join(', ')}`
  if (asked !== undefined && asked !== '') {
    if (asked.startsWith('spiffe://')) return asked
    const found = known.filter((spiffeId) => spiffeId.slice(spiffeId.lastIndexOf('/') + 1) === asked)
    if (found.length === 1) return found[0]!
    if (found.length === 0) throw usage(`no identity called \`${asked}\` is known here`, list)
    throw usage(`\`${asked}\` could be ${found.join(' or ')}`, 'give the whole SPIFFE ID')
  }
  if (config.default_identity !== undefined) return config.default_identity
  if (known.length === 1) return known[0]!
  throw known.length === 0
    ? new CommandFailure(EXIT.not_signed_in, 'no identity is known here', { hints: [list] })
    : usage('several identities are known here: say which with --as', list)
}

export async function readHolder(flags: HolderFlags, config: Config, environment: NodeJS.ProcessEnv): Promise<{ readonly spiffeId: string; readonly key: JWK }> {
  const { spiffeId, keyFile } = chooseHolder(flags, config, environment)
  const { readPrivateKey } = await import('./key-file.ts')
  return { spiffeId, key: await readPrivateKey(keyFile) }
}
