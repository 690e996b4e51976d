import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { policyFiles } from '@writ/contract/policies'
import type { BundleFiles } from '@writ/policy/bundle'
import { CommandFailure, EXIT, usage } from '../exit.ts'

/** Whoever names another folder by mistake hears of it before it was read. */
const MOST_FILES = 5_000
const MOST_BYTES = 8_000_000

type Reading = { readonly root: string; readonly files: Record<string, string>; bytes: number; found: number }

/** Every file of a directory of policies but those whose names begin with a dot, as text. */
export async function readFolder(root: string): Promise<BundleFiles> {
  const reading: Reading = { root, files: {}, bytes: 0, found: 0 }
  const kind = await stat(root).catch((fault: NodeJS.ErrnoException) => { throw unreadable(root, fault) })
  if (!kind.isDirectory()) throw usage(`\`${root}\` is no directory`, 'name the directory that the policies stand in')
  await readBelow(reading, '')
  if (Object.keys(reading.files).length === 0) throw usage(`there are no policies in \`${root}\``, `\`writ policy init ${root}\` writes a set to begin with`)
  return reading.files
}

async function readBelow(reading: Reading, below: string): Promise<void> {
  const entries = await readdir(join(reading.root, below), { withFileTypes: true })
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith('.')) continue
    const file = below === '' ? entry.name : `${below}/${entry.name}`
    reading.found += 1
    if (reading.found > MOST_FILES) throw usage(`\`${reading.root}\` holds more than ${MOST_FILES} files`, 'name the directory that the policies stand in')
    if (entry.isDirectory()) await readBelow(reading, file)
    else await readOne(reading, file)
  }
}

async function readOne(reading: Reading, file: string): Promise<void> {
  const path = join(reading.root, file)
  const kind = await stat(path).catch((fault: NodeJS.ErrnoException) => { throw unreadable(path, fault) })
  // A link to a file is one, as they stand in a mounted volume; one to a directory could lead anywhere, and back here.
  if (!kind.isFile()) throw usage(`\`${path}\` is no file`, 'policies stand in files, and links to directories are not followed')
  reading.bytes += kind.size
  if (reading.bytes > MOST_BYTES) throw usage(`the files of \`${reading.root}\` have more than ${MOST_BYTES / 1e6} MB`, 'name the directory that the policies stand in')
  const bytes = await readFile(path).catch((fault: NodeJS.ErrnoException) => { throw unreadable(path, fault) })
  try {
    reading.files[file] = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (fault) {
    throw new CommandFailure(EXIT.usage, `\`${path}\` is no text in UTF-8`, { cause: fault })
  }
}

/** Writes files into a directory that is not there yet, or is empty. */
export async function writeFolder(root: string, files: BundleFiles): Promise<void> {
  // They may come from a server: a path that leaves the directory is never written.
  if (!policyFiles.safeParse(files).success) throw new CommandFailure(EXIT.unexpected, 'the files have paths that no directory of policies has; nothing was written')
  const there = await readdir(root).catch((fault: NodeJS.ErrnoException) => {
    if (fault.code === 'ENOENT') return []
    throw fault.code === 'ENOTDIR' ? usage(`\`${root}\` is no directory`) : unreadable(root, fault)
  })
  if (there.length > 0) throw new CommandFailure(EXIT.conflict, `\`${root}\` is not empty`, { hints: ['name another directory: nothing is written over'] })
  for (const [file, text] of Object.entries(files)) {
    const path = join(root, file)
    try {
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, text, { flag: 'wx' })
    } catch (fault) {
      throw unwritable(path, fault as NodeJS.ErrnoException)
    }
  }
}

/** Written beside and renamed, so that nobody finds half a file; what a link leads to is what changes. */
export async function replaceText(root: string, file: string, text: string): Promise<void> {
  const path = await realpath(join(root, file))
  const beside = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`)
  try {
    await writeFile(beside, text, { flag: 'wx' })
    await chmod(beside, (await stat(path)).mode)
    await rename(beside, path)
  } catch (fault) {
    await rm(beside, { force: true })
    throw unwritable(path, fault as NodeJS.ErrnoException)
  }
}

const unwritable = (path: string, fault: NodeJS.ErrnoException): CommandFailure =>
  new CommandFailure(EXIT.usage, `\`${path}\` can not be written (${fault.code})`, { cause: fault })

function unreadable(path: string, fault: NodeJS.ErrnoException): CommandFailure {
  if (fault.code === 'ENOENT') return new CommandFailure(EXIT.not_found, `there is no \`${path}\``)
  return usage(`\`${path}\` can not be read (${fault.code})`)
}
