import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { OutboundRefusal } from '../src/platform/outbound.ts'

/** Names that a resolver of the internet knows, and some that it should not. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  'public.example': ['8.8.8.8'], 'loopback.example': ['127.0.0.1'], 'loopback6.example': ['::1'], 'mapped.example': ['::ffff:127.0.0.1'], 'nat64.example': ['64:ff9b::7f00:1'],
  'private.example': ['10.0.0.5'], 'metadata.example': ['169.254.169.254'], 'ula.example': ['fd00::1'], 'linklocal.example': ['fe80::1'], 'mixed.example': ['8.8.8.8', '127.0.0.1'],
  'cgnat.example': ['100.64.1.1'], 'multicast.example': ['224.0.0.1'], 'unspecified.example': ['0.0.0.0'], 'sixtofour.example': ['2002:7f00:1::1'], 'garbage.example': ['not an address'],
  'nothing.example': [], localhost: ['127.0.0.1'],
}
export const byTable = async (host: string): Promise<readonly string[]> => NAMES[host] ?? []

/** Asked of an outbound without any exception: each is refused, and nothing is connected to. */
export const HOSTILE: readonly (readonly [url: string, kind: OutboundRefusal['kind']])[] = [
  ['', 'bad_url'], ['issuer', 'bad_url'], ['//issuer.example', 'bad_url'], ['https://', 'bad_url'], ['https:///etc/passwd', 'no_such_host'], ['http://public.example/', 'bad_url'],
  ['http://127.0.0.1/', 'bad_url'], ['http://localhost/', 'bad_url'], ['http://[::1]:80/', 'bad_url'], ['ftp://public.example/', 'bad_url'], ['file:///etc/passwd', 'bad_url'], ['data:application/json,{}', 'bad_url'],
  ['javascript:1', 'bad_url'], ['gopher://public.example/', 'bad_url'], ['ws://public.example/', 'bad_url'], ['blob:https://public.example/1', 'bad_url'], ['unix:/run/docker.sock', 'bad_url'], ['HTTP://PUBLIC.EXAMPLE/', 'bad_url'],
  ['https://user@public.example/', 'bad_url'], ['https://user:secret@public.example/', 'bad_url'], ['https://@public.example/', 'bad_url'], ['https://:@public.example/', 'bad_url'], ['https://public.example@127.0.0.1/', 'bad_url'],
  ['https://public.example/#a', 'bad_url'], ['https://public.example/#', 'bad_url'], ['https://public.example:0/', 'bad_url'], ['https://public.example:99999/', 'bad_url'], ['https://public.example:-1/', 'bad_url'],
  ['https://127.0.0.1/', 'address_not_allowed'], ['https://127.1/', 'address_not_allowed'], ['https://2130706433/', 'address_not_allowed'], ['https://0x7f000001/', 'address_not_allowed'], ['https://0x7f.1/', 'address_not_allowed'],
  ['https://0177.0.0.1/', 'address_not_allowed'], ['https://017700000001/', 'address_not_allowed'], ['https://127.0.0.1./', 'address_not_allowed'], ['https://１２７.0.0.1/', 'address_not_allowed'], ['https://127。0。0。1/', 'address_not_allowed'],
  ['https://0/', 'address_not_allowed'], ['https://0.0.0.0/', 'address_not_allowed'], ['https://10.0.0.1/', 'address_not_allowed'], ['https://172.16.0.1/', 'address_not_allowed'], ['https://192.168.1.1:8443/', 'address_not_allowed'],
  ['https://100.64.0.1/', 'address_not_allowed'], ['https://169.254.169.254/latest/meta-data/', 'address_not_allowed'], ['https://0xa9fea9fe/', 'address_not_allowed'], ['https://224.0.0.1/', 'address_not_allowed'], ['https://255.255.255.255/', 'address_not_allowed'],
  ['https://198.18.0.1/', 'address_not_allowed'], ['https://[::1]/', 'address_not_allowed'], ['https://[::]/', 'address_not_allowed'], ['https://[::ffff:127.0.0.1]/', 'address_not_allowed'], ['https://[::ffff:7f00:1]/', 'address_not_allowed'],
  ['https://[::127.0.0.1]/', 'address_not_allowed'], ['https://[64:ff9b::7f00:1]/', 'address_not_allowed'], ['https://[64:ff9b::169.254.169.254]/', 'address_not_allowed'], ['https://[fe80::1]/', 'address_not_allowed'], ['https://[fd00:ec2::254]/', 'address_not_allowed'],
  ['https://[fc00::1]/', 'address_not_allowed'], ['https://[ff02::1]/', 'address_not_allowed'], ['https://[2001:db8::1]/', 'address_not_allowed'], ['https://[2002:7f00:1::]/', 'address_not_allowed'], ['https://[::1%25lo]/', 'bad_url'],
  ['https://localhost/', 'address_not_allowed'], ['https://LOCALHOST/', 'address_not_allowed'], ['https://loopback.example/', 'address_not_allowed'], ['https://loopback6.example/', 'address_not_allowed'], ['https://mapped.example/', 'address_not_allowed'],
  ['https://nat64.example/', 'address_not_allowed'], ['https://private.example/', 'address_not_allowed'], ['https://metadata.example/', 'address_not_allowed'], ['https://ula.example/', 'address_not_allowed'], ['https://linklocal.example/', 'address_not_allowed'],
  ['https://mixed.example/', 'address_not_allowed'], ['https://cgnat.example/', 'address_not_allowed'], ['https://multicast.example/', 'address_not_allowed'], ['https://unspecified.example/', 'address_not_allowed'], ['https://sixtofour.example/', 'address_not_allowed'],
  ['https://garbage.example/', 'address_not_allowed'], ['https://nothing.example/', 'no_such_host'], ['https://unknown.example/', 'no_such_host'], ['https://localhost./', 'no_such_host'],
  ['https://127.255.255.254/', 'address_not_allowed'], ['https://0x7f.0.0.1/', 'address_not_allowed'], ['https://0177.0.0.01/', 'address_not_allowed'], ['https://127.0.1/', 'address_not_allowed'], ['https://%31%32%37.0.0.1/', 'address_not_allowed'],
  ['https://①②⑦.⓪.⓪.①/', 'address_not_allowed'], ['https://127.0.0.1:443@public.example/', 'bad_url'], ['https://public.example%40127.0.0.1/', 'bad_url'], ['https://127.0.0.1\\@public.example/', 'address_not_allowed'], ['https:\\\\127.0.0.1\\x', 'address_not_allowed'],
  ['https:127.0.0.1', 'address_not_allowed'], ['https://169.254.169.254./', 'address_not_allowed'], ['https://0251.0376.0251.0376/', 'address_not_allowed'], ['https://2852039166/', 'address_not_allowed'], ['https://169.254.43518/', 'address_not_allowed'],
  ['https://[::ffff:169.254.169.254]/', 'address_not_allowed'], ['https://[::ffff:a9fe:a9fe]/', 'address_not_allowed'], ['https://[64:ff9b::a9fe:a9fe]/', 'address_not_allowed'], ['https://[64:ff9b:1::1]/', 'address_not_allowed'], ['https://[0:0:0:0:0:0:0:1]/', 'address_not_allowed'],
  ['https://[0000::0001]/', 'address_not_allowed'], ['https://[::0.0.0.0]/', 'address_not_allowed'], ['https://[fd00::1]:8443/', 'address_not_allowed'], ['https://[fec0::1]/', 'address_not_allowed'], ['https://[100::1]/', 'address_not_allowed'],
  ['https://[2001::1]/', 'address_not_allowed'], ['https://[2001:0:7f00:1::]/', 'address_not_allowed'], ['https://[::ffff:0:127.0.0.1]/', 'address_not_allowed'], ['https://[::1/', 'bad_url'], ['https://[127.0.0.1]/', 'bad_url'],
  ['https://192.0.2.1/', 'address_not_allowed'], ['https://203.0.113.9/', 'address_not_allowed'], ['https://192.88.99.1/', 'address_not_allowed'], ['https://240.0.0.1/', 'address_not_allowed'], ['https://100.100.100.200/', 'address_not_allowed'],
  ['https://168.63.129.16/', 'address_not_allowed'], ['https://256.0.0.1/', 'bad_url'], ['https://1.2.3.4.5/', 'bad_url'], ['https://0xg/', 'no_such_host'], ['https://LoopBack.Example/', 'address_not_allowed'],
  ['https://ⓛoopback.example/', 'address_not_allowed'], ['https://loopback。example/', 'address_not_allowed'], ['https://loopback.example:8443/x?y=1', 'address_not_allowed'], ['https://loopback.example./', 'no_such_host'], ['https://xn--a/', 'no_such_host'],
  [' https://127.0.0.1/ ', 'address_not_allowed'], ['ht\ntps://127.0.0.1/', 'address_not_allowed'], ['https://pub lic.example/', 'bad_url'], ['https://public.example\u0000.evil/', 'bad_url'], ['http://public.example:443/', 'bad_url'],
  ['dict://public.example/', 'bad_url'], ['ldap://public.example/', 'bad_url'], ['jar:https://public.example!/', 'bad_url'], ['wss://public.example/', 'bad_url'], ['view-source:https://public.example/', 'bad_url'],
]

/** Counts the sockets that this process begins to connect, from now until it is asked. */
export function countConnections(): () => number {
  let count = 0
  const onSocket = (): void => { count += 1 }
  subscribe('net.client.socket', onSocket)
  return () => {
    unsubscribe('net.client.socket', onSocket)
    return count
  }
}
