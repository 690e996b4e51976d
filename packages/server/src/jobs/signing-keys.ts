import { rotateWhenDue, type RotateNeeds } from '../issue/signing-keys.ts'
import type { TokenKeys } from '../keys/token-keys.ts'
import type { Clock } from '../platform/clock.ts'

export type SigningKeyJobNeeds = RotateNeeds & { readonly tokenKeys: Pick<TokenKeys, 'refresh'>; readonly clock: Clock }

/** Every server reads the keys anew once a second, and one of them does what their ages ask for. */
export function signingKeyRound({ tokenKeys, clock, ...rotate }: SigningKeyJobNeeds): () => Promise<boolean> {
  return async () => {
    const keys = await tokenKeys.refresh()
    if (await rotateWhenDue(rotate, keys, clock.now())) await tokenKeys.refresh()
    return false
  }
}
