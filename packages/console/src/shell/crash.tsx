import { Component, type ReactNode } from 'react'
import { ProblemNote } from '../ui/problem-note.tsx'

type CrashState = { readonly error: unknown }

/** A page that fails says so in its own place; everything around it goes on. */
export class Crash extends Component<{ readonly children: ReactNode }, CrashState> {
  override state: CrashState = { error: undefined }

  static getDerivedStateFromError(error: unknown): CrashState {
    return { error }
  }

  override render(): ReactNode {
    if (this.state.error === undefined) return this.props.children
    return <ProblemNote error={this.state.error}><button type="button" className="w-quiet-button" onClick={() => window.location.reload()}>load again</button></ProblemNote>
  }
}
