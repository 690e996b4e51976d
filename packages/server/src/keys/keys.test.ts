import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { inspect } from 'node:util'
import { countingEntropy } from '../../test/fakes/entropy.ts'
import { hostEntropy } from '../platform/entropy.ts'
import { addMasterKey, createKeys } from './key-files.ts'
import { keysMessage, openKeys, type Keys, type KeysRefusal } from './keys.ts'

const hasModes = process.platform === 'win32' ? 'windows has no modes' : false

function emptyDirectory(context: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'writ-keys-'))
  context.after(() => rmSync(dir, { recursive: true, force: true }))
  return join(dir, 'keys')
}

function madeDirectory(context: TestContext): string {
  const dir = emptyDirectory(context)
  assert.ok(createKeys(dir, hostEntropy).ok)
  return dir
}

function opened(dir: string): Keys {
  const keys = openKeys(dir, hostEntropy)
  return keys.ok ? keys.value : assert.fail(keysMessage(keys.refusal))
}

function refusalOf(dir: string): KeysRefusal {
  const keys = openKeys(dir, hostEntropy)
  return keys.ok ? assert.fail('the key directory was opened') : keys.refusal
}

/** Every file with all that matters of it, to show that nothing was written. */
const snapshot = (dir: string) => readdirSync(dir).map((name) => [name, statSync(join(dir, name)).mode, readFileSync(join(dir, name), 'utf8')])

test('a new key directory is for its user alone and holds three keys and no drafts', { skip: hasModes }, (context) => {
  const dir = madeDirectory(context)
  assert.equal(statSync(dir).mode & 0o777, 0o700)
  assert.deepEqual(readdirSync(dir).toSorted(), ['log-human.key', 'log-non-human.key', 'master.key'])
  for (const name of readdirSync(dir)) assert.equal(statSync(join(dir, name)).mode & 0o777, 0o600)
})

test('a server that starts again opens what it sealed and signs as the same two logs', (context) => {
  const dir = madeDirectory(context)
  const [before, after] = [opened(dir), opened(dir)]
  assert.equal(after.secrets.unseal(before.secrets.seal('secret', 'place'), 'place'), 'secret')
  assert.equal(after.replies.unseal(before.replies.seal('reply', 'place'), 'place'), 'reply')
  assert.ok(after.eventMac.isAuthentic(Buffer.from('leaf'), before.eventMac.macOf(Buffer.from('leaf'))))
  assert.deepEqual(after.signers.human.publicKey(), before.signers.human.publicKey())
  assert.notDeepEqual(before.signers.human.publicKey(), before.signers['non-human'].publicKey())
})

test('keys are made from the entropy given, and from nothing else', (context) => {
  const [one, other] = [emptyDirectory(context), emptyDirectory(context)]
  createKeys(one, countingEntropy())
  createKeys(other, countingEntropy())
  assert.deepEqual(snapshot(one), snapshot(other))
})

test('keys that exist are never overwritten', (context) => {
  const dir = madeDirectory(context)
  const before = snapshot(dir)
  assert.deepEqual(createKeys(dir, hostEntropy), { ok: false, refusal: { kind: 'already_exists', path: join(dir, 'master.key') } })
  assert.deepEqual(snapshot(dir), before)
})

test('a creation that was cut off before the master key is taken up where it stopped', (context) => {
  const dir = madeDirectory(context)
  const logKey = readFileSync(join(dir, 'log-human.key'), 'utf8')
  rmSync(join(dir, 'master.key'))
  rmSync(join(dir, 'log-non-human.key'))
  assert.ok(createKeys(dir, hostEntropy).ok)
  assert.equal(readFileSync(join(dir, 'log-human.key'), 'utf8'), logKey)
  opened(dir)
})

test('a key directory that can not be made is refused by name', (context) => {
  const dir = emptyDirectory(context)
  writeFileSync(dir, 'a file where the directory should be')
  const refused = createKeys(dir, hostEntropy)
  assert.ok(!refused.ok && refused.refusal.kind === 'unwritable')
  assert.ok(keysMessage(refused.refusal).includes(dir))
})

for (const name of ['master.key', 'log-human.key', 'log-non-human.key']) {
  test(`without \`${name}\` the server does not start, says so, and makes no new one`, (context) => {
    const dir = madeDirectory(context)
    rmSync(join(dir, name))
    const refusal = refusalOf(dir)
    assert.equal(refusal.kind, 'missing')
    assert.ok(keysMessage(refusal).startsWith(`key file \`${join(dir, name)}\` is missing: put back`))
    assert.equal(existsSync(join(dir, name)), false)
  })

  for (const mode of [0o640, 0o604, 0o660, 0o644, 0o777]) {
    test(`\`${name}\` with mode ${mode.toString(8)} is refused with the command that repairs it`, { skip: hasModes }, (context) => {
      const dir = madeDirectory(context)
      chmodSync(join(dir, name), mode)
      const refusal = refusalOf(dir)
      assert.equal(refusal.kind, 'too_open')
      const wayOut = `chmod 600 ${join(dir, name)}`
      assert.ok(keysMessage(refusal).endsWith(`run \`${wayOut}\``))
      chmodSync(join(dir, name), 0o600)
      opened(dir)
    })
  }

  for (const { what, text } of [
    { what: 'is empty', text: '' },
    { what: 'holds a password', text: 'hunter2\n' },
    { what: 'is too short', text: `${Buffer.alloc(31).toString('base64')}\n` },
    { what: 'is too long', text: `${Buffer.alloc(33).toString('base64')}\n` },
    { what: 'is a huge file', text: 'A'.repeat(100_000) },
    { what: 'holds a key of another kind', text: generateKeyPairSync('x25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString() },
  ]) {
    test(`\`${name}\` that ${what} is refused by its path and shows nothing of what it holds`, (context) => {
      const dir = madeDirectory(context)
      writeFileSync(join(dir, name), text)
      const refusal = refusalOf(dir)
      assert.equal(refusal.kind, 'not_a_key')
      const message = keysMessage(refusal)
      assert.ok(message.includes(join(dir, name)))
      assert.equal(text !== '' && message.includes(text.trim().slice(0, 20)), false)
    })
  }
}

test('a key directory that others can write to is refused with the command that repairs it', { skip: hasModes }, (context) => {
  const dir = madeDirectory(context)
  chmodSync(dir, 0o770)
  const refusal = refusalOf(dir)
  assert.equal(refusal.kind, 'too_open')
  assert.ok(keysMessage(refusal).endsWith(`run \`chmod 700 ${dir}\``))
})

test('a key directory as Kubernetes mounts it, of links in a sticky directory, is opened', { skip: hasModes }, (context) => {
  const made = madeDirectory(context)
  const mounted = join(made, '..', 'mounted')
  mkdirSync(mounted)
  chmodSync(mounted, 0o1777)
  for (const name of readdirSync(made)) symlinkSync(join(made, name), join(mounted, name))
  opened(mounted)
})

test('a key directory that is not there is refused by its path', (context) => {
  const dir = emptyDirectory(context)
  assert.deepEqual(refusalOf(dir), { kind: 'missing', path: dir })
})

test('a new master key seals from then on, and the older one still opens', (context) => {
  const dir = madeDirectory(context)
  const before = opened(dir)
  const sealed = before.secrets.seal('older', 'place')
  const mark = before.eventMac.macOf(Buffer.from('leaf'))
  for (const generation of [2, 3]) {
    assert.deepEqual(addMasterKey(dir, hostEntropy), { ok: true, value: { path: join(dir, `master-${generation}.key`) } })
  }
  const after = opened(dir)
  assert.equal(after.secrets.unseal(sealed, 'place'), 'older')
  assert.ok(after.eventMac.isAuthentic(Buffer.from('leaf'), mark))
  assert.notEqual(after.secrets.seal('newer', 'place').split('.')[1], sealed.split('.')[1])
  assert.deepEqual(after.checkKey(before.keyCheck()), { ok: true, value: { isNewest: false } })
  assert.deepEqual(after.checkKey(after.keyCheck()), { ok: true, value: { isNewest: true } })
})

test('the tenth master key is newer than the ninth', (context) => {
  const dir = madeDirectory(context)
  for (let i = 0; i < 9; i++) assert.ok(addMasterKey(dir, hostEntropy).ok)
  const newest = opened(dir).keyCheck()
  rmSync(join(dir, 'master-10.key'))
  assert.notEqual(opened(dir).keyCheck(), newest)
})

test('a store that was sealed under another master key is refused at start, and the message names both', (context) => {
  const [ours, theirs] = [opened(madeDirectory(context)), opened(madeDirectory(context))]
  const checked = ours.checkKey(theirs.keyCheck())
  assert.ok(!checked.ok && checked.refusal.kind === 'wrong_master_key')
  const message = keysMessage(checked.refusal)
  for (const keys of [ours, theirs]) assert.ok(message.includes(keys.keyCheck().split('.')[1]!))
  assert.match(message, /put back its own `master\.key`$/)
})

for (const stored of ['', 'k1', 'k2.aaaaaaaaaaaa.AAAA', 'k1.aaaaaaaaaaaa.AAAA.more']) {
  test(`\`${stored}\` in the store is not taken for a key check`, (context) => {
    const checked = opened(madeDirectory(context)).checkKey(stored)
    assert.ok(!checked.ok && checked.refusal.kind === 'malformed_key_check')
  })
}

test('a key check with another proof under our own key id is refused', (context) => {
  const keys = opened(madeDirectory(context))
  const checked = keys.checkKey(`${keys.keyCheck().slice(0, -3)}AAA`)
  assert.ok(!checked.ok && checked.refusal.kind === 'wrong_master_key')
})

test('printing the opened keys shows none of them', (context) => {
  const dir = madeDirectory(context)
  const keys = opened(dir)
  const shown = `${inspect(keys, { depth: 10, showHidden: true })} ${JSON.stringify(keys)} ${keys.keyCheck()}`
  const master = readFileSync(join(dir, 'master.key'), 'utf8').trim()
  for (const form of [master, Buffer.from(master, 'base64').toString('hex'), Buffer.from(master, 'base64').toString('base64url')]) {
    assert.equal(shown.includes(form), false)
  }
})
