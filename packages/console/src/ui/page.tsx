import type { ReactNode } from 'react'
import { CopyAs, type Commands } from './copy-as.tsx'

type PageProps = {
  readonly title: ReactNode
  /** What belongs to the title: state, id. */
  readonly beside?: ReactNode
  readonly actions?: ReactNode
  /** What the page shows, by other means. */
  readonly commands?: Commands
  readonly children: ReactNode
  /** The page is one list, and takes the height there is. */
  readonly isList?: boolean
}

/** A page: its one heading, what can be done, and what it shows. */
export function Page({ title, beside, actions, commands, children, isList = false }: PageProps) {
  return (
    <div className="w-page" data-list={isList}>
      <header className="w-page-head">
        <h1>{title}</h1>
        {beside}
        <span className="w-spring" />
        {actions}
        {commands !== undefined && <CopyAs commands={commands} />}
      </header>
      {children}
    </div>
  )
}

/** A part of a page, by its heading. */
export function Part({ title, aside, children }: { readonly title: string; readonly aside?: ReactNode; readonly children: ReactNode }) {
  return <section className="w-part"><header><h2>{title}</h2>{aside}</header>{children}</section>
}

/** What is known of one thing, name by name. */
export function Facts({ of }: { readonly of: readonly (readonly [name: string, value: ReactNode])[] }) {
  return <dl className="w-facts">{of.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
}
