import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** A secret that must be nowhere, by the name that a failure tells. */
export type Canary = { readonly name: string; readonly secret: Uint8Array }

export const canary = (name: string, secret: string | Uint8Array): Canary => ({ name, secret: typeof secret === 'string' ? Buffer.from(secret, 'utf8') : secret })

/** R37: as it is, and in each form in which a careless program would write it. */
function formsOf({ secret }: Canary): readonly (readonly [string, Buffer])[] {
  const bytes = Buffer.from(secret)
  const text = bytes.toString('latin1')
  return [
    ['raw', bytes], ['base64', Buffer.from(bytes.toString('base64').replace(/=+$/, ''))], ['base64url', Buffer.from(bytes.toString('base64url'))],
    ['hex', Buffer.from(bytes.toString('hex'))], ['HEX', Buffer.from(bytes.toString('hex').toUpperCase())], ['UTF-16LE', Buffer.from(text, 'utf16le')], ['UTF-16BE', Buffer.from(text, 'utf16le').swap16()],
  ]
}

/** `name as form`, for each canary that sings here. */
export function heardIn(bytes: Uint8Array, canaries: readonly Canary[]): readonly string[] {
  const place = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return canaries.flatMap((one) => formsOf(one).filter(([, form]) => place.includes(form)).map(([form]) => `${one.name} as ${form}`))
}

/** Every file below, by its path; a socket or a file that went away meanwhile is none. */
export function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)).filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true)
}

/** What everybody on the machine can see of a process, and of its children: arguments and environment. */
export function visibleOf(mark: string): ReadonlyMap<string, Uint8Array> {
  const seen = new Map<string, Uint8Array>()
  const environments = new Map<string, Uint8Array>()
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const environ = readOrNothing(`/proc/${pid}/environ`)
    if (Buffer.from(environ).includes(mark)) environments.set(pid, environ)
  }
  for (const [pid, environ] of environments) {
    seen.set(`/proc/${pid}/environ`, environ)
    seen.set(`/proc/${pid}/cmdline`, readOrNothing(`/proc/${pid}/cmdline`))
  }
  return seen
}

function readOrNothing(path: string): Uint8Array {
  try {
    return readFileSync(path)
  } catch {
    return new Uint8Array(0) // ended meanwhile, or another user's
  }
}
