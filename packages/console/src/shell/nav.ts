/** A page that the menu leads to. */
export type NavPage = {
  readonly to: string
  readonly name: string
  /** Pressed after `g`. */
  readonly key: string
  /** The endpoint without which the page shows nothing: who may not call it does not see it. */
  readonly needs: string
  /** What people look for when they mean it. */
  readonly also: string
  /** What is told beside its name: how many wait for whoever is signed in. */
  readonly counts?: 'waiting'
}

/** In the order of the menu. A page that is not here is reached by a link alone. */
export const NAV: readonly NavPage[] = [
  { to: '/', name: 'Home', key: 'h', needs: 'whoAmI', also: 'overview start dashboard' },
  { to: '/approvals', name: 'Approvals', key: 'a', needs: 'listApprovals', also: 'inbox requests waiting approve deny', counts: 'waiting' },
  { to: '/identities', name: 'Identities', key: 'i', needs: 'listIdentities', also: 'agents bots owners keys' },
  { to: '/tasks', name: 'Tasks', key: 't', needs: 'listTasks', also: 'runs work calls' },
  { to: '/tools', name: 'Tools', key: 'o', needs: 'listMcpServers', also: 'mcp servers pins labels' },
  { to: '/policies', name: 'Policies', key: 'p', needs: 'listPolicies', also: 'cedar rules permit forbid versions' },
  { to: '/audit', name: 'Audit', key: 'u', needs: 'listEvents', also: 'events log history proof human non-human' },
  { to: '/settings', name: 'Settings', key: 's', needs: 'whoAmI', also: 'people roles invite passkeys sign-ins notices approval routes back ends issuers operators' },
]
