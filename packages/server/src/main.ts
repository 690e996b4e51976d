import { constants } from 'node:os'
import { setFlagsFromString } from 'node:v8'
import { pino, type Logger } from 'pino'
import { readConfig } from './config/config.ts'
import { makeLog } from './platform/log.ts'
import { UnusableStore } from './store/faults.ts'
import { startServer, Unstartable, type RunningServer } from './start.ts'
import { VERSION } from './version.ts'

/** sysexits.h EX_CONFIG. */
const EXIT_CONFIG = 78
/** A supervisor tells a whole group of processes, and our parent passes it on: what comes twice within this time is one word. */
const SAME_WORD_S = 1
/**
 * Left alone, V8 lets what has lived for more than a moment grow to twice its size before it tidies up, and each request that waits for a person
 * leaves such things behind: of ten thousand that wait, 150 MB (R79).
 */
const TIDIER = '--heap-growing-percent=40'

async function main(): Promise<void> {
  setFlagsFromString(TIDIER)
  const config = readConfig(process.env)
  if (!config.ok) {
    for (const { setting, message } of config.refusal) process.stderr.write(`error: ${setting} ${message}\n`)
    process.exit(EXIT_CONFIG)
  }
  // Synchronous: the last lines before an exit are the ones that somebody needs.
  const log = makeLog(config.value.logLevel, pino.destination({ fd: 2, sync: true }))
  let server: RunningServer
  try {
    server = await startServer(config.value, log, (error) => {
      log.fatal({ err: error }, 'the store has stopped; start again')
      process.exit(1)
    })
  } catch (error) {
    process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exit(error instanceof Unstartable || error instanceof UnusableStore ? EXIT_CONFIG : 1)
  }
  // Before anybody is told that it is up: whoever hears that may end it at once.
  stopWhenTold(server, log)

  process.stdout.write(`writ ${VERSION}\n  store    ${config.value.store.kind === 'sqlite' ? config.value.store.directory : 'PostgreSQL'}\n  keys     ${config.value.keyDirectory}\n  address  ${server.url}\n`)
  if (server.listensAt !== server.url) process.stdout.write(`  listens  ${server.listensAt}\n`)
  if (server.bootstrapLink !== undefined) process.stdout.write(`  sign in  ${server.bootstrapLink}\n           (one use, 15 minutes: run \`writ login\` and paste it)\n`)
  process.send?.({ kind: 'ready', url: server.url, listensAt: server.listensAt })
}

/** One word stops it in good order; a second one, from somebody who will not wait, at once. */
function stopWhenTold(server: RunningServer, log: Logger): void {
  let toldAt: number | undefined
  const stop = (): void => {
    if (toldAt !== undefined) return
    toldAt = process.uptime()
    void server.stop().then(() => process.exit(0), (error: unknown) => {
      log.error({ err: error }, 'could not stop cleanly')
      process.exit(1)
    })
  }
  const hear = (signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP'): void => {
    if (toldAt !== undefined && process.uptime() - toldAt > SAME_WORD_S) {
      log.warn({ signal }, 'stopped at once')
      process.exit(128 + constants.signals[signal])
    }
    stop()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, hear)
  process.on('disconnect', stop)
}

await main()
