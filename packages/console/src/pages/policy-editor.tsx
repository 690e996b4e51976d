import { defaultKeymap, history, historyKeymap } from '@codemirror/commands'
import { bracketMatching } from '@codemirror/language'
import { lintGutter, setDiagnostics, type Diagnostic } from '@codemirror/lint'
import { EditorState, type Text } from '@codemirror/state'
import { Decoration, EditorView, highlightActiveLine, keymap, lineNumbers, MatchDecorator, ViewPlugin, type DecorationSet, type ViewUpdate } from '@codemirror/view'
import type { PolicyComplaint } from '@writ/contract/policies'
import { useEffect, useRef } from 'react'

type EditorProps = {
  readonly file: string
  readonly text: string
  readonly isReadOnly: boolean
  readonly complaints: readonly PolicyComplaint[]
  readonly onChange: (text: string) => void
  /** Where to go; another object goes there anew. */
  readonly goTo: { readonly line: number; readonly column: number } | null
}

/** Cedar and JSON in one: comments, texts, annotations, types, numbers, and the words that decide. */
const TOKENS = /(\/\/.*)|("(?:[^"\\]|\\.)*"?)|(@\w+)|\b(permit|forbid)\b|\b(when|unless|if|then|else|in|is|has|like|true|false|null|principal|action|resource|context|namespace|entity|type|appliesTo)\b|\b([A-Z]\w*(?=::|\b))|\b(-?\d+)\b/g
const CLASSES = ['comment', 'text', 'annotation', 'effect', 'word', 'type', 'number'] as const

const tokens = new MatchDecorator({
  regexp: TOKENS,
  decoration: (match) => Decoration.mark({ class: `w-code-${CLASSES[match.slice(1).findIndex((group) => group !== undefined)] ?? 'word'}` }),
})
const highlighting = ViewPlugin.fromClass(class {
  decorations: DecorationSet

  constructor(view: EditorView) {
    this.decorations = tokens.createDeco(view)
  }

  update(update: ViewUpdate): void {
    this.decorations = tokens.updateDeco(update, this.decorations)
  }
}, { decorations: (plugin) => plugin.decorations })

/** Its rules stand in a style element of its own, which the page's policy lets in by the nonce; colours are the shell's. */
const NONCE = EditorView.cspNonce.of(document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? '')

function positionOf(text: Text, { line, column }: { readonly line: number; readonly column: number }): number {
  const found = text.line(Math.max(1, Math.min(line, text.lines)))
  return found.from + Math.min(Array.from(found.text).slice(0, Math.max(0, column - 1)).join('').length, found.length)
}

export function PolicyEditor({ file, text, isReadOnly, complaints, onChange, goTo }: EditorProps) {
  const place = useRef<HTMLDivElement>(null)
  const view = useRef<EditorView>(null)
  const changed = useRef(onChange)
  useEffect(() => { changed.current = onChange }, [onChange])
  // Another file is another document; what is typed comes back as `text`, and is there already.
  useEffect(() => {
    const editor = new EditorView({
      parent: place.current!,
      state: EditorState.create({ doc: text, extensions: [
        NONCE, lineNumbers(), history(), bracketMatching(), highlightActiveLine(), highlighting, lintGutter(), EditorView.lineWrapping, keymap.of([...defaultKeymap, ...historyKeymap]),
        EditorState.readOnly.of(isReadOnly), EditorView.contentAttributes.of({ 'aria-label': `${isReadOnly ? 'Text' : 'Edit'} of ${file}`, 'spellcheck': 'false', 'tabindex': '0', ...(isReadOnly ? { 'aria-readonly': 'true' } : {}) }),
        EditorView.updateListener.of((update) => { if (update.docChanged) changed.current(update.state.doc.toString()) }),
      ] }),
    })
    view.current = editor
    return () => editor.destroy()
    // oxlint-disable-next-line react/exhaustive-deps -- `text` is only what it begins with
  }, [file, isReadOnly])
  useEffect(() => {
    const editor = view.current!
    const found = complaints.map((one): Diagnostic => {
      const from = positionOf(editor.state.doc, one)
      return { from, to: Math.min(from + 1, editor.state.doc.length), severity: 'error', message: one.hint === undefined ? one.message : `${one.message}\n${one.hint}` }
    })
    editor.dispatch(setDiagnostics(editor.state, found))
  }, [complaints, file, isReadOnly])
  useEffect(() => {
    if (goTo === null) return
    const editor = view.current!
    const at = positionOf(editor.state.doc, goTo)
    editor.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: 'center' }) })
    editor.focus()
  }, [goTo])
  return <div ref={place} className="w-editor" />
}
