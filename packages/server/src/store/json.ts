/** Columns that hold lists and objects as JSON text, written by Writ alone. */
export const toJsonText = (value: unknown): string => JSON.stringify(value)

/** Reads a column that Writ wrote. The caller names the shape; a text that is no JSON means that the database was tampered with. */
export const fromJsonText = <T>(text: string): T => JSON.parse(text) as T
