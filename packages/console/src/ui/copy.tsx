import { useState } from 'react'

const SAID_FOR_MS = 1500

/** Copies, and says that it did. */
export function CopyButton({ text, says }: { readonly text: string; readonly says: string }) {
  const [isDone, setDone] = useState(false)
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text)
    setDone(true)
    setTimeout(() => setDone(false), SAID_FOR_MS)
  }
  return <button type="button" className="w-quiet-button" aria-label={says} onClick={() => void copy()}><span aria-live="polite">{isDone ? 'copied' : 'copy'}</span></button>
}

/** An id: whole on hover and when copied, its end in sight, which is what tells ids apart. */
export function Id({ of }: { readonly of: string }) {
  const [prefix, rest = ''] = of.split('_', 2)
  return <code className="w-id" title={of}>{rest.length > 12 ? `${prefix}_…${rest.slice(-8)}` : of}</code>
}
