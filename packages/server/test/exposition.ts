import assert from 'node:assert/strict'

const SAMPLE = /^([a-z_][a-z0-9_]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (?:[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf)|NaN)$/
/** Suffixes that say what is measured in a unit that is not a base one. */
const OTHER_UNITS = /_(?:ms|milliseconds|minutes|hours|kilobytes|megabytes|bits|percent)(?:_|$)/

type Family = { help?: string; type?: string; readonly samples: Set<string> }

/** The Prometheus text format 0.0.4, and the rules that `promtool check metrics` holds us to. */
export function checkExposition(text: string): void {
  assert.ok(text.endsWith('\n'))
  const families = new Map<string, Family>()
  const familyOf = (name: string): Family => {
    const found = families.get(name) ?? { samples: new Set<string>() }
    families.set(name, found)
    return found
  }
  let current = ''
  for (const line of text.split('\n').filter((one) => one !== '')) {
    const told = /^# (HELP|TYPE) ([a-z_][a-z0-9_]*) (.+)$/.exec(line)
    if (told !== null) {
      const [, sort, name, what] = told as unknown as [string, 'HELP' | 'TYPE', string, string]
      const field = sort === 'HELP' ? 'help' : 'type'
      assert.equal(familyOf(name)[field], undefined, `${line}: said twice`)
      familyOf(name)[field] = what
      current = name
      continue
    }
    const sample = SAMPLE.exec(line)
    assert.ok(sample !== null, `no sample: ${line}`)
    const [, name, labels = ''] = sample as unknown as [string, string, string | undefined]
    const { type, samples } = familyOf(current)
    const suffixes = type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']
    assert.ok(suffixes.some((suffix) => name === `${current}${suffix}`), `${line}: stands below ${current}`)
    const series = `${name}{${labels}}`
    assert.ok(!samples.has(series), `${series} stands twice`)
    samples.add(series)
    assert.ok(type === 'histogram' || !/(?:^|,)(?:le|quantile)=/.test(labels), `${line}: a label of another type`)
  }
  for (const [name, { help, type }] of families) {
    assert.ok(help !== undefined && type !== undefined, `${name}: no HELP or no TYPE`)
    assert.equal(type === 'counter', name.endsWith('_total'), `${name}: a counter, and nothing else, ends in _total`)
    assert.doesNotMatch(name, OTHER_UNITS)
    assert.doesNotMatch(name, /_(?:counter|gauge|histogram|bucket|sum|count)$/)
  }
}
