const SHOWN = '[secret]'

/** Holds a text that no log, no `JSON.stringify` and no `console.log` of whatever holds it may show. */
export class SecretValue {
  readonly #text: string
  constructor(text: string) {
    this.#text = text
  }

  /** The text itself: for the one place that needs it. */
  reveal(): string {
    return this.#text
  }

  toString(): string {
    return SHOWN
  }

  toJSON(): string {
    return SHOWN
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return SHOWN
  }
}
