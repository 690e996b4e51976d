import { ROLES, type Role } from '@writ/domain/person'

/** `everybody`: whoever has signed in, also with no role at all; it is about their own sign-ins and passkeys. */
export type May = readonly Role[] | 'everybody'

const LOOK = ['viewer', 'reviewer', 'policy_author', 'responder', 'auditor', 'admin'] as const satisfies readonly Role[]
const LOOK_OR_OWN = [...LOOK, 'owner'] as const satisfies readonly Role[]
const ASK = ['reviewer', 'policy_author', 'responder', 'admin'] as const satisfies readonly Role[]
const REVIEW = ['reviewer'] as const satisfies readonly Role[]
const STOP = ['responder', 'admin'] as const satisfies readonly Role[]
const STOP_OR_OWN = ['owner', 'responder', 'admin'] as const satisfies readonly Role[]
const MANAGE_OWN = ['owner', 'admin'] as const satisfies readonly Role[]
const WRITE_POLICY = ['policy_author', 'admin'] as const satisfies readonly Role[]
const AUDIT = ['auditor', 'admin'] as const satisfies readonly Role[]
const ADMIN = ['admin'] as const satisfies readonly Role[]

/**
 * Who of the people may call what: for each endpoint, by its name, one of these roles is enough. What is not here is closed to people.
 * `owner` alone is of the identities that are theirs, and what hangs from them. Operator keys may whatever is not for a `person`.
 */
export const MAY: Readonly<Record<string, May>> = {
  // What runs, and what is known.
  listIdentities: LOOK_OR_OWN, showIdentity: LOOK_OR_OWN, listTasks: LOOK_OR_OWN, showTask: LOOK_OR_OWN, certificate: LOOK_OR_OWN,
  showDecision: LOOK_OR_OWN, explainDecision: LOOK_OR_OWN, listApprovals: LOOK_OR_OWN, showApproval: LOOK_OR_OWN, showApprovalRoutes: LOOK,
  showOverview: LOOK, listDecisions: LOOK, listToolCalls: LOOK, listFindings: LOOK, listIncidents: LOOK, listIssuers: LOOK, showIssuer: LOOK, listBackends: LOOK,
  listMcpServers: LOOK, showMcpServer: LOOK, listMcpTools: LOOK, listPolicies: LOOK, showCurrentPolicies: LOOK, showPolicies: LOOK, listModes: LOOK, checkPolicies: LOOK,
  listSigningKeys: LOOK, listEvents: LOOK, metrics: LOOK, liveStream: LOOK_OR_OWN, showEvent: LOOK_OR_OWN, showEventReceipt: LOOK_OR_OWN,
  searchSubjects: LOOK, searchResources: LOOK, searchActions: LOOK,
  evaluateAccess: ASK, evaluateAccesses: ASK,
  // What was asked holds arguments, and a whole log what people said.
  listEvaluated: ['policy_author', 'auditor', 'admin'], exportLog: AUDIT, entryBundle: AUDIT, pastEntryBundle: AUDIT,
  listOperators: AUDIT, listPeople: AUDIT, showPerson: AUDIT, listSignInsOf: AUDIT, listPasskeysOf: AUDIT, listRoleRules: AUDIT, listNoticeTargets: AUDIT,

  // Stopping.
  makeStop: STOP_OR_OWN, showStop: LOOK_OR_OWN, listStops: LOOK_OR_OWN,
  endTask: STOP_OR_OWN, revokeLease: STOP_OR_OWN, suspendIdentity: STOP_OR_OWN, resumeIdentity: STOP, resolveFinding: STOP,
  // Who was suspended is brought back by whoever may stop: an owner could undo what was done about them.
  retireIdentity: MANAGE_OWN, transferIdentity: MANAGE_OWN, addKey: MANAGE_OWN, revokeKey: MANAGE_OWN, bindIdentity: MANAGE_OWN, unbindIdentity: MANAGE_OWN,

  // Answering: who exactly, the request itself says.
  previewApproval: REVIEW, approveApproval: REVIEW, denyApproval: REVIEW,

  // What decides.
  applyPolicies: WRITE_POLICY, rollBackPolicies: WRITE_POLICY, setMode: WRITE_POLICY, setApprovalRoutes: WRITE_POLICY, acceptMcpTools: WRITE_POLICY,

  // What there is, and who is what.
  registerIdentity: ADMIN, applyManifest: ADMIN, trustIssuer: ADMIN, changeIssuer: ADMIN, removeIssuer: ADMIN,
  addBackend: ADMIN, testBackend: ADMIN, rotateBackend: ADMIN, setBackendSecret: ADMIN, removeBackend: ADMIN,
  addMcpServer: ADMIN, retireMcpServer: ADMIN, setMcpServerSecrets: ADMIN, rotateSigningKeys: ADMIN, replaceSigningKeys: ADMIN,
  takeBackup: ADMIN, eraseDecision: ADMIN, addOperator: ADMIN, removeOperator: ADMIN,
  giveRole: ADMIN, takeRole: ADMIN, blockPerson: ADMIN, unblockPerson: ADMIN, setRoleRule: ADMIN, removeRoleRule: ADMIN, invitePerson: ADMIN, offerFirstPerson: ADMIN,
  addNoticeTarget: ADMIN, removeNoticeTarget: ADMIN, testNoticeTarget: ADMIN,

  // One's own.
  whoAmI: 'everybody', listSignIns: 'everybody', revokeSignIn: 'everybody', signOut: 'everybody',
  listPasskeys: 'everybody', beginPasskey: 'everybody', enrolPasskey: 'everybody', removePasskey: 'everybody', beginStepUp: 'everybody', stepUp: 'everybody',
  showDeviceSignIn: 'everybody', confirmDeviceSignIn: 'everybody',
}

/** How far somebody with these roles may call it: not at all, for everything, or for what is theirs alone. */
export function reachOf(endpoint: string, roles: readonly Role[]): 'none' | 'own' | 'all' {
  const may = Object.hasOwn(MAY, endpoint) ? MAY[endpoint]! : []
  if (may === 'everybody') return 'all'
  const fitting = may.filter((role) => roles.includes(role))
  if (fitting.length === 0) return 'none'
  return fitting.every((role) => role === 'owner') ? 'own' : 'all'
}

/** In the order of the list, each once. */
export const inOrder = (roles: Iterable<Role>): readonly Role[] => {
  const all = new Set(roles)
  return ROLES.filter((role) => all.has(role))
}
