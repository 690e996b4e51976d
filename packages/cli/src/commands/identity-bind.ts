import { bindIdentity, unbindIdentity, type IdentityReply } from '@writ/contract/registry'
import { InvalidArgumentError, type Command } from 'commander'
import { textFor } from '../ask.ts'
import { call } from '../client.ts'
import { operatorConnection, startOf, type Start } from '../connections.ts'
import type { Run } from '../exit.ts'

type Claim = readonly [name: string, text: string]
type BindFlags = { readonly issuer: string; readonly audience: string; readonly claim: readonly Claim[]; readonly replace?: true }

/** How `identity` finds and prints what a command is about. */
export type IdentityWords = { readonly idOf: (asked: string, start: Start) => string; readonly print: (start: Start, identity: IdentityReply) => Promise<void> }

export function defineBind(command: Command, run: Run, { idOf, print }: IdentityWords): void {
  command.command('bind <identity>').description('let workloads of a trusted issuer claim an identity, without a key of ours')
    .requiredOption('--issuer <url>', 'who vouches for them, exactly as trusted')
    .requiredOption('--audience <text>', 'what their tokens say in `aud`, and nothing else')
    .requiredOption('--claim <claim=text>', 'what a claim must say, such as sub=system:serviceaccount:shop:deployer; `*` may end a text behind `:` or `/`; all claims must hold, and of one that is repeated one text', oneMoreClaim)
    .option('--replace', 'revoke the keys and bindings before in the same step')
    .action((asked: string, flags: BindFlags, own: Command) => run(async () => {
      const start = await startOf(own)
      const body = { issuer: flags.issuer, audience: flags.audience, claims: claimsOf(flags.claim), replace: flags.replace === true }
      await print(start, await call(operatorConnection(start), bindIdentity, { parameters: { id: idOf(asked, start) }, body }))
    }))
  command.command('unbind <identity> <binding>').description('revoke one binding').option('--reason <text>', 'why; it is recorded')
    .action((asked: string, binding: string, flags: { readonly reason?: string }, own: Command) => run(async () => {
      const start = await startOf(own)
      const reason = await textFor(start.settings, '--reason', flags.reason, 'why?')
      await print(start, await call(operatorConnection(start), unbindIdentity, { parameters: { id: idOf(asked, start), binding }, body: { reason } }))
    }))
}

/** `sub=repo:acme/shop:*`: the name ends at the first `=`. */
export function oneMoreClaim(text: string, before: readonly Claim[] = []): readonly Claim[] {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('it must be CLAIM=TEXT such as `sub=system:serviceaccount:shop:deployer`.')
  return [...before, [text.slice(0, at), text.slice(at + 1)]]
}

/** A claim that stands once is that text; one that is repeated, one of its texts. */
export function claimsOf(claims: readonly Claim[]): Record<string, string | string[]> {
  const texts = new Map<string, string[]>()
  for (const [name, text] of claims) texts.set(name, [...texts.get(name) ?? [], text])
  return Object.fromEntries([...texts].map(([name, all]) => [name, all.length === 1 ? all[0]! : all]))
}

export const bindingLines = ({ bindings }: Pick<IdentityReply, 'bindings'>): readonly (readonly [string, string])[] => bindings.map((one) => [
  'binding', `${one.id}  ${one.issuer}  ${one.audience}  ${Object.entries(one.claims).map(([claim, text]) => `${claim}=${typeof text === 'string' ? text : text.join('|')}`).join(' and ')}  ${one.state}`,
])
