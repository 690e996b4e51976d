import assert from 'node:assert/strict'
import { test } from 'node:test'
import { blockOf, isInBlock, reachOf, type Reach } from './addresses.ts'

const REACHES: Readonly<Record<Reach, readonly string[]>> = {
  public: ['8.8.8.8', '1.1.1.1', '140.82.112.3', '2606:4700::1111', '2001:4860:4860::8888', '::ffff:8.8.8.8', '64:ff9b::8.8.8.8'],
  private: [
    '10.0.0.1', '10.255.255.255', '100.64.0.1', '127.0.0.1', '127.255.255.254', '172.16.0.1', '172.31.255.255', '192.0.2.1', '192.168.0.1', '198.18.0.1',
    '198.51.100.1', '203.0.113.1', '192.88.99.1', '::1', 'fc00::1', 'fd12:3456::1', '2001:db8::1', '3fff::1', '2002:7f00:1::', '2001::1', '64:ff9b:1::1', '5f00::1',
    '100::1', '4000::1', '::7f00:1', '::ffff:127.0.0.1', '::ffff:10.0.0.1', '::FFFF:7F00:1', '0:0:0:0:0:ffff:7f00:1', '64:ff9b::127.0.0.1', '64:ff9b::a00:1', '::ffff:0:7f00:1',
  ],
  never: [
    '0.0.0.0', '0.1.2.3', '169.254.169.254', '169.254.170.2', '224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255', '100.100.100.200', '168.63.129.16',
    '::', 'fe80::1', 'fe80::1%eth0', 'febf::1', 'ff02::1', 'fd00:ec2::254', '::ffff:169.254.169.254', '64:ff9b::169.254.169.254', '::ffff:0.0.0.0', 'localhost', '', '1.2.3', '127.1', '0x7f.0.0.1',
  ],
}

for (const [reach, addresses] of Object.entries(REACHES)) {
  for (const address of addresses) test(`\`${address}\` is ${reach}`, () => { assert.equal(reachOf(address), reach) })
}

test('a block holds its own addresses in every spelling, and no others', () => {
  const block = blockOf('10.20.0.0', 16)
  assert.deepEqual(['10.20.0.1', '::ffff:10.20.0.1', '64:ff9b::a14:1', '10.21.0.1', '::1', 'nonsense'].map((one) => isInBlock(block, one)), [true, true, true, false, false, false])
  assert.deepEqual(['fd00:1::1', 'fd01::1', '10.0.0.1'].map((one) => isInBlock(blockOf('fd00::', 16), one)), [true, false, false])
})
