import { spawn } from 'node:child_process'
import { platform } from 'node:os'

/**
 * Reads the command's process id, then waits for one more word. Without it, `writ run` has been killed: the command must not go on
 * without its task, nor its lease lie about. $1 is the folder that holds the lease, or nothing.
 */
const SCRIPT = `
trap '' INT TERM HUP QUIT
read -r pid && {
  [ "$pid" = done ] && exit 0
  read -r word && exit 0
}
[ -n "$1" ] && rm -rf -- "$1"
[ -n "$pid" ] || exit 0
kill -TERM "$pid" 2>/dev/null || exit 0
for second in 1 2 3 4 5; do
  sleep 1
  kill -0 "$pid" 2>/dev/null || exit 0
done
kill -KILL "$pid"
`

export type Keeper = { readonly watch: (pid: number) => void; readonly dismiss: () => void }

/**
 * A shell of its own session, so that what kills this process and its group leaves it alive. It starts before the command, so that there
 * is no moment without it. On Windows there is none.
 */
export function startKeeper(folder: string | undefined): Keeper | undefined {
  if (platform() === 'win32') return undefined
  const shell = spawn('/bin/sh', ['-c', SCRIPT, 'writ-keeper', folder ?? ''], {
    cwd: '/', env: { PATH: '/usr/bin:/bin' }, detached: true, stdio: ['pipe', 'ignore', 'ignore'],
  })
  // Without a shell the server still ends the task by silence, and with it the login.
  shell.on('error', () => undefined)
  shell.stdin.on('error', () => undefined)
  shell.unref()
  return { watch: (pid) => void shell.stdin.write(`${pid}\n`), dismiss: () => void shell.stdin.end('done\n') }
}
