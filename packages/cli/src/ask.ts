import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { inert } from '@writ/ledger/inert'
import { CommandFailure, EXIT, usage } from './exit.ts'
import type { Settings } from './settings.ts'

/** Asks on the terminal; what is typed is not shown when it is a secret. */
async function ask(question: string, hidden = false): Promise<string> {
  let muted = false
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (!muted) process.stderr.write(chunk)
      done()
    },
  })
  const terminal = createInterface({ input: process.stdin, output, terminal: true })
  try {
    const stopped = new Promise<never>((_, reject) => terminal.once('SIGINT', () => reject(new CommandFailure(EXIT.interrupted, 'interrupted'))))
    process.stderr.write(question)
    muted = hidden
    const answer = await Promise.race([terminal.question(''), stopped])
    if (hidden) process.stderr.write('\n')
    return answer.trim()
  } finally {
    terminal.close()
  }
}

/** Whether to go on. Without a terminal only --yes is an answer. */
export async function confirm(settings: Settings, question: string): Promise<void> {
  if (settings.yes) return
  if (!settings.mayAsk) throw usage('--yes is needed and there is no terminal to ask on')
  const answer = await ask(`${inert(question)} [y/N] `)
  if (!/^y(es)?$/i.test(answer)) throw new CommandFailure(EXIT.unexpected, 'nothing was done')
}

/** A text that a command needs: the flag's, else the person's. */
export async function textFor(settings: Settings, flag: string, given: string | undefined, question: string): Promise<string> {
  if (given !== undefined && given.trim() !== '') return given
  if (!settings.mayAsk) throw usage(`${flag} is needed and there is no terminal to ask on`)
  const answer = await ask(`${question} `)
  if (answer === '') throw usage(`${flag} is needed`)
  return answer
}

export async function yesOrNo(settings: Settings, given: boolean | undefined, question: string): Promise<boolean> {
  if (given !== undefined || !settings.mayAsk) return given ?? false
  return /^y(es)?$/i.test(await ask(`${question} [y/N] `))
}

/** A secret: from a file, from standard input, or typed unseen; never from the command line. One line end at its end is dropped. */
export async function readSecret(settings: Settings, from: { readonly file?: string | undefined; readonly stdin?: boolean | undefined }, what: string): Promise<string> {
  if (from.file !== undefined && from.stdin) throw usage('--secret-file and --secret-stdin exclude each other')
  const text = await secretText(settings, from, what)
  const secret = text.replace(/\r?\n$/, '')
  if (secret === '') throw usage(`${what} is empty`)
  return secret
}

async function secretText(settings: Settings, from: { readonly file?: string | undefined; readonly stdin?: boolean | undefined }, what: string): Promise<string> {
  if (from.file !== undefined) return readInput(from.file)
  if (from.stdin) return readInput('-')
  if (settings.mayAsk) return ask(`${what}: `, true)
  throw usage(`${what} is needed and there is no terminal to ask on`, 'use --secret-file FILE or --secret-stdin')
}

/** A one-time link or code: typed unseen, else standard input. */
export async function readOnce(settings: Settings, question: string): Promise<string> {
  return (settings.mayAsk ? await ask(question, true) : await readInput('-')).trim()
}

/** The text of a file; `-` is standard input. */
export async function readInput(path: string): Promise<string> {
  const { readFile } = await import('node:fs/promises')
  if (path === '-') {
    const chunks: Buffer[] = []
    for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
    return Buffer.concat(chunks).toString('utf8')
  }
  try {
    return await readFile(path, 'utf8')
  } catch (fault) {
    const code = (fault as NodeJS.ErrnoException).code
    throw code === 'ENOENT'
      ? new CommandFailure(EXIT.not_found, `there is no file \`${path}\``)
      : usage(`\`${path}\` can not be read (${code})`)
  }
}
