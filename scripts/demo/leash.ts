import { spawn, type ChildProcess } from 'node:child_process'

/**
 * Reads a pipe whose other end only we hold: when we die, however we die, the pipe ends. Then it stops the process that it was told of, and removes
 * the folder. A last word through the pipe dismisses it.
 */
const WATCHER = `
while read -r word; do last=$word; done
case $last in
  dismissed) exit 0 ;;
  ?*) kill -TERM $last
    for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 $last || break; sleep 0.5; done ;;
esac
rm -rf -- "$1"; sleep 1; rm -rf -- "$1"
case $last in ?*) kill -KILL -- -$last ;; esac
`

/** What is on it lives no longer than this process. */
export type Leash = {
  /** The leader of a group of processes. */
  hold(child: ChildProcess): void
  dismiss(): void
}

export function leashOn(folder: string): Leash {
  const { stdin } = spawn('/bin/sh', ['-c', WATCHER, 'sh', folder], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  stdin.on('error', () => { /* the watcher is gone already: nothing to tell */ })
  return {
    hold: ({ pid }) => { stdin.write(`${pid}\n`) },
    dismiss: () => { stdin.end('dismissed\n') },
  }
}
