type Texts<Name extends string> = { readonly [N in Name]?: string | undefined }

const textIn = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined)

/** Reads these from the URL's search, each as a text; whatever else stands there is not taken. */
export const searchOf = <const Name extends string>(...names: readonly Name[]) => (search: Readonly<Record<string, unknown>>): Texts<Name> =>
  Object.fromEntries(names.map((name) => [name, textIn(search[name])] as const).filter(([, text]) => text !== undefined)) as Texts<Name>

/** What every list has in the URL. */
export type ListSearch = Texts<'q' | 'sort'>
