import { run } from './command-line.ts'

const { code, out, err } = run(process.argv.slice(2))
if (out.length > 0) process.stdout.write(`${out.join('\n')}\n`)
if (err.length > 0) process.stderr.write(`${err.join('\n')}\n`)
process.exitCode = code
