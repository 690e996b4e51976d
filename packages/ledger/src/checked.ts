/** Every way in which something that claims to come from a log can fail to hold. */
export type RefusalKind =
  | 'malformed_json' | 'not_canonical' | 'malformed_key' | 'malformed_note' | 'unsigned' | 'bad_signature'
  | 'malformed_checkpoint' | 'wrong_origin' | 'forked'
  | 'malformed_certificate' | 'malformed_receipt' | 'malformed_leaf' | 'malformed_facts'
  | 'not_included' | 'bad_disclosure' | 'repeated' | 'incomplete' | 'foreign_receipt' | 'out_of_order' | 'contradiction' | 'wrong_summary'

/** `detail` is for people; text from the file stands in it inert and in backticks. */
export type Refusal = { readonly kind: RefusalKind; readonly detail: string }

export type Checked<T, R = Refusal> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refusal: R }

export const holds = <T>(value: T): { readonly ok: true; readonly value: T } => ({ ok: true, value })

export const fails = (kind: RefusalKind, detail: string): { readonly ok: false; readonly refusal: Refusal } =>
  ({ ok: false, refusal: { kind, detail } })
