import type { Endpoint } from '@writ/contract/endpoint'
import { sentOf, type AskOf, type At } from './api.ts'

const NEEDS_ESCAPES = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u

/** One word for a POSIX shell: quoted where it has to be, and with nothing in it that a reader would not see (bash, zsh and POSIX 2024 know `$'...'`). */
export function shellWord(text: string): string {
  if (/^[\w./:=@%+,-]+$/.test(text)) return text
  if (!NEEDS_ESCAPES.test(text)) return `'${text.replaceAll('\'', '\'\\\'\'')}'`
  const escaped = Array.from(text, (character) => NEEDS_ESCAPES.test(character) ? bytesOf(character) : character === '\'' || character === '\\' ? `\\${character}` : character)
  return `$'${escaped.join('')}'`
}

/** As octal bytes of three digits: what follows can not be read as more of them. */
const bytesOf = (character: string): string => Array.from(new TextEncoder().encode(character), (byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('')

/** `writ task end tsk_... --reason '...'`. */
export const commandOf = (...words: readonly string[]): string => words.map(shellWord).join(' ')

/** The same by HTTP, with whatever `WRIT_TOKEN` holds. */
export function curlOf<E extends Endpoint>(to: At<E>, asked: AskOf<E>, origin: string): string {
  const { method, target, body } = sentOf(to, asked)
  const lines = [
    `curl -sS${method === 'GET' ? '' : ` -X ${method}`} ${shellWord(origin + target)}`, '  -H "Authorization: Bearer $WRIT_TOKEN"',
    ...(body === undefined ? [] : ['  -H \'content-type: application/json\'', `  -d ${shellWord(body)}`]),
  ]
  return lines.join(' \\\n')
}
