import type { Migration } from '../migrate.ts'
import { registry } from './0001-registry.ts'
import { tasks } from './0002-tasks.ts'
import { ledger } from './0003-ledger.ts'
import { widening } from './0004-widening.ts'
import { federation } from './0005-federation.ts'
import { tokens } from './0006-tokens.ts'
import { restore } from './0007-restore.ts'
import { operators } from './0008-operators.ts'
import { decisions } from './0009-decisions.ts'
import { mcp } from './0010-mcp.ts'

/** In order; forward only. A release adds migrations and never edits one that has shipped. */
export const MIGRATIONS: readonly Migration[] = [registry, tasks, ledger, widening, federation, tokens, restore, operators, decisions, mcp]
