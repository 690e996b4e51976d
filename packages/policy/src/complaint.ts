/** What is wrong with a file of a bundle, and where: lines and columns count from 1. */
export type Complaint = {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly message: string
  /** The way out, such as "did you mean `amount`?". */
  readonly hint?: string
}
