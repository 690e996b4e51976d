import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'

const FOLDER = process.env['WRIT_VECTORS'] === undefined
  ? new URL('../../../../shared/vectors/', import.meta.url)
  : new URL(`${pathToFileURL(process.env['WRIT_VECTORS']).href}/`)

/** For `test(name, { skip: noVectors })`: says so where the vectors are not on this machine. */
export const noVectors = existsSync(fileURLToPath(FOLDER)) ? false : 'skipped: no vectors'

/** The cases of one file; none where the folder is absent. */
export const casesOf = <T>(file: string): readonly T[] => (noVectors === false ? JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) : [])
