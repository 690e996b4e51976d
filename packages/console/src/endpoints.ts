import type * as approvals from '@writ/contract/approvals'
import type * as decisions from '@writ/contract/decisions'
import type * as events from '@writ/contract/events'
import type * as mcp from '@writ/contract/mcp-servers'
import type * as overview from '@writ/contract/overview'
import type * as people from '@writ/contract/people'
import type * as registry from '@writ/contract/registry'
import type * as signIn from '@writ/contract/sign-in'
import type * as tasks from '@writ/contract/tasks'
import { at } from './api.ts'

/** Every endpoint that the console calls, by its name in the contract; a test compares each with the contract itself. */
export const whoAmI = at<typeof registry.whoAmI>('GET', '/v1/whoami')
export const showOverview = at<typeof overview.showOverview>('GET', '/v1/overview')
export const listLogs = at<typeof events.listLogs>('GET', '/v1/logs')

export const listIdentities = at<typeof registry.listIdentities>('GET', '/v1/identities')
export const showIdentity = at<typeof registry.showIdentity>('GET', '/v1/identities/{id}')
export const suspendIdentity = at<typeof registry.suspendIdentity>('POST', '/v1/identities/{id}/suspend')
export const resumeIdentity = at<typeof registry.resumeIdentity>('POST', '/v1/identities/{id}/resume')
export const retireIdentity = at<typeof registry.retireIdentity>('POST', '/v1/identities/{id}/retire')
export const transferIdentity = at<typeof registry.transferIdentity>('POST', '/v1/identities/{id}/transfer')

export const listTasks = at<typeof tasks.listTasks>('GET', '/v1/tasks')
export const showTask = at<typeof tasks.showTask>('GET', '/v1/tasks/{id}')
export const endTask = at<typeof tasks.endTask>('POST', '/v1/tasks/{id}/end')

export const listDecisions = at<typeof decisions.listDecisions>('GET', '/v1/decisions')
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
