import { cancelApproval, lapseApprovals } from './approvals/end.ts'
import { requestApproval } from './approvals/request.ts'
import { setApprovalRoutes } from './approvals/routes.ts'
import { approveApproval, denyApproval } from './approvals/vote.ts'
import { showEvidence } from './authenticate/evidence-key.ts'
import { useOnce } from './authenticate/one-time.ts'
import { keepSignIn } from './authenticate/sign-in.ts'
import { warmPolicies } from './decide/warm.ts'
import { evaluate } from './evaluate/evaluate.ts'
import { issueTokenBy } from './issue/access-token.ts'
import { abandonLease, activateLease, intendLease } from './issue/issue-lease.ts'
import { revokeToken } from './issue/revoke-token.ts'
import { makeFirstKey, publishKey, replaceKeys, turnKeys } from './issue/signing-keys.ts'
import { findOrphan, withdrawOrphan } from './jobs/orphans.ts'
import { forget } from './jobs/forget.ts'
import { tryRoom } from './jobs/room.ts'
import { blockPerson, unblockPerson } from './people/block.ts'
import { invitePerson, registerByLink } from './people/by-link.ts'
import { answerDeviceSignIn, beginDeviceSignIn, redeemDeviceSignIn } from './people/device-sign-in.ts'
import { enrolPasskey, removePasskey, stepUp } from './people/passkeys.ts'
import { beginProviderSignIn, takeProviderSignInUp } from './people/provider-sign-in.ts'
import { giveRole, removeRoleRule, setRoleRule, takeRole } from './people/roles.ts'
import { revokeSignIn, signInByPasskey, signInPerson, signOut } from './people/sign-in.ts'
import { claimDueNotices, queueNotices, settleSent } from './notices/outbox.ts'
import { addNoticeTarget, recordTargetTest, removeNoticeTarget } from './notices/targets.ts'
import { applyPolicies, installPolicies, rollBackPolicies } from './policies/apply.ts'
import { eraseDecision } from './policies/erase-evaluated.ts'
import { setModeOf } from './policies/mode.ts'
import { install } from './record/install.ts'
import { rejectForged, sealBatch, startLog } from './record/seal.ts'
import type { AnyWritChange } from './record/tx.ts'
import { applyManifest } from './registry/apply-manifest.ts'
import { bindIdentity, unbindIdentity } from './registry/bindings.ts'
import { changeIdentity, fireTrigger, retireDueIdentities, transferIdentity } from './registry/change-identity.ts'
import { resolveFinding } from './registry/findings.ts'
import { changeIssuer, removeIssuer, trustIssuer } from './registry/issuers.ts'
import { beginBackup, recordBackup } from './registry/take-backup.ts'
import { addOperator, offerBootstrap, redeemBootstrap, removeOperator } from './registry/operators.ts'
import { addKey, registerIdentity, revokeKey } from './registry/register.ts'
import { addBackend, keepNextSecret, keepSecret, recordBackendTest, removeBackend, takeNextSecret } from './registry/watched.ts'
import { claimLeases, endLease, failWithdrawal, holdLeases, stopLease, surveyLease } from './revoke/lease-changes.ts'
import { endTask } from './revoke/end-task.ts'
import { endDueTokens, recordAcceptedToken } from './revoke/end-tokens.ts'
import { makeStop } from './stops/make.ts'
import { answerStop, settleStop } from './stops/settle.ts'
import { delegateTask } from './tasks/delegate-task.ts'
import { endDueTasks, heartbeat } from './tasks/keep-task.ts'
import { openTask, openTaskIn } from './tasks/open-task.ts'
import { widenTask } from './tasks/widen-task.ts'
import { addMcpServer } from './tools/add.ts'
import { finishCalls } from './tools/finish-call.ts'
import { beginInstance, keepInstance, leaveInstance } from './tools/instances.ts'
import { retireMcpServer } from './tools/retire.ts'
import { rotateMcpSecret } from './tools/rotate-secret.ts'
import { see, settleTools } from './tools/see.ts'
import { loseCalls } from './tools/unknown-calls.ts'
import { noteAskedTooOften } from './watch/asks-too-often.ts'

/** A token is issued together with the task that it is for. */
export const issueToken = issueTokenBy(openTaskIn)

/** Every change there is: the writer's thread runs no other. */
export const CHANGES: readonly AnyWritChange[] = [
  beginBackup, recordBackup,
  install, startLog, sealBatch, rejectForged, offerBootstrap, redeemBootstrap, addOperator, removeOperator, useOnce, forget, tryRoom,
  signInPerson, signInByPasskey, keepSignIn, revokeSignIn, signOut, enrolPasskey, removePasskey, stepUp, blockPerson, unblockPerson,
  giveRole, takeRole, setRoleRule, removeRoleRule, invitePerson, registerByLink,
  beginProviderSignIn, takeProviderSignInUp, beginDeviceSignIn, answerDeviceSignIn, redeemDeviceSignIn,
  registerIdentity, applyManifest, changeIdentity, transferIdentity, fireTrigger, retireDueIdentities, addKey, revokeKey,
  addBackend, recordBackendTest, keepNextSecret, takeNextSecret, keepSecret, removeBackend, trustIssuer, changeIssuer, removeIssuer,
  bindIdentity, unbindIdentity, showEvidence, resolveFinding,
  installPolicies, applyPolicies, rollBackPolicies, setModeOf, eraseDecision, evaluate, noteAskedTooOften, warmPolicies,
  openTask, delegateTask, widenTask, heartbeat, endTask, endDueTasks,
  intendLease, activateLease, abandonLease, stopLease, claimLeases, holdLeases, surveyLease, endLease, failWithdrawal, findOrphan, withdrawOrphan,
  addMcpServer, rotateMcpSecret, retireMcpServer, see, settleTools, finishCalls, loseCalls, beginInstance, keepInstance, leaveInstance,
  requestApproval, approveApproval, denyApproval, cancelApproval, lapseApprovals, setApprovalRoutes,
  addNoticeTarget, removeNoticeTarget, recordTargetTest, queueNotices, claimDueNotices, settleSent,
  makeStop, answerStop, settleStop,
  makeFirstKey, publishKey, turnKeys, replaceKeys, issueToken, revokeToken, endDueTokens, recordAcceptedToken,
]
