import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

/** A server over stdio that lists what stands in a file at that moment, and a tool more where it was given a variable. */
const [file = ''] = process.argv.slice(2)
const say = (id: number, rest: string): void => { process.stdout.write(`{"jsonrpc":"2.0","id":${id},${rest}}\n`) }

type Asked = { readonly id?: number; readonly method: string; readonly params?: { readonly protocolVersion?: string } }

createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line) as Asked
  if (id === undefined) return
  if (method === 'initialize') {
    say(id, `"result":{"protocolVersion":${JSON.stringify(params?.protocolVersion)},"capabilities":{"tools":{},"resources":{}},"serverInfo":{"name":"listing","version":"1"}}`)
  } else if (method === 'tools/list') {
    const list = readFileSync(file, 'utf8')
    say(id, `"result":{"tools":${process.env['EXTRA_TOOL'] === undefined ? list : list.replace(/\]\s*$/, `,{"name":${JSON.stringify(process.env['EXTRA_TOOL'])}}]`)}}`)
  } else say(id, '"error":{"code":-32601,"message":"no such method"}')
}).on('close', () => process.exit(0))
