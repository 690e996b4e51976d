#!/usr/bin/env node
// Plain JavaScript that any Node from 18 on can read: it finds a Node that is new enough, or says so in one sentence.
import { homedir } from 'node:os'
import { join } from 'node:path'
import { FLOOR, isNewEnough, ownNode, runOn } from './own-node.mjs'

if (isNewEnough()) await start()
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
  runOn(node, [process.argv[1], ...process.argv.slice(2)], { ...process.env, WRIT_RESTARTED: '1' })
}
