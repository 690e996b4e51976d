// Runs a script of ours on a Node that is new enough, whichever started this one: npm 10 leaves out the link `node_modules/.bin/node`.
import { delimiter, dirname } from 'node:path'
import { FLOOR, isNewEnough, ownNode, runOn } from '../packages/cli/bin/own-node.mjs'

const node = isNewEnough() ? process.execPath : ownNode()
if (node === undefined) {
  process.stderr.write(`error: this needs Node ${FLOOR} or newer and this is ${process.versions.node}; install one, or run \`npm ci\` with optional dependencies\n`)
  process.exitCode = 78
} else {
  runOn(node, process.argv.slice(2), { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH ?? ''}` })
}
