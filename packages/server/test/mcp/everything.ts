import { spawn } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { CHILD_ENVIRONMENT } from '../child-environment.ts'

const root = (name: string): string => dirname(createRequire(import.meta.url).resolve(`${name}/package.json`))

/** The reference server with every ability, of the older generation: started by whoever speaks to it over stdio. */
export const EVERYTHING = { command: process.execPath, args: [join(root('@modelcontextprotocol/server-everything'), 'dist/index.js'), 'stdio'] } as const

export const filesystemServer = (folder: string) => ({ command: process.execPath, args: [join(root('@modelcontextprotocol/server-filesystem'), 'dist/index.js'), folder] }) as const

export type Everything = { readonly url: string; readonly port: number; kill(): Promise<void>; restart(): Promise<void> }

/** The same over Streamable HTTP with sessions, on a port that stays when it is started again. */
export async function everythingOverHttp(): Promise<Everything> {
  const finder = createServer().listen(0, '127.0.0.1')
  await once(finder, 'listening')
  const { port } = finder.address() as AddressInfo
  finder.close()
  await once(finder, 'close')
  const start = async () => {
    const child = spawn(EVERYTHING.command, [EVERYTHING.args[0], 'streamableHttp'], { env: { ...CHILD_ENVIRONMENT, PORT: String(port) }, stdio: ['ignore', 'ignore', 'pipe'] })
    let said = ''
    for await (const chunk of child.stderr) {
      said += String(chunk)
      if (said.includes('listening')) break
    }
    child.stderr.on('error', () => undefined).resume()
    return child
  }
  let child = await start()
  const kill = async (): Promise<void> => {
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
  return { url: `http://127.0.0.1:${port}/mcp`, port, kill, restart: async () => { child = await start() } }
}
