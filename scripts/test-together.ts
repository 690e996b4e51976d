import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/**
 * Writes, for each package (and for the scripts), one test file into `folder` that carries out all of these files in one process: where
 * nothing is started, most of what a process costs is its own start and the modules that all of them need. One file after another is read
 * and carried out to its end, as a suite of its name: its hooks are its own, and one that can not be read fails by name.
 */
export function writeTogether(root: string, files: readonly string[], folder: string): readonly string[] {
  const byPlace = Map.groupBy(files, (file) => /^packages\/([^/]+)\//.exec(file)?.[1] ?? file.split('/', 1)[0]!)
  return [...byPlace].map(([place, ofPlace]) => {
    const path = join(folder, `${place}.test.mjs`)
    const suites = ofPlace.map((file) => `await describe(${JSON.stringify(file)}, async () => { await import(${JSON.stringify(pathToFileURL(join(root, file)).href)}) })`)
    // Node keeps only a file's last suite waiting for what does not keep a process alive by itself, such as a thread that is let go.
    writeFileSync(path, `import { describe } from 'node:test'\n\nconst alive = setInterval(() => {}, 60_000)\n${suites.join('\n')}\nclearInterval(alive)\n`)
    return path
  })
}
