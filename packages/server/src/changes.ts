import { useProof } from './http/routes/doors.ts'
import { abandonLease, activateLease, intendLease } from './issue/issue-lease.ts'
import { withdrawOrphan } from './jobs/orphans.ts'
import { forget } from './jobs/forget.ts'
import { tryRoom } from './jobs/room.ts'
import { install } from './record/install.ts'
import { rejectForged, sealBatch, startLog } from './record/seal.ts'
import type { AnyWritChange } from './record/tx.ts'
import { applyManifest } from './registry/apply-manifest.ts'
import { changeIdentity, fireTrigger, retireDueIdentities, transferIdentity } from './registry/change-identity.ts'
import { offerBootstrap, redeemBootstrap } from './registry/operators.ts'
import { addKey, registerIdentity, revokeKey } from './registry/register.ts'
import { addBackend, keepNextSecret, recordBackendTest, removeBackend, removeIssuer, takeNextSecret, trustIssuer } from './registry/watched.ts'
import { claimLeases, endLease, failWithdrawal, stopLease, surveyLease } from './revoke/lease-changes.ts'
import { endTask } from './revoke/end-task.ts'
import { endDueTasks, heartbeat } from './tasks/keep-task.ts'
import { openTask } from './tasks/open-task.ts'

/** Every change there is: the writer's thread runs no other. */
export const CHANGES: readonly AnyWritChange[] = [
  install, startLog, sealBatch, rejectForged, offerBootstrap, redeemBootstrap, useProof, forget, tryRoom,
  registerIdentity, applyManifest, changeIdentity, transferIdentity, fireTrigger, retireDueIdentities, addKey, revokeKey,
  addBackend, recordBackendTest, keepNextSecret, takeNextSecret, removeBackend, trustIssuer, removeIssuer,
  openTask, heartbeat, endTask, endDueTasks,
  intendLease, activateLease, abandonLease, stopLease, claimLeases, surveyLease, endLease, failWithdrawal, withdrawOrphan,
]
