import { changeIssuer, listIssuers, removeIssuer, showIssuer, trustIssuer, type IssuerReply } from '@writ/contract/issuers'
import { parseStrictJson } from '@writ/contract/strict-json'
import type { Command } from 'commander'
import { confirm, readInput, textFor } from '../ask.ts'
import { call } from '../client.ts'
import { operatorConnection, startOf, type Start } from '../connections.ts'
import { usage, type Run } from '../exit.ts'
import { printList, printThing, say, whenOf } from '../output.ts'

export function define(command: Command, run: Run): void {
  command.command('list').description('list issuers of workload tokens, and trust domains').action((_, own: Command) => run(async () => {
    const start = await startOf(own)
    const { issuers } = await call(operatorConnection(start), listIssuers)
    await printList(start.settings, issuers, [
      { head: 'url', of: (row) => row.url },
      { head: 'kind', of: (row) => row.kind },
      { head: 'keys', of: keysText },
      { head: 'bindings', of: (row) => row.bindings },
      { head: 'state', of: (row) => row.state },
      { head: 'trusted', of: (row) => whenOf(start.settings, row.trusted_at) },
    ])
  }))
  command.command('show <issuer>').description('one issuer, by its URL or id').action((issuer: string, _, own: Command) => run(async () => {
    const start = await startOf(own)
    await printIssuer(start, await call(operatorConnection(start), showIssuer, { parameters: { id: issuer } }))
  }))
  sourceOptions(command.command('trust <url>').description('trust an issuer: an https URL exactly as its tokens say it in `iss`, or spiffe://TRUST-DOMAIN'))
    .action((url: string, flags: SourceFlags, own: Command) => run(async () => {
      const start = await startOf(own)
      const body = { url, kind: url.startsWith('spiffe://') ? 'spiffe' as const : 'oidc' as const, ...await sourceOf(flags) }
      const trusted = await call(operatorConnection(start), trustIssuer, { body })
      await printIssuer(start, trusted)
      if (trusted.bindings_revoked !== null) {
        say(start.settings, `it had been removed: ${trusted.bindings_revoked} of its bindings from before are revoked and stay so, and identities that its removal retired stay retired. \`writ identity bind\` says anew what it may vouch for`)
      }
    }))
  sourceOptions(command.command('set-keys <issuer>').description('say where its keys come from, from now on; without a flag by discovery'))
    .option('--reason <text>', 'why; it is recorded')
    .action((issuer: string, flags: SourceFlags & { readonly reason?: string }, own: Command) => run(async () => {
      const start = await startOf(own)
      const source = await sourceOf(flags)
      const reason = await textFor(start.settings, '--reason', flags.reason, 'why?')
      await printIssuer(start, await call(operatorConnection(start), changeIssuer, { parameters: { id: issuer }, body: { ...source, reason } }))
    }))
  command.command('remove <issuer>').description('stop trusting an issuer; identities whose trigger it is are retired, and its bindings never let anybody in again').option('--reason <text>', 'why; it is recorded')
    .action((issuer: string, flags: { readonly reason?: string }, own: Command) => run(async () => {
      const start = await startOf(own)
      const reason = await textFor(start.settings, '--reason', flags.reason, 'why?')
      if (start.settings.mayAsk) await confirm(start.settings, `stop trusting ${issuer}? its bindings never let anybody in again, also if it is trusted again`)
      await printIssuer(start, await call(operatorConnection(start), removeIssuer, { parameters: { id: issuer }, body: { reason } }))
    }))
}

type SourceFlags = { readonly jwksUri?: string; readonly jwks?: string; readonly spiffeBundle?: string; readonly bundleUrl?: string; readonly ca?: string }

const sourceOptions = (command: Command): Command => command
  .option('--jwks-uri <url>', 'where its keys lie, without discovery')
  .option('--jwks <file>', 'its keys themselves, a JWK Set; nothing is ever fetched')
  .option('--spiffe-bundle <file>', 'the bundle of a trust domain')
  .option('--bundle-url <url>', 'where a trust domain publishes its bundle')
  .option('--ca <file>', 'certification authorities of its own in PEM, as a Kubernetes API server has')

async function sourceOf(flags: SourceFlags) {
  const given = [['--jwks-uri', flags.jwksUri], ['--jwks', flags.jwks], ['--spiffe-bundle', flags.spiffeBundle], ['--bundle-url', flags.bundleUrl]].filter(([, value]) => value !== undefined).map(([flag]) => flag)
  if (given.length > 1) throw usage(`${given.join(' and ')} exclude each other`)
  return {
    ...(flags.jwksUri === undefined ? {} : { jwks_uri: flags.jwksUri }),
    ...(flags.bundleUrl === undefined ? {} : { bundle_url: flags.bundleUrl }),
    ...(flags.jwks === undefined ? {} : { jwks: await readKeySet(flags.jwks) }),
    ...(flags.spiffeBundle === undefined ? {} : { bundle: await readKeySet(flags.spiffeBundle) }),
    ...(flags.ca === undefined ? {} : { ca: await readInput(flags.ca) }),
  }
}

type KeySet = { readonly keys: Record<string, unknown>[] }

/** Whether the keys are any good, the server says; here it is only seen that they are some. */
async function readKeySet(path: string): Promise<KeySet> {
  const parsed = parseStrictJson(await readInput(path))
  if (parsed.ok && typeof parsed.value === 'object' && parsed.value !== null && 'keys' in parsed.value && Array.isArray(parsed.value.keys)) return parsed.value as KeySet
  throw usage(`\`${path}\` holds no JWK Set`, 'it is JSON with a member `keys`')
}

const keysText = ({ keys }: IssuerReply): string => (keys.source === 'inline' ? `${keys.inline.length} given` : keys.url ?? keys.source)

async function printIssuer({ settings }: Start, issuer: IssuerReply): Promise<void> {
  await printThing(settings, issuer, [
    ['url', issuer.url], ['id', issuer.id], ['kind', issuer.kind], ['state', issuer.state], ['keys', keysText(issuer)],
    ...issuer.keys.inline.map((key) => ['key', `${key.kid ?? '-'}  ${key.alg}  ${key.thumbprint}`] as const),
    ['own authority', issuer.own_ca ? 'yes' : 'no'], ['bindings', issuer.bindings], ['trusted', whenOf(settings, issuer.trusted_at)], ['changed', whenOf(settings, issuer.changed_at)],
  ])
}
