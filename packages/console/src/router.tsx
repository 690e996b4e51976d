import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Outlet, parseSearchWith, stringifySearchWith } from '@tanstack/react-router'
import { Shell } from './shell/shell.tsx'
import { searchOf } from './ui/search.ts'
import { Empty } from './ui/empty.tsx'
import { ProblemNote } from './ui/problem-note.tsx'

const root = createRootRoute({
  component: Outlet,
  notFoundComponent: () => <main className="w-alone"><Empty title="There is no such page">It may have moved, or the address was cut. <a href="/">Home</a></Empty></main>,
  errorComponent: ({ error }) => <main className="w-alone"><ProblemNote error={error} /></main>,
})
/** Everything that needs somebody to be signed in. */
const inside = createRoute({ getParentRoute: () => root, id: 'inside', component: Shell })

/** A page comes when it is first shown, or when the pointer rests on a link to it. What its search holds is text, or is not there. */
const home = createRoute({ getParentRoute: () => inside, path: '/', component: lazyRouteComponent(() => import('./pages/home.tsx'), 'Home') })
const identities = createRoute({
  getParentRoute: () => inside, path: '/identities', validateSearch: searchOf('q', 'sort'), component: lazyRouteComponent(() => import('./pages/identities.tsx'), 'Identities'),
})
const identity = createRoute({
  getParentRoute: () => inside, path: '/identities/$id', validateSearch: searchOf('tab'), component: lazyRouteComponent(() => import('./pages/identity.tsx'), 'Identity'),
})
const tasks = createRoute({
  getParentRoute: () => inside, path: '/tasks', validateSearch: searchOf('q', 'sort', 'state'),
  component: lazyRouteComponent(() => import('./pages/tasks.tsx'), 'Tasks'),
})
const task = createRoute({
  getParentRoute: () => inside, path: '/tasks/$id', validateSearch: searchOf('call'), component: lazyRouteComponent(() => import('./pages/task.tsx'), 'TaskPage'),
})
const decision = createRoute({ getParentRoute: () => inside, path: '/decisions/$id', component: lazyRouteComponent(() => import('./pages/decision.tsx'), 'DecisionPage') })
const approvals = createRoute({
  getParentRoute: () => inside, path: '/approvals', validateSearch: searchOf('state', 'alike'), component: lazyRouteComponent(() => import('./pages/approvals.tsx'), 'Approvals'),
})
const approval = createRoute({
  getParentRoute: () => inside, path: '/approvals/$id', validateSearch: searchOf('state'), component: lazyRouteComponent(() => import('./pages/approvals.tsx'), 'ApprovalPage'),
})
const tools = createRoute({
  getParentRoute: () => inside, path: '/tools', validateSearch: searchOf('retired'), component: lazyRouteComponent(() => import('./pages/tools.tsx'), 'Tools'),
})
const toolServer = createRoute({
  getParentRoute: () => inside, path: '/tools/$name', validateSearch: searchOf('q', 'sort', 'tool'),
  component: lazyRouteComponent(() => import('./pages/tool-server.tsx'), 'ToolServer'),
})
const audit = createRoute({
  getParentRoute: () => inside, path: '/audit', validateSearch: searchOf('q', 'sort', 'lane', 'type', 'identity', 'task', 'since', 'from', 'to', 'chart', 'event'),
  component: lazyRouteComponent(() => import('./pages/audit.tsx'), 'Audit'),
})
const policies = createRoute({
  getParentRoute: () => inside, path: '/policies', validateSearch: searchOf('version', 'against', 'file', 'like'),
  component: lazyRouteComponent(() => import('./pages/policies.tsx'), 'Policies'),
})
const settings = createRoute({
  getParentRoute: () => inside, path: '/settings', validateSearch: searchOf('section', 'person', 'q', 'sort'),
  component: lazyRouteComponent(() => import('./pages/settings.tsx'), 'Settings'),
})
const stops = createRoute({
  getParentRoute: () => inside, path: '/stops', validateSearch: searchOf('q', 'sort'), component: lazyRouteComponent(() => import('./pages/stops.tsx'), 'Stops'),
})
const newStop = createRoute({
  getParentRoute: () => inside, path: '/stops/new', validateSearch: searchOf('of', 'scope', 'q', 'sort'), component: lazyRouteComponent(() => import('./pages/stop-new.tsx'), 'NewStop'),
})
const stop = createRoute({ getParentRoute: () => inside, path: '/stops/$id', component: lazyRouteComponent(() => import('./pages/stop.tsx'), 'StopPage') })
const go = createRoute({ getParentRoute: () => inside, path: '/go/$id', component: lazyRouteComponent(() => import('./pages/go.tsx'), 'Go') })
const device = createRoute({ getParentRoute: () => inside, path: '/device', component: lazyRouteComponent(() => import('./pages/device.tsx'), 'Device') })
const signIn = createRoute({
  getParentRoute: () => root, path: '/sign-in', validateSearch: searchOf('to', 'problem'),
  component: lazyRouteComponent(() => import('./pages/sign-in.tsx'), 'SignIn'),
})
const first = createRoute({ getParentRoute: () => root, path: '/first', component: lazyRouteComponent(() => import('./pages/first.tsx'), 'First') })

export const router = createRouter({
  routeTree: root.addChildren([inside.addChildren([home, identities, identity, tasks, task, approvals, approval, decision, tools, toolServer, audit, policies, settings, stops, newStop, stop, go, device]), signIn, first]),
  defaultPreload: 'intent',
  // Text as it is: the number 5 and the word `5` are one filter.
  parseSearch: parseSearchWith((value) => value),
  stringifySearch: stringifySearchWith((value: unknown) => String(value)),
  scrollRestoration: true,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
