declare const owner: unique symbol

/** Who answers for an identity: `team:platform` or `person:maya@acme.example`. Being owner grants no action. */
export type Owner = string & { readonly [owner]: true }

/** Two owners that look alike are alike: within a name the one blank is U+0020, and none stands at its ends. */
const OWNER = /^(team|person):(?!:)[^\p{C}\p{Z}](?:[^\p{C}\p{Z}]| (?! *$)){0,254}$/u

/** The owner, or undefined when the text is neither a team nor a person. */
export function parseOwner(text: string): Owner | undefined {
  return OWNER.test(text) ? (text as Owner) : undefined
}
