import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** A server over stdio that does what a test needs and no package would do. What it does is said by the name of the tool that is called. */
const say = (line: string): void => { process.stdout.write(`${line}\n`) }
const answer = (id: number, result: string): void => { say(`{"jsonrpc":"2.0","id":${id},"result":${result}}`) }
const text = (id: number, said: string): void => { answer(id, JSON.stringify({ content: [{ type: 'text', text: said }] })) }

type Asked = { readonly id: number; readonly method: string; readonly params?: { readonly name?: string; readonly protocolVersion?: string } }

const [mode = '', ...more] = process.argv.slice(2)
const cancelled: unknown[] = []

function called({ id, params }: Asked, line: string): void {
  switch (params?.name ?? '') {
    case 'digits':
      answer(id, `{"given": ${/"arguments":(\{.*?\})/.exec(line)![1]}, "big":9007199254740993, "fraction":1.10, "resultType":"complete"}`)
      break
    case 'oversized':
      process.stdout.write(`{"jsonrpc":"2.0","id":${id},"result":{"x":"`)
      for (let i = 0; i < 20; i++) process.stdout.write('x'.repeat(1024 * 1024))
      break
    case 'twice':
      say(`{"jsonrpc":"2.0","id":${id},"result":{},"result":{"content":[]}}`)
      break
    case 'deep':
      answer(id, `{"x":${'['.repeat(100_000)}${']'.repeat(100_000)}}`)
      break
    case 'noisy':
      say('a log line')
      say('{"level":30,"msg":"a log line that is JSON"}')
      say('{"jsonrpc":"2.0","id":12345,"result":{}}')
      text(id, 'after the noise')
      break
    case 'hang':
      break
    case 'cancelled':
      text(id, JSON.stringify(cancelled))
      break
    case 'deaf':
      process.stdin.pause()
      break
    case 'die':
      process.stderr.write(`last words of ${process.env['TOKEN']}\n`)
      process.stderr.write('', () => process.exit(3))
      break
    case 'pids':
      text(id, JSON.stringify([process.pid, spawn('sleep', ['1000'], { stdio: 'ignore' }).pid]))
      break
    case 'process':
      text(id, JSON.stringify({ environment: process.env, cwd: process.cwd(), argv: process.argv.slice(2) }))
      break
    default:
      say(`{"jsonrpc":"2.0","id":${id},"error":{"code":-32602,"message":"no such tool","data":{"n":9007199254740993}}}`)
  }
}

if (mode === 'stubborn') for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined)
createInterface({ input: process.stdin }).on('line', (line) => {
  const asked = JSON.parse(line) as Asked & { readonly params?: { readonly requestId?: unknown } }
  if (asked.method === 'notifications/cancelled') cancelled.push(asked.params?.requestId)
  if (asked.id === undefined) return
  if (asked.method === 'server/discover' && mode === 'silent') return
  if (asked.method === 'server/discover' && mode === 'touchy') process.exit(1)
  if (asked.method === 'initialize') answer(asked.id, `{"protocolVersion":"${more[0] ?? asked.params?.protocolVersion}","capabilities":{"tools":{}},"serverInfo":{"name":"raw","version":"1"}}`)
  else if (asked.method === 'tools/call') called(asked, line)
  else say(`{"jsonrpc":"2.0","id":${asked.id},"error":{"code":-32601,"message":"no such method"}}`)
}).on('close', () => { if (mode !== 'stubborn') process.exit(0) })
if (mode === 'stubborn') setInterval(() => undefined, 1000)
