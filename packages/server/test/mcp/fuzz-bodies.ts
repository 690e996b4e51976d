import type { Random } from './fuzz-random.ts'

/** Changes the text of a message as somebody would who wants two readers to read it in two ways. What comes out is bytes: not all of it is UTF-8. */
export type BodyChange = { readonly name: string; readonly to: (text: string, random: Random) => Buffer | string }

/** Names of members that count, and some that count to careless readers. */
const NAMES = ['name', 'arguments', 'method', 'params', 'id', 'jsonrpc', 'path', 'uri', 'region', '_meta', '__proto__', 'constructor', 'Name', 'METHOD', 'io.modelcontextprotocol/protocolVersion'] as const
const VALUES = ['"secret"', '"put"', '"tools/call"', '"tools/list"', '"forbidden/x"', '"west"', 'null', '{}', '[]', '1', '"2.0"', '{"name":"secret"}', '{"path":"forbidden/x"}', '{"path":"ok"}'] as const
const STRANGE_NAMES = ['secret', 'PUT', 'put ', ' put', 'put\\u0000', 'put\\u0000secret', 'put\\u200b', 'newer/secret', '../secret', 'secret/../put', '\\u0440ut', 'pu\\u0074', 'put\\n', 'resources/read', 'toString', '__proto__', ''] as const
const NUMBERS = ['9007199254740993', '-9223372036854775808', '18446744073709551616', '1e400', '-1e-400', '0.1000', '1E5', '-0', '1.0', '3.0000000000000001', '1'.repeat(400), '0x10', '01', '+1', '.5', '1.', 'NaN', 'Infinity', '1e', '١'] as const
const IDS = ['null', '1.5', 'true', '[]', '{}', '""', '"x"', '-1', '9007199254740993', '1e3', `"${'x'.repeat(300)}"`, '"\\ud800"', '"writ-1"', '0'] as const
const METHODS = ['Tools/Call', 'TOOLS/CALL', 'tools/call ', ' tools/call', 'tools\\/call', 'tools/call\\u0000', 'tools/call/', 'tools//call', 'tools\\u002fcall', 'tools/list', 'resources/read', 'prompts/get', 'notifications/cancelled', 'notifications/roots/list_changed', 'logging/setLevel', 'initialize', 'server/discover', 'sampling/createMessage', 'ping', 'tools/delete', '__proto__'] as const
const TAILS = [' ', '\n', '\r\n\t', '{}', '\0', ' \0', '//x', '/**/', ',', ']', '}', '\u00a0', '\ufeff', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"secret"}}', '\n{"jsonrpc":"2.0","id":2,"method":"ping"}', 'x'] as const

/** Where an object begins; no text of ours holds a brace. */
const openings = (text: string): readonly number[] => [...text.matchAll(/\{/g)].map(({ index }) => index)
const insert = (text: string, at: number, what: string): string => text.slice(0, at) + what + text.slice(at)
const escaped = (name: string, random: Random): string => name.replaceAll(/./g, (letter) => (random.onceIn(3) ? `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}` : letter))
const instead = (text: string, pattern: RegExp, by: string): string => text.replace(pattern, () => by)

/** A member put first or last into one of the objects, whether it has one of that name or not. */
function member(text: string, random: Random, name: string): string {
  const starts = openings(text)
  if (starts.length === 0) return text
  const at = random.pick(starts)
  const written = `"${random.onceIn(2) ? name : escaped(name, random)}":${random.pick(VALUES)}`
  if (random.onceIn(2)) return insert(text, at + 1, text[at + 1] === '}' ? written : `${written},`)
  const end = text.indexOf('}', at)
  return end < 0 ? text : insert(text, end, text[end - 1] === '{' ? written : `,${written}`)
}

/** A member of the object that is there already, again, with another value. */
function again(text: string, random: Random): string {
  const members = [...text.matchAll(/"([^"\\]+)":/g)]
  if (members.length === 0) return text
  const { 1: name, index } = random.pick(members)
  const written = `"${random.onceIn(2) ? name! : escaped(name!, random)}":${random.pick(VALUES)}`
  return insert(text, index, `${written},`)
}

const utf16 = (text: string, isBig: boolean): Buffer => {
  const bytes = Buffer.from(`\ufeff${text}`, 'utf16le')
  return isBig ? bytes.swap16() : bytes
}

/** The first letter of a name in two bytes, where one is the only right form; or bytes that are no letter at all. */
function wrongUtf8(text: string, random: Random): Buffer {
  const at = text.indexOf('"path"')
  const bytes = Buffer.from(text)
  if (at < 0) return bytes
  const wrong = random.pick([[0xc1, 0xb0], [0xe0, 0x81, 0xb0], [0xff], [0xc3], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xc0, 0x80]])
  return Buffer.concat([bytes.subarray(0, at + 1), Buffer.from(wrong), bytes.subarray(at + 2)])
}

function someBytes(text: string, random: Random): Buffer {
  const bytes = [...Buffer.from(text)]
  for (let left = 1 + random.below(3); left > 0; left--) {
    const at = random.below(bytes.length)
    bytes.splice(at, random.below(2), ...(random.onceIn(3) ? [] : [random.below(256)]))
  }
  return Buffer.from(bytes)
}

const deep = (levels: number, random: Random): string => (random.onceIn(2) ? '['.repeat(levels) + ']'.repeat(levels) : '{"a":'.repeat(levels) + '1' + '}'.repeat(levels))

/** `n` stands in every call of ours, as a member of its arguments. */
const beside = (text: string, name: string, value: string): string => instead(text, /"n":\d+/, `${/"n":\d+/.exec(text)?.[0] ?? '"n":0'},"${name}":${value}`)

export const BODY_CHANGES: readonly BodyChange[] = [
  { name: 'a member again', to: again },
  { name: 'a member again', to: again },
  { name: 'a member more', to: (text, random) => member(text, random, random.pick(NAMES)) },
  { name: 'a member that is a prototype', to: (text, random) => member(text, random, random.pick(['__proto__', 'constructor', 'prototype'])) },
  { name: 'another name', to: (text, random) => instead(text, /"name":"[^"]*"/, `"name":"${random.pick(STRANGE_NAMES)}"`) },
  { name: 'another method', to: (text, random) => instead(text, /"method":"[^"]*"/, `"method":"${random.pick(METHODS)}"`) },
  { name: 'another id', to: (text, random) => instead(text, /"id":\d+/, `"id":${random.pick(IDS)}`) },
  { name: 'no id', to: (text) => instead(text, /"id":\d+,/, '') },
  { name: 'another jsonrpc', to: (text, random) => instead(text, /"jsonrpc":"2.0"/, `"jsonrpc":${random.pick(['2.0', '"1.0"', '2', 'null', '"2.0\\u0000"', '["2.0"]'])}`) },
  { name: 'a strange number', to: (text, random) => beside(text, 'more', random.pick(NUMBERS)) },
  { name: 'a strange text', to: (text, random) => beside(text, 'words', random.pick(['"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\\ud83d\\ude00"', '"\\x41"', '"\t"', '"\u2028"', '"<\\/script>"', '"\\u005c\\u0022"', `"${'é'.repeat(300)}"`, "'x'"])) },
  { name: 'deep', to: (text, random) => beside(text, 'more', deep(random.pick([5, 20, 31, 32, 33, 200, 5000]), random)) },
  { name: 'wide', to: (text, random) => beside(text, 'more', `{${Array.from({ length: random.pick([10, 300, 12_000]) }, (_, i) => `"k${i}":${i}`).join(',')}}`) },
  { name: 'arguments that are none', to: (text, random) => instead(text, /"arguments":\{[^}]*\}/, `"arguments":${random.pick(['null', '[]', '"x"', '1', '[{"path":"ok"}]', '{}', '{"path":"forbidden/x"}', '{"path":{"path":"ok"}}'])}`) },
  { name: 'parameters that are none', to: (text, random) => instead(text, /"params":\{/, `"params":${random.pick(['[{', 'null,"x":{', '"x","Params":{'])}`) },
  { name: 'a batch', to: (text, random) => random.pick([`[${text}]`, `[${text},${text}]`, '[]', `[${text},{}]`, `[[${text}]]`]) },
  { name: 'something after it', to: (text, random) => text + random.pick(TAILS) },
  { name: 'the message twice', to: (text) => text + text },
  { name: 'something before it', to: (text, random) => random.pick(['\ufeff', ' ', '\n', '\0', ")]}',\n", '//x\n', '\u00a0', '[', '1']) + text },
  { name: 'UTF-16', to: (text, random) => utf16(text, random.onceIn(2)) },
  { name: 'wrong UTF-8', to: wrongUtf8 },
  { name: 'some bytes', to: someBytes },
  { name: 'less than all', to: (text, random) => text.slice(0, random.below(text.length)) },
  { name: 'white space', to: (text, random) => text.replaceAll(/[,:{}]/g, (mark) => (random.onceIn(3) ? `${mark}${random.pick([' ', '\n', '\t', '\r\n'])}` : mark)) },
  { name: 'escaped letters', to: (text, random) => text.replaceAll(/"([a-z]+)"/g, (_, word: string) => `"${escaped(word, random)}"`) },
  { name: 'looser JSON', to: (text, random) => random.pick([text.replace(/\}$/, ',}'), text.replaceAll('"', '\''), text.replace('"method"', 'method'), text.replace('{', '{/* x */')]) },
  { name: 'an answer', to: (text, random) => random.pick(['{"jsonrpc":"2.0","id":1,"result":{}}', '{"jsonrpc":"2.0","id":"writ-1","result":{}}', text.replace(/\}$/, ',"result":{}}'), '{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}']) },
]
