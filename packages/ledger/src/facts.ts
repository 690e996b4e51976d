import { isObject } from './canonical.ts'
import { fails, holds, type Checked } from './checked.ts'
import { isInstant, type Leaf } from './leaf.ts'

/**
 * Reads the facts of a leaf by name. A fact that is missing or of another kind is remembered and a placeholder given, so that a
 * reader is one expression and asks once, at its end, whether all of it was there.
 */
export class FactReader {
  readonly #facts: Readonly<Record<string, unknown>>
  #bad: string | undefined

  constructor(facts: unknown) {
    this.#facts = isObject(facts) ? facts : {}
  }

  get bad(): string | undefined {
    return this.#bad
  }

  text(name: string): string {
    const value = this.#get(name)
    return typeof value === 'string' ? value : this.#miss(name, '')
  }

  textOrNull(name: string): string | null {
    return this.#get(name) === null ? null : this.text(name)
  }

  texts(name: string): readonly string[] {
    const value = this.#get(name)
    return Array.isArray(value) && value.every((one) => typeof one === 'string') ? value : this.#miss(name, [])
  }

  oneOf<const T extends string>(name: string, words: readonly [T, ...T[]]): T {
    const value = this.#get(name)
    return words.find((word) => word === value) ?? this.#miss(name, words[0])
  }

  /** Whether the fact is this word; whatever else it is, is not looked at. */
  is(name: string, word: string): boolean {
    return this.#get(name) === word
  }

  yes(name: string): boolean {
    return this.oneOf(name, ['no', 'yes']) === 'yes'
  }

  count(name: string): number {
    const value = this.#get(name)
    return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : this.#miss(name, 0)
  }

  instant(name: string): number {
    const value = this.#get(name)
    return isInstant(value) ? value : this.#miss(name, 0)
  }

  /** A fact that is not known is null, or left out. */
  instantOrNull(name: string): number | null {
    return this.#absent(name) ? null : this.instant(name)
  }

  /** Milliseconds of a duration, a fraction allowed. */
  lengthOrNull(name: string): number | null {
    if (this.#absent(name)) return null
    const value = this.#get(name)
    return typeof value === 'number' && value >= 0 ? value : this.#miss(name, null)
  }

  /** Reads an object beneath; its bad fact is ours. */
  inside<T>(name: string, read: (facts: FactReader) => T): T {
    return this.#readInside(name, this.#get(name), read)
  }

  each<T>(name: string, read: (facts: FactReader) => T): readonly T[] {
    const value = this.#get(name)
    return Array.isArray(value) ? value.map((one) => this.#readInside(name, one, read)) : this.#miss(name, [])
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#facts, name)
  }

  #readInside<T>(name: string, value: unknown, read: (facts: FactReader) => T): T {
    const inner = new FactReader(value)
    const result = read(inner)
    if (!isObject(value)) return this.#miss(name, result)
    return inner.bad === undefined ? result : this.#miss(`${name}.${inner.bad}`, result)
  }

  #get(name: string): unknown {
    return this.has(name) ? this.#facts[name] : undefined
  }

  #absent(name: string): boolean {
    const value = this.#get(name)
    return value === undefined || value === null
  }

  #miss<T>(name: string, placeholder: T): T {
    this.#bad ??= name
    return placeholder
  }
}

/** What `read` makes of the leaf's facts, or the first fact that it missed. */
export function readFacts<T>(leaf: Leaf, read: (facts: FactReader) => T): Checked<T> {
  const facts = new FactReader(leaf.facts)
  const value = read(facts)
  return facts.bad === undefined ? holds(value) : fails('malformed_facts', `the \`${leaf.type}\` event lacks the fact \`${facts.bad}\``)
}
