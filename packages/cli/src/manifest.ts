import { manifest, type Manifest } from '@writ/contract/registry'
import { dirname, resolve } from 'node:path'
import { CommandFailure, EXIT } from './exit.ts'
import { parsePublicKey } from './key-file.ts'
import { parseWith, parseYaml, type YamlFile } from './yaml-file.ts'

/** Reads a file of public text; a test gives its own. */
export type ReadText = (path: string) => Promise<string>

/** A manifest as it stands in a file: an identity may say `key_file`, relative to the manifest, instead of `key`. */
export async function readManifest(text: string, path: string, readText: ReadText): Promise<Manifest> {
  const file = parseYaml(text, path)
  const withKeys = await putKeys(file, path, readText)
  return parseWith(manifest, { ...file, value: withKeys }, path)
}

async function putKeys(file: YamlFile, path: string, readText: ReadText): Promise<unknown> {
  const root = file.value
  if (typeof root !== 'object' || root === null || !('identities' in root) || !Array.isArray(root.identities)) return root
  const identities: unknown[] = []
  for (const [i, identity] of (root.identities as readonly unknown[]).entries()) {
    identities.push(typeof identity === 'object' && identity !== null && 'key_file' in identity ? await withKey(identity as { readonly key_file: unknown }, i) : identity)
  }
  return { ...root, identities }

  async function withKey({ key_file: keyFile, ...rest }: { readonly key_file: unknown; readonly key?: unknown }, i: number): Promise<unknown> {
    const field = `${path}:${file.lineOf(['identities', i, 'key_file']) ?? '?'} identities[${i}].key_file`
    const wrong = (message: string): CommandFailure => new CommandFailure(EXIT.usage, `\`${path}\` has fields that are missing or wrong`, { fields: [{ field, message }] })
    if (typeof keyFile !== 'string') throw wrong('must be the path of a file')
    if (rest.key !== undefined) throw wrong('`key` and `key_file` exclude each other')
    try {
      return { ...rest, key: parsePublicKey(await readText(resolve(dirname(path), keyFile)), keyFile) }
    } catch (fault) {
      if (fault instanceof CommandFailure) throw wrong(fault.message)
      throw fault
    }
  }
}
