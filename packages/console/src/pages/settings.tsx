import { Link, useSearch } from '@tanstack/react-router'
import type { ComponentType } from 'react'
import { whoMay } from '../ui/action.tsx'
import { Empty } from '../ui/empty.tsx'
import { Page, Part } from '../ui/page.tsx'
import { reach, useWho } from '../who.ts'
import { Backends, Issuers, Operators } from './settings-estate.tsx'
import { Notices } from './settings-notices.tsx'
import { You } from './settings-own.tsx'
import { People } from './settings-people.tsx'
import { ApprovalRoutes } from './settings-routes.tsx'
import './settings.css'

type Section = {
  /** In the URL. */
  readonly key: string
  readonly name: string
  /** The endpoint without which it shows nothing. */
  readonly needs: string
  readonly shows: ComponentType
}

const SECTIONS: readonly Section[] = [
  { key: 'you', name: 'You', needs: 'listSignIns', shows: You },
  { key: 'people', name: 'People and roles', needs: 'listPeople', shows: People },
  { key: 'routes', name: 'Approval routes', needs: 'showApprovalRoutes', shows: ApprovalRoutes },
  { key: 'notices', name: 'Notices', needs: 'listNoticeTargets', shows: Notices },
  { key: 'backends', name: 'Back ends', needs: 'listBackends', shows: Backends },
  { key: 'issuers', name: 'Trusted issuers', needs: 'listIssuers', shows: Issuers },
  { key: 'operators', name: 'Operators’ keys', needs: 'listOperators', shows: Operators },
]

/** What there is, and who is what; section by section, each with an address of its own. */
export function Settings() {
  const { section, person } = useSearch({ from: '/inside/settings' })
  const who = useWho()
  const wanted = section ?? (person === undefined ? 'you' : 'people')
  const shown = SECTIONS.find(({ key }) => key === wanted)
  return (
    <Page title="Settings">
      <div className="w-settings">
        <nav aria-label="Sections of the settings">
          <ul>{SECTIONS.filter(({ needs }) => reach(who, needs) !== 'none').map(({ key, name }) => <li key={key}><Link to="/settings" search={{ section: key }} aria-current={key === wanted ? 'page' : undefined}>{name}</Link></li>)}</ul>
        </nav>
        <div>
          {shown === undefined ? <Empty title="There is no such section">Choose one beside.</Empty>
            : reach(who, shown.needs) === 'none' ? <Part title={shown.name}><p>This is not for you to see: {whoMay(shown.needs)}.</p></Part> : <shown.shows />}
        </div>
      </div>
    </Page>
  )
}
