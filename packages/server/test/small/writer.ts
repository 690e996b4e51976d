import { runWriter } from '../../src/store/sqlite-writer.ts'
import { makeSmallContext, smallChanges, type SmallContext, type SmallTables } from './world.ts'

runWriter<SmallTables, SmallContext>(smallChanges, makeSmallContext)
