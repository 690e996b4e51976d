import type { Migration } from '../migrate.ts'
import { registry } from './0001-registry.ts'
import { tasks } from './0002-tasks.ts'
import { ledger } from './0003-ledger.ts'

/** In order; forward only. A release adds migrations and never edits one that has shipped. */
export const MIGRATIONS: readonly Migration[] = [registry, tasks, ledger]
