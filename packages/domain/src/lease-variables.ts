/** Where a login works, in the words of whoever connects. */
export type LeaseConnection = { readonly host: string; readonly port: number; readonly database: string; readonly user: string; readonly password: string; readonly tls: boolean }

/** libpq finds by these names alone where to connect. */
export const LIBPQ = 'PG'

const PARTS = ['HOST', 'PORT', 'DATABASE', 'USER', 'PASSWORD', 'SSLMODE'] as const
type Part = (typeof PARTS)[number]

/** `PGHOST`, and `SHOP_HOST`. */
const variableOf = (prefix: string, part: Part): string => (prefix === LIBPQ ? `${prefix}${part}` : `${prefix}_${part}`)

/** The names of all variables that a login is given by. */
export const leaseVariableNames = (prefix: string): readonly string[] => PARTS.map((part) => variableOf(prefix, part))

/** The one among them that holds a secret. */
export const secretVariableName = (prefix: string): string => variableOf(prefix, 'PASSWORD')

/** How a program is given a login. No DATABASE_URL: law 8 keeps secrets out of URLs, which programs log. */
export function leaseVariables(prefix: string, { host, port, database, user, password, tls }: LeaseConnection): Readonly<Record<string, string>> {
  const parts: Readonly<Record<Part, string>> = { HOST: host, PORT: String(port), DATABASE: database, USER: user, PASSWORD: password, SSLMODE: tls ? 'require' : 'disable' }
  return Object.fromEntries(PARTS.map((part) => [variableOf(prefix, part), parts[part]]))
}
