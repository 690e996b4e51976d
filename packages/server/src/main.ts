import { pino } from 'pino'
import { readConfig } from './config/config.ts'
import { UnusableStore } from './store/faults.ts'
import { startServer, Unstartable, type RunningServer } from './start.ts'
import { VERSION } from './version.ts'

/** sysexits.h EX_CONFIG. */
const EXIT_CONFIG = 78

async function main(): Promise<void> {
  const config = readConfig(process.env)
  if (!config.ok) {
    for (const { setting, message } of config.refusal) process.stderr.write(`error: ${setting} ${message}\n`)
    process.exit(EXIT_CONFIG)
  }
  // Synchronous: the last lines before an exit are the ones that somebody needs.
  const log = pino({ level: config.value.logLevel, base: null }, pino.destination({ fd: 2, sync: true }))
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
  let stopping = false
  const stop = (): void => {
    if (stopping) return
    stopping = true
    void server.stop().then(() => process.exit(0), (error: unknown) => {
      log.error({ err: error }, 'could not stop cleanly')
      process.exit(1)
    })
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  process.on('disconnect', stop)

  process.stdout.write(`writ ${VERSION}\n  store    ${config.value.store.kind === 'sqlite' ? config.value.store.directory : 'PostgreSQL'}\n  keys     ${config.value.keyDirectory}\n  address  ${server.url}\n`)
  if (server.bootstrapLink !== undefined) process.stdout.write(`  sign in  ${server.bootstrapLink}\n           (one use, 15 minutes: run \`writ login\` and paste it)\n`)
  process.send?.({ kind: 'ready', url: server.url })
}

await main()
