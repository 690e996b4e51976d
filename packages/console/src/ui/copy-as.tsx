import { Menu } from '@mantine/core'
import { useState } from 'react'

export type Commands = { /** Null where the command line has no word for it. */ readonly cli: string | null; readonly curl: string }

const SAID_FOR_MS = 1500

/** Every action and every page says how to do the same without it. */
export function CopyAs({ commands, label = 'Copy as' }: { readonly commands: Commands; readonly label?: string }) {
  const [copied, setCopied] = useState<string | null>(null)
  const copy = async (name: string, text: string): Promise<void> => {
    await navigator.clipboard.writeText(text)
    setCopied(name)
    setTimeout(() => setCopied(null), SAID_FOR_MS)
  }
  return (
    <Menu position="bottom-end" withinPortal shadow="md">
      <Menu.Target><button type="button" className="w-quiet-button"><span aria-live="polite">{copied === null ? label : `copied as ${copied}`}</span> ▾</button></Menu.Target>
      <Menu.Dropdown>
        <Menu.Item disabled={commands.cli === null} onClick={() => void copy('CLI', commands.cli ?? '')}><span className="w-menu-word">CLI</span><code>{firstLine(commands.cli ?? 'no command yet')}</code></Menu.Item>
        <Menu.Item onClick={() => void copy('curl', commands.curl)}><span className="w-menu-word">curl</span><code>{firstLine(commands.curl)}</code></Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}

const firstLine = (text: string): string => text.split('\n', 1)[0]!.replace(/ \\$/, ' …').slice(0, 90)
