import { inert } from '@writ/ledger/inert'
import type { BundleDifferences, Change, NamedDifference, PolicyDifference } from '@writ/policy/differences'
import { painterOf, printLine, type Painter } from '../output.ts'
import type { Settings } from '../settings.ts'
import { lineDifferences } from './line-differences.ts'

const SIGN: Readonly<Record<PolicyDifference['change'], string>> = { added: '+', removed: '-', changed: '~', reworded: '=', moved: '=' }

/** One line for each thing that differs, as a person goes through them; `whole` shows the lines of the policies too. */
export async function showDifferences(settings: Settings, differences: BundleDifferences, whole: boolean): Promise<void> {
  const paint = await painterOf(settings)
  for (const one of differences.policies) {
    printLine(colourOf(one.change, paint)(inert(`${SIGN[one.change]} ${one.effect} ${one.policy}  ${one.change}  ${one.file}:${one.line}`)))
    if (whole && one.change !== 'moved') for (const line of textLines(one, paint)) printLine(`    ${line}`)
  }
  const others: readonly (readonly [string, readonly NamedDifference[]])[] = [
    ['schema', differences.schema === null ? [] : [{ name: 'schema.cedarschema', change: differences.schema }]],
    ['entity', differences.entities], ['tool', differences.tools], ['case', differences.cases],
  ]
  for (const [what, named] of others) {
    for (const { name, change } of named) printLine(colourOf(change, paint)(inert(`${SIGN[change]} ${what} ${name}  ${change}`)))
  }
}

const colourOf = (change: PolicyDifference['change'], paint: Painter) =>
  ({ added: paint.green, removed: paint.red, changed: paint.yellow, reworded: paint.dim, moved: paint.dim })[change]

const textLines = ({ before, after }: PolicyDifference, paint: Painter): readonly string[] => lineDifferences(before, after).map(({ sign, line }) => {
  const shown = inert(`${sign} ${line}`)
  return sign === '+' ? paint.green(shown) : sign === '-' ? paint.red(shown) : shown
})

/** `2 policies changed, 1 case added`; undefined when nothing differs that a person would look at. */
export function summaryOf({ policies, schema, entities, tools, cases }: BundleDifferences): string | undefined {
  const said = [
    ...counted(policies, ['policy', 'policies']),
    ...(schema === null ? [] : [`schema ${schema}`]),
    ...counted(entities, ['entity', 'entities']), ...counted(tools, ['tool', 'tools']), ...counted(cases, ['case', 'cases']),
  ]
  return said.length === 0 ? undefined : said.join(', ')
}

const CHANGES: readonly PolicyDifference['change'][] = ['added', 'removed', 'changed', 'reworded', 'moved']

const counted = (differences: readonly { readonly change: Change | PolicyDifference['change'] }[], [one, more]: readonly [string, string]): readonly string[] =>
  CHANGES.flatMap((change) => {
    const many = differences.filter((difference) => difference.change === change).length
    return many === 0 ? [] : [`${many} ${many === 1 ? one : more} ${change}`]
  })
