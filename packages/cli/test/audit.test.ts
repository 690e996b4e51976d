import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { printVerifierKey } from '@writ/ledger/note'
import { leafText, makeLog } from '../../ledger/test/made-log.ts'
import { surrounded } from '../../ledger/test/story.ts'
import { logKey, problem } from './double.ts'
import { stageWithServer, startWrit } from './run-writ.ts'
import { warmWritForFile } from './warm-writ.ts'

const writ = warmWritForFile()

const EVENT = {
  id: 'evt_1', stream: 'non-human', type: 'task.opened', at: '2026-09-21T00:00:00.000Z', actor: { kind: 'identity', id: 'nhi_1' }, task: 'tsk_1', identity: 'nhi_1', lease: null, facts: { depth: 0, authority: ['postgres:shop:ddl'] },
  said: { purpose: 'tidy\u001b]0;root\u0007 up' }, leaf_index: 7, log: null, ocsf: { class_uid: 3003, activity_id: 1, type_uid: 300301, time: 1 },
}

test('audit tail shows events with what was said marked and inert', async (t) => {
  const stage = await stageWithServer(t)
  stage.double.instead.set('/v1/events', [{ status: 200, value: { events: [EVENT], next: null } }])
  const done = await writ(stage, ['audit', 'tail'])
  assert.equal(done.code, 0, done.err)
  assert.match(done.out, /^2026-09-21T00:00:00\.000Z {2}#7 {2}task\.opened {2}identity:nhi_1 {2}tsk_1 {2}depth=0 {2}authority=\["postgres:shop:ddl"\] {2}purpose \(as said\)="tidy/)
  assert.doesNotMatch(done.out.replace('\n', ''), /\p{Cc}/u)
})

test('audit tail --follow goes on after the last event until Ctrl-C', async (t) => {
  const stage = await stageWithServer(t)
  const later = { ...EVENT, id: 'evt_2', type: 'task.ended' }
  stage.double.instead.set('/v1/events', [{ status: 200, value: { events: [EVENT], next: null } }, { status: 200, value: { events: [later], next: null } }, problem(500, 'internal')])
  const running = startWrit(stage, ['audit', 'tail', '--follow', '--jsonl', '--stream', 'non-human'])
  await running.saw('task.ended')
  const done = await running.ended
  assert.deepEqual(done.out.trim().split('\n').map((line) => (JSON.parse(line) as { readonly id: string }).id), ['evt_1', 'evt_2'])
  assert.equal(done.code, 1)
})

test('an exported log and its key verify', async (t) => {
  const stage = await stageWithServer(t)
  const log = makeLog(logKey, surrounded().map(leafText))
  stage.double.instead.set('/v1/logs/non-human/export', [{ status: 200, value: `${log.lines.join('\n')}\n`, headers: { 'content-type': 'application/x-ndjson' } }])
  const done = await writ(stage, ['audit', 'export', '--stream', 'non-human', 'log.jsonl'])
  assert.equal(done.code, 0, done.err)
  assert.equal(await readFile(join(stage.folder, 'log.jsonl.key'), 'utf8'), `${printVerifierKey(logKey.key)}\n`)
  assert.equal((await writ(stage, ['verify', '--key', 'log.jsonl.key', 'log.jsonl'])).code, 0)
})

test('an export that is refused leaves no file', async (t) => {
  const stage = await stageWithServer(t)
  stage.double.instead.set('/v1/logs/non-human/export', [problem(403, 'not-allowed')])
  assert.equal((await writ(stage, ['audit', 'export', 'log.jsonl'])).code, 4)
  assert.deepEqual((await readdir(stage.folder)).filter((name) => name.startsWith('log')), [])
})

test('audit checkpoint prints the signed note as it is', async (t) => {
  const stage = await stageWithServer(t)
  const done = await writ(stage, ['audit', 'checkpoint'])
  assert.equal(done.out, makeLog(logKey, surrounded().map(leafText)).note.replace(/\u2014 .*\n$/, '') + done.out.slice(done.out.indexOf('\u2014')))
  assert.match(done.out, /^writ\.example\/logs\/non-human\n\d+\n/)
})
