import type { ReactNode } from 'react'
import { CopyButton } from './copy.tsx'

/** A list with nothing in it says what would be there, and how to bring it about. */
export function Empty({ title, children, command }: { readonly title: string; readonly children: ReactNode; readonly command?: string }) {
  return (
    <div className="w-empty">
      <p className="w-empty-title">{title}</p>
      <p>{children}</p>
      {command !== undefined && <div className="w-command"><pre tabIndex={0}>{command}</pre><CopyButton text={command} says="Copy the command" /></div>}
    </div>
  )
}
