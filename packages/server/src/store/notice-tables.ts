export type NoticeTargetRow = {
  id: string
  name: string
  kind: string
  /** JSON: matters. */
  about: string
  /** As much of where it is as nobody could use. */
  place: string
  /** JSON of a `NoticeAddress`; null once it is removed. */
  sealed_address: string | null
  state: string
  added_by: string
  added_at: number
  removed_at: number | null
  /** The last event that was looked at for it, by its number. */
  told_up_to: number
  last_sent_at: number | null
  /** Why the newest that did not arrive did not. */
  trouble: string | null
}

export type NoticeRow = {
  id: string
  target_id: string
  event_id: string
  matter: string
  state: string
  attempts: number
  made_at: number
  due_at: number | null
  ended_at: number | null
}
