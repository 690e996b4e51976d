import { Menu } from '@mantine/core'
import { createSortedRowModel, rowSortingFeature, tableFeatures, useTable, type ColumnDef, type SortingState } from '@tanstack/react-table'
import { useVirtualizer } from '@tanstack/react-virtual'
import { useDeferredValue, useMemo, useRef, useState, type KeyboardEvent, type ReactNode } from 'react'
import type { Listed } from '../queries.ts'
import { csvOf, jsonLinesOf, saveAs } from './list-export.ts'
import { filterRows, type Fields } from './list-filter.ts'
import { ProblemNote } from './problem-note.tsx'
import type { ListSearch } from './search.ts'

export type Column<Row> = {
  /** Also the name by which a filter calls it. */
  readonly id: string
  readonly header: string
  /** What it is sorted, filtered and exported by; null where it is not known. */
  readonly value: (row: Row) => string | number | null
  /** What is shown; the value unless said. */
  readonly cell?: (row: Row) => ReactNode
  /** A track of a CSS grid; absent of what is filtered and exported and not shown. */
  readonly width?: string
  readonly isNumber?: boolean
}

export type ListTableProps<Row> = {
  /** Names the list for people and for the file of its export. */
  readonly name: string
  readonly columns: readonly Column<Row>[]
  readonly list: Pick<Listed<Row>, 'rows' | 'more' | 'isLoading' | 'error' | 'fetchMore'>
  readonly idOf: (row: Row) => string
  readonly search: ListSearch
  /** Puts it into the URL. */
  readonly onSearch: (search: ListSearch) => void
  readonly onOpen?: (row: Row) => void
  /** Shown when there is nothing at all. */
  readonly empty: ReactNode
  /** An example of a filter. */
  readonly hint?: string
  /** Beside the filter. */
  readonly children?: ReactNode
}

const features = tableFeatures({ rowSortingFeature, sortedRowModel: createSortedRowModel(), sortFns: {} })

const ROW_PX = 36
const BEYOND_SIGHT = 8

const sortingOf = (sort: string | undefined): SortingState => (sort === undefined ? [] : [{ id: sort.replace(/^-/, ''), desc: sort.startsWith('-') }])

/** What is not known comes last, whichever way. */
const compared = (a: unknown, b: unknown): number => {
  const [x, y] = [a as string | number, b as string | number]
  return x < y ? -1 : x > y ? 1 : 0
}

/** A list of any length: filtered, sorted, exported; its rows are drawn only where they are seen. */
export function ListTable<Row extends object>(props: ListTableProps<Row>) {
  const { columns, list, search, onSearch } = props
  const shown = useMemo(() => columns.filter((column) => column.width !== undefined), [columns])
  const query = useDeferredValue(search.q ?? '')
  const fieldsOf = useFields(columns)
  const definitions = useMemo(() => columns.map((column): ColumnDef<typeof features, Row> => ({
    id: column.id, header: column.header, accessorFn: (row) => column.value(row) ?? undefined, sortUndefined: 'last',
    sortFn: (a, b, id) => compared(a.getValue(id), b.getValue(id)),
  })), [columns])
  const sorting = useMemo(() => sortingOf(search.sort), [search.sort])
  const table = useTable({ features, columns: definitions, data: list.rows as Row[], state: { sorting }, getRowId: props.idOf })
  const model = table.getRowModel().rows
  const sorted = useMemo(() => model.map((row) => row.original), [model])
  // Whoever types a filter waits for nothing to be sorted anew.
  const { rows, fault } = useMemo(() => filterRows(sorted, query, fieldsOf), [sorted, query, fieldsOf])
  if (list.error !== null && list.rows.length === 0) return <ProblemNote error={list.error} />
  if (list.isLoading) return <p className="w-loading" role="status">loading {props.name}…</p>
  if (list.rows.length === 0) return <>{props.empty}</>
  return (
    <section className="w-list" aria-label={props.name}>
      <div className="w-list-bar">
        <Filter {...props} fault={fault} />
        {props.children}
        <p className="w-list-count" role="status">{rows.length.toLocaleString('en')} of {list.rows.length.toLocaleString('en')}{list.more ? ' so far' : ''}</p>
        {list.more && <button type="button" className="w-quiet-button" onClick={list.fetchMore}>load more</button>}
        <Export name={props.name} columns={columns} rows={() => rows} />
      </div>
      {list.error !== null && <ProblemNote error={list.error} />}
      <Rows {...props} columns={shown} rows={rows} sorted={sorting[0]} onSort={(id) => onSearch({ ...search, sort: nextSort(search.sort, id) })} />
    </section>
  )
}

/** Up, down, and as it came. */
const nextSort = (sort: string | undefined, id: string): string | undefined => (sort === id ? `-${id}` : sort === `-${id}` ? undefined : id)

function useFields<Row extends object>(columns: readonly Column<Row>[]): (row: Row) => Fields {
  return useMemo(() => {
    const known = new WeakMap<Row, Fields>()
    return (row) => {
      const found = known.get(row)
      if (found !== undefined) return found
      const fields: Record<string, string | number> = {}
      for (const column of columns) fields[column.id] = column.value(row) ?? 'none'
      known.set(row, fields)
      return fields
    }
  }, [columns])
}

function Filter<Row>({ name, search, onSearch, hint, columns, fault }: ListTableProps<Row> & { readonly fault: string | null }) {
  return (
    <div className="w-filter">
      <input
        type="search" aria-label={`Filter ${name}`} placeholder={hint ?? 'filter'} value={search.q ?? ''} spellCheck={false} autoComplete="off" data-filter
        aria-invalid={fault !== null} title={`Words, or field:value with ${columns.map((column) => column.id).join(', ')}; also - for not, OR, ( ), > and <`}
        onChange={(event) => onSearch({ ...search, q: event.currentTarget.value === '' ? undefined : event.currentTarget.value })}
      />
      {fault !== null && <span role="alert" className="w-filter-fault">{fault}</span>}
    </div>
  )
}

type ExportProps<Row> = { readonly name: string; readonly columns: readonly Column<Row>[]; readonly rows: () => readonly Row[] }

function Export<Row>({ name, columns, rows }: ExportProps<Row>) {
  const file = `writ-${name.replaceAll(/\W+/g, '-')}`
  return (
    <Menu position="bottom-end" withinPortal shadow="md">
      <Menu.Target><button type="button" className="w-quiet-button">Export ▾</button></Menu.Target>
      <Menu.Dropdown>
        <Menu.Item onClick={() => saveAs(`${file}.csv`, 'text/csv;charset=utf-8', csvOf(columns, rows()))}>these rows as CSV</Menu.Item>
        <Menu.Item onClick={() => saveAs(`${file}.jsonl`, 'application/x-ndjson', jsonLinesOf(columns, rows()))}>these rows as JSON lines</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}

type RowsProps<Row> = Omit<ListTableProps<Row>, 'list'> & {
  readonly rows: readonly Row[]
  readonly sorted: { readonly id: string; readonly desc: boolean } | undefined
  readonly onSort: (id: string) => void
}

/** WAI-ARIA grid: one row is in the order of focus, the arrows lead to the others. */
function Rows<Row>({ name, columns, rows, idOf, sorted, onSort, onOpen }: RowsProps<Row>) {
  const scroller = useRef<HTMLDivElement>(null)
  const [focused, setFocused] = useState(0)
  const virtual = useVirtualizer({ count: rows.length, getScrollElement: () => scroller.current, estimateSize: () => ROW_PX, overscan: BEYOND_SIGHT, scrollPaddingStart: ROW_PX })
  const tracks = { gridTemplateColumns: columns.map((column) => column.width).join(' '), minWidth: leastWidth(columns) }
  const current = Math.min(focused, rows.length - 1)
  const go = (to: number): void => {
    const index = Math.max(0, Math.min(rows.length - 1, to))
    setFocused(index)
    virtual.scrollToIndex(index)
    requestAnimationFrame(() => scroller.current?.querySelector<HTMLElement>(`[data-index="${index}"]`)?.focus({ preventScroll: true }))
  }
  const onKey = (event: KeyboardEvent): void => {
    const steps: Readonly<Record<string, number>> = { ArrowDown: current + 1, j: current + 1, ArrowUp: current - 1, k: current - 1, PageDown: current + 15, PageUp: current - 15, Home: 0, End: rows.length - 1 }
    const step = event.ctrlKey || event.metaKey || event.altKey ? undefined : steps[event.key]
    if (step !== undefined) {
      event.preventDefault()
      go(step)
    } else if (event.key === 'Enter' && event.target instanceof HTMLElement && event.target.dataset['index'] !== undefined) {
      const row = rows[current]
      if (row !== undefined) onOpen?.(row)
    }
  }
  if (rows.length === 0) return <p className="w-grid-none">nothing fits this filter</p>
  return (
    <div ref={scroller} className="w-grid" role="grid" aria-label={name} aria-rowcount={rows.length + 1} aria-colcount={columns.length} onKeyDown={onKey}>
      <div role="row" aria-rowindex={1} className="w-grid-head" style={tracks}>
        {columns.map((column) => {
          const direction = sorted?.id !== column.id ? 'none' : sorted.desc ? 'descending' : 'ascending'
          return (
            <div key={column.id} role="columnheader" aria-sort={direction} data-number={column.isNumber}>
              <button type="button" onClick={() => onSort(column.id)}>{column.header}<span aria-hidden="true">{direction === 'none' ? '' : direction === 'ascending' ? ' ▴' : ' ▾'}</span></button>
            </div>
          )
        })}
      </div>
      <div role="rowgroup" className="w-grid-body" style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map(({ index, start }) => {
          const row = rows[index]!
          return (
            <div
              key={idOf(row)} role="row" aria-rowindex={index + 2} data-index={index} tabIndex={index === current ? 0 : -1} className="w-grid-row" data-opens={onOpen !== undefined}
              style={{ ...tracks, transform: `translateY(${start}px)` }} onFocus={() => setFocused(index)}
              onClick={(event) => { if (!isControl(event.target)) onOpen?.(row) }}
            >
              {columns.map((column) => <div key={column.id} role="gridcell" data-number={column.isNumber}>{column.cell === undefined ? column.value(row) ?? '–' : column.cell(row)}</div>)}
            </div>
          )
        })}
      </div>
    </div>
  )
}

/** The narrowest that the columns get, so that every row has the same tracks: below it the grid scrolls. */
const leastWidth = <Row,>(columns: readonly Column<Row>[]): number =>
  columns.reduce((sum, { width = '' }) => sum + Number(/\d+/.exec(width)?.[0] ?? 0) + GAP_PX, 2 * GAP_PX)
const GAP_PX = 12

/** A click on what does something of its own opens no row. */
const isControl = (target: EventTarget): boolean => target instanceof Element && target.closest('a, button, input') !== null
