import assert from 'node:assert/strict'
import { test } from 'node:test'
import { problem } from './double.ts'
import { stageWithServer } from './run-writ.ts'
import { warmWritForFile } from './warm-writ.ts'

const writ = warmWritForFile()

const KEY = { kid: 'kid-of-the-test', alg: 'ES256', state: 'active', published_at: '2026-11-22T00:00:00.000Z', activated_at: '2026-11-22T00:05:10.000Z', retired_at: null, revoked_at: null }
const KEYS = { status: 200, value: { keys: [KEY] } }

test('keys list shows each key, its state and its times', async (t) => {
  const stage = await stageWithServer(t)
  stage.double.instead.set('/v1/signing-keys', [KEYS])
  const done = await writ(stage, ['keys', 'list', '--plain'])
  assert.equal(done.code, 0, done.err)
  assert.match(done.out, /kid-of-the-test\tactive\t2026-11-22T00:00:00\.000Z\t2026-11-22T00:05:10\.000Z/)
})

test('keys rotate shows the next key and revokes nothing', async (t) => {
  const stage = await stageWithServer(t)
  stage.double.instead.set('/v1/signing-keys/rotate', [KEYS])
  const done = await writ(stage, ['keys', 'rotate'])
  assert.equal(done.code, 0, done.err)
  assert.deepEqual(stage.double.paths(), ['POST /v1/signing-keys/rotate'])
})

test('an emergency says why, and what it means for who checks tokens alone', async (t) => {
  const stage = await stageWithServer(t)
  stage.double.instead.set('/v1/signing-keys/replace', [KEYS])
  const done = await writ(stage, ['keys', 'rotate', '--emergency', '--reason', 'a key may have leaked'])
  assert.equal(done.code, 0, done.err)
  assert.deepEqual(stage.double.asked.map((one) => one.body), [{ reason: 'a key may have leaked' }])
  assert.match(done.err, /refused from now on/)
})

test('an emergency without a reason, and a reason without an emergency, ask the server nothing', async (t) => {
  const stage = await stageWithServer(t)
  assert.deepEqual([(await writ(stage, ['keys', 'rotate', '--emergency'])).code, (await writ(stage, ['keys', 'rotate', '--reason', 'x'])).code], [2, 2])
  assert.deepEqual(stage.double.asked, [])
})

test('somebody else was faster: nothing is repeated, and the exit code says conflict', async (t) => {
  const stage = await stageWithServer(t)
  stage.double.instead.set('/v1/signing-keys/replace', [problem(409, 'conflict')])
  assert.equal((await writ(stage, ['keys', 'rotate', '--emergency', '--reason', 'x'])).code, 6)
})
