import '@mantine/spotlight/styles.css'
import { Modal, useComputedColorScheme, useMantineColorScheme } from '@mantine/core'
import { Spotlight, spotlight, type SpotlightActionData } from '@mantine/spotlight'
import { useNavigate } from '@tanstack/react-router'
import { useEffect, useState } from 'react'
import { pageOfId } from '../ids.ts'
import { KEYS } from './keys.ts'
import type { NavPage } from './nav.ts'

type PaletteProps = { readonly shows: 'search' | 'keys'; readonly pages: readonly NavPage[]; readonly onClose: () => void }

/** Every page and every command by its name, and every id by itself. */
export function Palette({ shows, pages, onClose }: PaletteProps) {
  return shows === 'keys' ? <Keys onClose={onClose} /> : <Search pages={pages} onClose={onClose} />
}

function Search({ pages, onClose }: Omit<PaletteProps, 'shows'>) {
  const navigate = useNavigate()
  const [query, setQuery] = useState('')
  const { setColorScheme } = useMantineColorScheme()
  const other = useComputedColorScheme('light') === 'light' ? 'dark' : 'light'
  const target = pageOfId(query)
  useEffect(() => { spotlight.open() }, [])
  const actions: SpotlightActionData[] = [
    ...(target === undefined ? [] : [{ id: 'id', label: `Open ${query.trim()}`, description: 'by its id', keywords: query, onClick: () => void navigate({ to: target }) }]),
    ...pages.map((page): SpotlightActionData => ({ id: page.to, label: page.name, description: `g ${page.key}`, keywords: page.also, onClick: () => void navigate({ to: page.to }) })),
    { id: 'stop', label: 'Stop something', description: 'x', keywords: 'kill suspend end quarantine task identity agent', onClick: () => void navigate({ to: '/stops/new' }) },
    { id: 'stops', label: 'What was stopped', description: '/stops', keywords: 'stops contained acknowledged', onClick: () => void navigate({ to: '/stops' }) },
    { id: 'scheme', label: `Show it ${other}`, description: 'appearance', keywords: 'dark light theme', onClick: () => setColorScheme(other) },
    { id: 'docs', label: 'HTTP reference', description: '/docs', keywords: 'api openapi', onClick: () => { window.location.assign('/docs') } },
    ...(query.trim() === '' || target !== undefined ? [] : [
      { id: 'in-identities', label: `Identities with “${query.trim()}”`, description: 'filter', keywords: query, onClick: () => void navigate({ to: '/identities', search: { q: query.trim() } }) },
      { id: 'in-tasks', label: `Tasks with “${query.trim()}”`, description: 'filter', keywords: query, onClick: () => void navigate({ to: '/tasks', search: { q: query.trim() } }) },
    ]),
  ]
  return (
    <Spotlight
      actions={actions} query={query} onQueryChange={setQuery} onSpotlightClose={onClose} shortcut={null} limit={12} nothingFound="nothing of that name" scrollable maxHeight={420}
      searchProps={{ 'placeholder': 'a page, a command, or an id such as tsk_…', 'aria-label': 'Search or run' }}
    />
  )
}

function Keys({ onClose }: { readonly onClose: () => void }) {
  return (
    <Modal opened onClose={onClose} title="Keys" size="sm" closeButtonProps={{ 'aria-label': 'Close' }}>
      <dl className="w-keys">{KEYS.map(([keys, does]) => <div key={keys}><dt><kbd>{keys}</kbd></dt><dd>{does}</dd></div>)}</dl>
    </Modal>
  )
}
