/** The tables about stops, as `tables.ts` has the others. */
export type StopTables = {
  stop: StopRow
  stop_task: { stop_id: string; task_id: string }
  stop_lease: { stop_id: string; lease_id: string; kind: string }
  stop_server: StopServerRow
}

export type StopRow = {
  id: string
  target: string
  target_id: string
  identity_id: string
  reason: string
  made_by_kind: string
  made_by: string
  made_at: number
  /** JSON of `Touched`. */
  touched: string
  state: string
  settled_at: number | null
}

export type StopServerRow = { stop_id: string; instance_id: string; address: string | null; calls: number; answer: string | null; answered_at: number | null; calls_lost: number }
