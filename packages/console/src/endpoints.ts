import type * as approvals from '@writ/contract/approvals'
import type * as backends from '@writ/contract/backends'
import type * as authzen from '@writ/contract/authzen'
import type * as decisions from '@writ/contract/decisions'
import type * as events from '@writ/contract/events'
import type * as issuers from '@writ/contract/issuers'
import type * as mcp from '@writ/contract/mcp-servers'
import type * as notices from '@writ/contract/notices'
import type * as operators from '@writ/contract/operators'
import type * as overview from '@writ/contract/overview'
import type * as people from '@writ/contract/people'
import type * as policies from '@writ/contract/policies'
import type * as registry from '@writ/contract/registry'
import type * as signIn from '@writ/contract/sign-in'
import type * as stops from '@writ/contract/stops'
import type * as tasks from '@writ/contract/tasks'
import { at } from './api.ts'

/** Every endpoint that the console calls, by its name in the contract; a test compares each with the contract itself. */
export const whoAmI = at<typeof registry.whoAmI>('GET', '/v1/whoami')
export const showOverview = at<typeof overview.showOverview>('GET', '/v1/overview')
export const listEvents = at<typeof events.listEvents>('GET', '/v1/events')
export const showEvent = at<typeof events.showEvent>('GET', '/v1/events/{id}')
export const showEventReceipt = at<typeof events.showEventReceipt>('GET', '/v1/events/{id}/receipt')
export const listLogs = at<typeof events.listLogs>('GET', '/v1/logs')

export const listIdentities = at<typeof registry.listIdentities>('GET', '/v1/identities')
export const showIdentity = at<typeof registry.showIdentity>('GET', '/v1/identities/{id}')
export const resumeIdentity = at<typeof registry.resumeIdentity>('POST', '/v1/identities/{id}/resume')
export const retireIdentity = at<typeof registry.retireIdentity>('POST', '/v1/identities/{id}/retire')
export const transferIdentity = at<typeof registry.transferIdentity>('POST', '/v1/identities/{id}/transfer')

export const listTasks = at<typeof tasks.listTasks>('GET', '/v1/tasks')
export const showTask = at<typeof tasks.showTask>('GET', '/v1/tasks/{id}')

export const makeStop = at<typeof stops.makeStop>('POST', '/v1/stops')
export const listStops = at<typeof stops.listStops>('GET', '/v1/stops')
export const showStop = at<typeof stops.showStop>('GET', '/v1/stops/{id}')

export const listDecisions = at<typeof decisions.listDecisions>('GET', '/v1/decisions')
export const listEvaluated = at<typeof decisions.listEvaluated>('GET', '/v1/decisions/evaluated')
export const showDecision = at<typeof decisions.showDecision>('GET', '/v1/decisions/{id}')
export const explainDecision = at<typeof decisions.explainDecision>('GET', '/v1/decisions/{id}/explanation')

export const listMcpServers = at<typeof mcp.listMcpServers>('GET', '/v1/mcp-servers')
export const showMcpServer = at<typeof mcp.showMcpServer>('GET', '/v1/mcp-servers/{name}')
export const listMcpTools = at<typeof mcp.listMcpTools>('GET', '/v1/mcp-servers/{name}/tools')
export const acceptMcpTools = at<typeof mcp.acceptMcpTools>('POST', '/v1/mcp-servers/{name}/tools/accept')
export const listToolCalls = at<typeof mcp.listToolCalls>('GET', '/v1/tool-calls')

export const listApprovals = at<typeof approvals.listApprovals>('GET', '/v1/approvals')
export const showApproval = at<typeof approvals.showApproval>('GET', '/v1/approvals/{id}')
export const previewApproval = at<typeof approvals.previewApproval>('POST', '/v1/approvals/{id}/preview')
export const approveApproval = at<typeof approvals.approveApproval>('POST', '/v1/approvals/{id}/approve')
export const denyApproval = at<typeof approvals.denyApproval>('POST', '/v1/approvals/{id}/deny')
export const listFindings = at<typeof registry.listFindings>('GET', '/v1/findings')
export const listIncidents = at<typeof registry.listIncidents>('GET', '/v1/incidents')

export const signOut = at<typeof people.signOut>('POST', '/v1/sign-out')
export const beginPasskeySignIn = at<typeof people.beginPasskeySignIn>('POST', '/v1/sign-in/passkey/begin')
export const signInWithPasskey = at<typeof people.signInWithPasskey>('POST', '/v1/sign-in/passkey')
export const beginPersonByLink = at<typeof people.beginPersonByLink>('POST', '/v1/bootstrap/person/begin')
export const registerPersonByLink = at<typeof people.registerPersonByLink>('POST', '/v1/bootstrap/person')
export const signInWays = at<typeof signIn.signInWays>('GET', '/v1/sign-in/ways')
export const showDeviceSignIn = at<typeof signIn.showDeviceSignIn>('POST', '/v1/sign-in/device/show')
export const confirmDeviceSignIn = at<typeof signIn.confirmDeviceSignIn>('POST', '/v1/sign-in/device/confirm')

export const listPolicies = at<typeof policies.listPolicies>('GET', '/v1/policies')
export const showCurrentPolicies = at<typeof policies.showCurrentPolicies>('GET', '/v1/policies/current')
export const showPolicies = at<typeof policies.showPolicies>('GET', '/v1/policies/versions/{version}')
export const checkPolicies = at<typeof policies.checkPolicies>('POST', '/v1/policies/check')
export const applyPolicies = at<typeof policies.applyPolicies>('POST', '/v1/policies')
export const rollBackPolicies = at<typeof policies.rollBackPolicies>('POST', '/v1/policies/rollback')
export const evaluateAccess = at<typeof authzen.evaluateAccess>('POST', '/access/v1/evaluation')

export const listPeople = at<typeof people.listPeople>('GET', '/v1/people')
export const showPerson = at<typeof people.showPerson>('GET', '/v1/people/{id}')
export const giveRole = at<typeof people.giveRole>('POST', '/v1/people/{id}/roles')
export const takeRole = at<typeof people.takeRole>('POST', '/v1/people/{id}/roles/take')
export const blockPerson = at<typeof people.blockPerson>('POST', '/v1/people/{id}/block')
export const unblockPerson = at<typeof people.unblockPerson>('POST', '/v1/people/{id}/unblock')
export const listRoleRules = at<typeof people.listRoleRules>('GET', '/v1/role-rules')
export const setRoleRule = at<typeof people.setRoleRule>('PUT', '/v1/role-rules')
export const removeRoleRule = at<typeof people.removeRoleRule>('POST', '/v1/role-rules/remove')
export const invitePerson = at<typeof people.invitePerson>('POST', '/v1/invitations')
export const listSignIns = at<typeof people.listSignIns>('GET', '/v1/sign-ins')
export const listSignInsOf = at<typeof people.listSignInsOf>('GET', '/v1/people/{id}/sign-ins')
export const revokeSignIn = at<typeof people.revokeSignIn>('POST', '/v1/sign-ins/{id}/revoke')
export const listPasskeys = at<typeof people.listPasskeys>('GET', '/v1/passkeys')
export const listPasskeysOf = at<typeof people.listPasskeysOf>('GET', '/v1/people/{id}/passkeys')
export const beginPasskey = at<typeof people.beginPasskey>('POST', '/v1/passkeys/begin')
export const enrolPasskey = at<typeof people.enrolPasskey>('POST', '/v1/passkeys')
export const removePasskey = at<typeof people.removePasskey>('POST', '/v1/passkeys/{id}/remove')
export const beginStepUp = at<typeof people.beginStepUp>('POST', '/v1/step-up/begin')
export const stepUp = at<typeof people.stepUp>('POST', '/v1/step-up')

export const showApprovalRoutes = at<typeof approvals.showApprovalRoutes>('GET', '/v1/approval-routes')
export const setApprovalRoutes = at<typeof approvals.setApprovalRoutes>('PUT', '/v1/approval-routes')
export const listNoticeTargets = at<typeof notices.listNoticeTargets>('GET', '/v1/notice-targets')
export const addNoticeTarget = at<typeof notices.addNoticeTarget>('POST', '/v1/notice-targets')
export const removeNoticeTarget = at<typeof notices.removeNoticeTarget>('POST', '/v1/notice-targets/{id}/remove')
export const testNoticeTarget = at<typeof notices.testNoticeTarget>('POST', '/v1/notice-targets/{id}/test')
export const listBackends = at<typeof backends.listBackends>('GET', '/v1/backends')
export const testBackend = at<typeof backends.testBackend>('POST', '/v1/backends/{name}/test')
export const removeBackend = at<typeof backends.removeBackend>('POST', '/v1/backends/{name}/remove')
export const listIssuers = at<typeof issuers.listIssuers>('GET', '/v1/issuers')
export const removeIssuer = at<typeof issuers.removeIssuer>('POST', '/v1/issuers/{id}/remove')
export const listOperators = at<typeof operators.listOperators>('GET', '/v1/operators')
export const removeOperator = at<typeof operators.removeOperator>('POST', '/v1/operators/{id}/remove')
