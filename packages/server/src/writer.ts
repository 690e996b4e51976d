import { changeContextOf } from './change-context.ts'
import { CHANGES } from './changes.ts'
import type { ChangeKeys } from './keys/keys.ts'
import type { ChangeContext } from './record/tx.ts'
import { runWriter } from './store/sqlite-writer.ts'
import type { Tables } from './store/tables.ts'

/** The thread that owns SQLite's one writing connection. */
runWriter<Tables, ChangeContext>(CHANGES, (given) => changeContextOf(given as ChangeKeys))
