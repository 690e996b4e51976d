import type { Command } from 'commander'
import { EXIT, EXIT_MEANINGS, usage, type Run } from '../exit.ts'
import { main } from '../main.ts'
import { printList, printLine } from '../output.ts'
import { settingsOf } from '../settings.ts'

const EXAMPLE = 'writ run --for "migrate schema" --grant postgres:shop:ddl --ttl 10m -- ./migrate.sh'

export function define(command: Command, run: Run): void {
  command.argument('[topic...]', 'a command, or `exit-codes`').action((topic: readonly string[]) => run(async () => {
    if (topic.length === 0) {
      command.parent!.outputHelp()
      printLine(`\nExample:\n  ${EXAMPLE}\n\nEnvironment: WRIT_URL, WRIT_CONFIG, WRIT_CONTEXT, WRIT_TOKEN, WRIT_IDENTITY, WRIT_KEY_FILE, WRIT_OUTPUT, WRIT_NO_INPUT, NO_COLOR`)
      return EXIT.ok
    }
    if (topic[0] === 'exit-codes') {
      const rows = EXIT_MEANINGS.map(([code, meaning]) => ({ code, meaning: meaning.replaceAll('`', '') }))
      await printExitCodes(command, rows)
      return EXIT.ok
    }
    if (topic[0]!.startsWith('-')) throw usage(`there is no help on \`${topic[0]}\``)
    return main([...topic, '--help'])
  }))
}

async function printExitCodes(command: Command, rows: readonly { readonly code: number; readonly meaning: string }[]): Promise<void> {
  const settings = settingsOf(command)
  if (settings.format !== 'human') return printList(settings, rows, [{ head: 'code', of: (row) => row.code }, { head: 'meaning', of: (row) => row.meaning }])
  for (const row of rows) printLine(`${String(row.code).padStart(3)}  ${row.meaning}`)
}
