import { ANSWER_HOLDS_MS } from '../upstreams/older-calls.ts'
import type { McpAnswer, McpMessage } from '../upstreams/upstream.ts'
import { notificationText, requestText } from './json-rpc.ts'
import { questionFor } from './older-words.ts'
import { RPC_CODES, rpcError } from './refused.ts'
import type { Session } from './sessions.ts'

const NO_ANSWER: McpAnswer = { kind: 'error', error: rpcError(RPC_CODES.internal, 'the client did not answer in time') }

/**
 * Asks a client what a server asks while none of its requests is on its way (2025-11-25, basic/transports, listening for messages): on the
 * newest stream that it hears. Undefined where it hears none.
 */
export function askOutside(session: Session, question: McpMessage, withdrawn: AbortSignal): Promise<McpAnswer> | undefined {
  const stream = session.standing.findLast((one) => one.isHeard)
  if (stream === undefined || session.ended.aborted) return undefined
  const id = session.nextAskId()
  const asked = questionFor(session.client, question, id)
  if (!asked.ok) return Promise.resolve({ kind: 'error', error: asked.refusal })
  const { promise, resolve } = Promise.withResolvers<McpAnswer>()
  const settle = (answer: McpAnswer): void => {
    session.asked.delete(id)
    clearTimeout(late)
    session.ended.removeEventListener('abort', onGone)
    withdrawn.removeEventListener('abort', takeBack)
    resolve(answer)
  }
  const onGone = (): void => { settle(NO_ANSWER) }
  const takeBack = (): void => {
    stream.say(notificationText({ method: 'notifications/cancelled', params: { requestId: id } }), 'may')
    settle(NO_ANSWER)
  }
  const late = setTimeout(takeBack, ANSWER_HOLDS_MS).unref()
  withdrawn.addEventListener('abort', takeBack, { once: true })
  session.ended.addEventListener('abort', onGone, { once: true })
  session.asked.set(id, settle)
  stream.say(requestText(id, asked.value))
  return promise
}
