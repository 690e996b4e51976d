declare const owner: unique symbol

/** Who answers for an identity: `team:platform` or `person:maya@acme.example`. Being owner grants no action. */
export type Owner = string & { readonly [owner]: true }

/** The owner, or undefined when the text is neither a team nor a person. */
export function parseOwner(text: string): Owner | undefined {
  return /^(team|person):[^\s:\p{C}][^\p{C}]{0,254}$/u.test(text) ? (text as Owner) : undefined
}
