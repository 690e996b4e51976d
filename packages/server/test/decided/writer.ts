import { runWriter } from '../../src/store/sqlite-writer.ts'
import type { Tables } from '../../src/store/tables.ts'
import { DECIDED_CHANGES } from './world.ts'

runWriter<Tables, null>(DECIDED_CHANGES, () => null)
