/** A method and the pattern of an address that takes it: `/v1/tasks/{id}`. */
export type ServedAddress = { readonly method: string; readonly path: string }

/** The methods that an address takes, as `Allow` lists them; empty where there is no such address. */
export function allowedMethods(served: readonly ServedAddress[]): (path: string) => readonly string[] {
  const patterns = served.map(({ method, path }) => ({ method, pattern: patternOf(path) }))
  return (path) => [...new Set(patterns.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method))].toSorted()
}

function patternOf(path: string): RegExp {
  const steps = path.split('/').map((step) => (step === '*' ? '.*' : /^\{\w+\}$/.test(step) ? '[^/]+' : step.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')))
  return new RegExp(`^${steps.join('/')}$`)
}
