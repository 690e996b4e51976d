import { inert } from '../src/inert.ts'
import { verifyFile, type Asked, type EvidenceRefusal } from './evidence-file.ts'

export const EXIT = { ok: 0, unexpected: 1, usage: 2, notFound: 5, verificationFailed: 21 } as const
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** What the program says: facts go to `out`, complaints to `err`. */
export type Said = { readonly code: ExitCode; readonly out: readonly string[]; readonly err: readonly string[] }

export const USAGE = `usage: writ-verify --key FILE.key [--checkpoint FILE]... FILE

Checks a closure certificate or a log export of Writ, offline, with nothing but the log's public key.

  --key FILE.key      the log's verifier key: \`name+hash+base64\`
  --checkpoint FILE   a checkpoint of that log that you kept: a signed note, or the certificate or export that it stands in
  FILE                \`-\` is standard input

exit codes: 0 verified, 21 verification failed, 2 wrong usage, 5 file not found, 1 anything else`

export function run(args: readonly string[]): Said {
  if (args.includes('--help')) return { code: EXIT.ok, out: [USAGE], err: [] }
  const asked = readArguments(args)
  if (typeof asked === 'string') return { code: EXIT.usage, out: [], err: [asked, '', USAGE] }
  const found = verifyFile(asked)
  return found.ok ? { code: EXIT.ok, out: [`verified: ${found.value.kind}`, ...found.value.lines], err: [] } : complain(found.refusal)
}

function readArguments(args: readonly string[]): Asked | string {
  const keys: string[] = []
  const checkpoints: string[] = []
  const files: string[] = []
  for (let i = 0; i < args.length; i++) {
    const [flag = '', ...after] = args[i]!.split('=')
    if (!flag.startsWith('-') || args[i] === '-') {
      files.push(args[i]!)
      continue
    }
    if (flag !== '--key' && flag !== '--checkpoint') return `unknown flag \`${inert(flag)}\``
    const value = after.length > 0 ? after.join('=') : args[++i]
    if (value === undefined || value === '') return `\`${flag}\` needs a file`
    if (flag === '--key') keys.push(value)
    else checkpoints.push(value)
  }
  if (keys.length !== 1) return keys.length === 0 ? '`--key` is missing' : '`--key` is given twice'
  if (files.length !== 1) return files.length === 0 ? 'the file to verify is missing' : `one file at a time, not also \`${inert(files[1]!)}\``
  return { key: keys[0]!, checkpoints, file: files[0]! }
}

function complain(refusal: EvidenceRefusal): Said {
  switch (refusal.kind) {
    case 'not_verified': {
      const [first = '', ...rest] = refusal.lines
      return { code: EXIT.verificationFailed, out: [], err: [`verification failed: ${first}`, ...rest] }
    }
    case 'no_key': return { code: EXIT.usage, out: [], err: [`\`${inert(refusal.path)}\` holds no verifier key: ${refusal.detail}`] }
    case 'no_file': return { code: EXIT.notFound, out: [], err: [`no file \`${inert(refusal.path)}\``] }
    case 'unreadable_file': return { code: EXIT.unexpected, out: [], err: [`could not verify: ${inert(refusal.why)}`] }
  }
}
