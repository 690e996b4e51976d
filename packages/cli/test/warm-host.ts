import { main } from '../src/main.ts'
import type { Asked, Ended } from './warm-writ.ts'

/** What the command that runs has said. */
let said = { out: '', err: '' }
process.stdout.write = (chunk) => { said.out += String(chunk); return true }
process.stderr.write = (chunk) => { said.err += String(chunk); return true }

/** One command line, as if this process were its own: see `warm-writ.ts`. */
async function runHere({ args, folder, environment }: Asked): Promise<Ended> {
  process.chdir(folder)
  for (const name of Object.keys(process.env)) delete process.env[name]
  Object.assign(process.env, environment)
  said = { out: '', err: '' }
  const code = await main(args)
  process.stdout.removeAllListeners('error')
  return { code, ...said }
}

process.on('message', (asked: Asked) => { void runHere(asked).then((ended) => process.send!(ended)) })
