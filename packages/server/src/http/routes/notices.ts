import * as contract from '@writ/contract/notices'
import { mintId } from '@writ/domain/id'
import { unreachable } from '@writ/domain/outcome'
import { toIso, type EpochMs } from '@writ/domain/time'
import type { z } from 'zod'
import type { Store } from '../../record/tx.ts'
import { openAddress, type NoticeAddress } from '../../notices/address.ts'
import { send, troubleOf, type SendNeeds } from '../../notices/send.ts'
import { addTarget, recordTargetTest, removeNoticeTarget, type AddTargetRefusal, type TargetNeeds } from '../../notices/targets.ts'
import { testTelling } from '../../notices/telling.ts'
import { shownSecret } from '../../notices/webhook.ts'
import { countNotices, findNoticeTarget, listNoticeTargets, type NoticeTarget } from '../../store/notices.ts'
import { actorOf, route, type Route } from '../call.ts'
import { badField, problem, urlFaultText, type ProblemAnswer } from '../problem.ts'

export type NoticeRoutesNeeds = TargetNeeds & SendNeeds & { readonly store: Pick<Store, 'read' | 'change' | 'changeOnce'>; readonly origin: () => string }

const SECRET_BYTES = 32
const KEY_REUSED = problem('idempotency-key-reused')
const NO_TARGET = problem('not-found', { code: 'no_such_target', detail: 'there is no such notice target', hint: 'writ notice list' })
const REMOVED = problem('conflict', { code: 'already_removed', detail: 'it is removed already' })

export function noticeRoutes(needs: NoticeRoutesNeeds): readonly Route[] {
  const { store, clock, entropy, secrets } = needs
  const show = async (reference: string) => {
    const [target, counted] = await store.read(async (db) => [await findNoticeTarget(db, reference), await countsOf(db)] as const)
    return target && { target, reply: replyOf(target, counted) }
  }
  return [
    route(contract.listNoticeTargets, async () => ({
      reply: { targets: await store.read(async (db) => {
        const counted = await countsOf(db)
        return (await listNoticeTargets(db)).map((target) => replyOf(target, counted))
      }) },
    })),
    route(contract.addNoticeTarget, async ({ caller, body, once }) => {
      const address = addressOf(body, Buffer.from(entropy.bytes(SECRET_BYTES)).toString('base64'))
      const added = await addTarget(needs, { name: body.name, about: body.about, address }, actorOf(caller), once)
      if (!added.ok) return added.refusal.kind === 'key_reused' ? KEY_REUSED : addProblem(added.refusal, body.kind)
      const { target, reply } = (await show(added.value))!
      // Of the repeat of a request, the secret that its first time made.
      const kept = openAddress(secrets, target)
      return { reply: { ...reply, secret: kept?.kind === 'webhook' ? shownSecret(kept.secret) : null } }
    }),
    route(contract.removeNoticeTarget, async ({ caller, parameters, body, once }) => {
      const removed = await store.changeOnce(removeNoticeTarget, { reference: parameters.id!, reason: body.reason, by: actorOf(caller), now: clock.now() }, once)
      if (!removed.ok) {
        switch (removed.refusal.kind) {
          case 'key_reused': return KEY_REUSED
          case 'no_such_target': return NO_TARGET
          case 'already_removed': return REMOVED
          default: return unreachable(removed.refusal)
        }
      }
      return { reply: (await show(removed.value.value))!.reply }
    }),
    route(contract.testNoticeTarget, async ({ caller, parameters }) => {
      const target = (await show(parameters.id!))?.target
      if (target === undefined) return NO_TARGET
      const address = openAddress(secrets, target)
      if (address === undefined) return REMOVED
      const now = clock.now()
      const sent = await send(needs, address, testTelling(mintId('notice', now, entropy.bytes(10)), now, needs.origin()))
      const trouble = sent.ok ? null : troubleOf(sent.refusal)
      await store.change(recordTargetTest, { target: target.id, trouble, by: actorOf(caller), now: clock.now() })
      return { reply: { arrived: sent.ok, trouble } }
    }),
  ]
}

type Body = z.output<typeof contract.addNoticeTargetBody>

function addressOf(body: Body, secret: string): NoticeAddress {
  const ca = body.ca ?? null
  switch (body.kind) {
    case 'webhook': return { kind: 'webhook', url: body.url, ca, secret }
    case 'slack': return { kind: 'slack', url: body.url, ca }
    case 'mail': {
      const { host, port, security, username = null, password = null } = body.smtp
      return { kind: 'mail', from: body.from, to: body.to, server: { host, port, security, username, password, ca } }
    }
    default: return unreachable(body)
  }
}

type Counts = { readonly waiting: ReadonlyMap<string, number>; readonly failed: ReadonlyMap<string, number> }

const countsOf = async (db: Parameters<typeof countNotices>[0]): Promise<Counts> => ({ waiting: await countNotices(db, 'waiting'), failed: await countNotices(db, 'failed') })

const orNull = (at: EpochMs | null): string | null => (at === null ? null : toIso(at))

const replyOf = (target: NoticeTarget, { waiting, failed }: Counts): contract.NoticeTargetReply => ({
  id: target.id, name: target.name, kind: target.kind, about: [...target.about], place: target.place, state: target.state, added_at: toIso(target.addedAt), removed_at: orNull(target.removedAt),
  waiting: waiting.get(target.id) ?? 0, failed: failed.get(target.id) ?? 0, last_sent_at: orNull(target.lastSentAt), trouble: target.trouble,
})

function addProblem(refusal: AddTargetRefusal, kind: Body['kind']): ProblemAnswer {
  switch (refusal.kind) {
    case 'already_exists': return problem('already-exists', { code: refusal.kind, detail: 'there is a notice target of this name', hint: 'give it another name, or remove that one' })
    case 'not_allowed': return badField(kind === 'mail' ? 'smtp.host' : 'url', urlFaultText(refusal.fault))
    case 'unprotected': return badField('smtp.security', 'must be `tls` or `starttls`, but for a mail server on this very machine that WRIT_OUTBOUND_ALLOW names')
    default: return unreachable(refusal)
  }
}
