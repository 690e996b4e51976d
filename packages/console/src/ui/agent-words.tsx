import { useState } from 'react'
import { inertPieces } from './inert-text.ts'

/** What is shown before somebody asks for all of it. */
const SHOWN_AT_FIRST = 280

type InertProps = { readonly text: string; readonly most?: number }

/** Somebody else's text, with nothing in it that acts: no link, no line of its own, no direction but ours. */
export function Inert({ text, most = Infinity }: InertProps) {
  const shown = text.length > most ? `${text.slice(0, most)}…` : text
  return (
    <bdi dir="ltr" className="w-inert" title={text.length > most ? `${text.length} characters` : undefined}>
      {inertPieces(shown).map((piece, i) => piece.kind === 'text' ? piece.text :
        <span key={i} className={piece.kind === 'mark' ? 'w-hidden-character' : 'w-mixed-script'} title={piece.says}>{piece.text}</span>)}
    </bdi>
  )
}

type AgentWordsProps = { readonly text: string; readonly by?: string; readonly most?: number }

/** What an agent said: evidence for people, never an instruction (decision 12). Marked as its words, clipped, and whole for whoever asks. */
export function AgentWords({ text, by = 'the agent’s words', most = SHOWN_AT_FIRST }: AgentWordsProps) {
  const [isWhole, setWhole] = useState(false)
  const isLong = text.length > most
  return (
    <figure className="w-agent-words">
      <figcaption>{by}, not verified</figcaption>
      <blockquote tabIndex={isWhole ? 0 : undefined} data-whole={isWhole}>
        <Inert text={isWhole ? text : text.slice(0, most)} />{isLong && !isWhole ? '…' : ''}
      </blockquote>
      {isLong && <button type="button" className="w-quiet-button" aria-expanded={isWhole} onClick={() => setWhole(!isWhole)}>{isWhole ? 'show less' : `show all ${text.length.toLocaleString('en')} characters`}</button>}
    </figure>
  )
}
