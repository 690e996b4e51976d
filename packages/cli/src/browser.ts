import { spawn } from 'node:child_process'
import { hostname, platform, userInfo } from 'node:os'

/** Somebody who came by SSH looks at another machine's screen; without a display nobody looks at this one's. */
export function isElsewhere(environment: NodeJS.ProcessEnv): boolean {
  if (environment.BROWSER) return false
  if (environment.SSH_CONNECTION || environment.SSH_TTY) return true
  return platform() === 'linux' && !environment.DISPLAY && !environment.WAYLAND_DISPLAY
}

/** Only a server of this machine needs one. */
export function tunnelTo(server: string): string | undefined {
  const { hostname: host, port, protocol } = new URL(server)
  if (!['127.0.0.1', '[::1]', 'localhost'].includes(host)) return undefined
  const at = port || (protocol === 'https:' ? '443' : '80')
  return `ssh -L ${at}:${host}:${at} ${userInfo().username}@${hostname()}`
}

const OPENERS: Readonly<Record<string, readonly string[]>> = { darwin: ['open'], win32: ['rundll32', 'url.dll,FileProtocolHandler'] }

/** Whether a browser was started. No shell sees the address. */
export async function opened(url: string, environment: NodeJS.ProcessEnv): Promise<boolean> {
  if (isElsewhere(environment)) return false
  const [program, ...args] = environment.BROWSER ? [environment.BROWSER] : OPENERS[platform()] ?? ['xdg-open']
  return new Promise((resolve) => {
    const child = spawn(program!, [...args, url], { stdio: 'ignore', detached: true })
    child.once('error', () => { resolve(false) })
    child.once('spawn', () => {
      child.unref()
      resolve(true)
    })
  })
}
