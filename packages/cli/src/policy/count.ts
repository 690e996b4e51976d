/** `1 case`, `18,204 cases`. */
export const count = (number: number, one: string, more = `${one}s`): string => `${digits(number)} ${number === 1 ? one : more}`

/** A number that people read, its digits in threes. */
export const digits = (number: number): string => String(number).replaceAll(/\B(?=(\d{3})+$)/g, ',')
