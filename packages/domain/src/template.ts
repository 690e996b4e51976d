/** What a lease of one template may do at the back end, and who keeps what it makes. */
export type Template = {
  readonly name: string
  /** The database that the lease logs in to. */
  readonly database: string
  /** The role that owns, after the lease's end, everything that the lease has made. */
  readonly owner: string
  /** Group roles that the lease is a member of. */
  readonly memberOf: readonly string[]
  readonly grants: readonly TemplateGrant[]
  /** How many sessions one lease may have at a time. */
  readonly connectionLimit: number
}

export type TemplateGrant = {
  readonly privileges: readonly string[]
  readonly on: 'schema' | 'table' | 'all tables in schema' | 'sequence' | 'all sequences in schema' | 'function' | 'all functions in schema' | 'database'
  readonly names: readonly string[]
}

/** Where a PostgreSQL back end is, and who administers it there. */
export type BackendSettings = {
  readonly host: string
  readonly port: number
  /** The administrator's own database; leases log in to their template's. */
  readonly database: string
  /** The administrator. */
  readonly user: string
  /** `require` encrypts but believes any certificate, as libpq's does; `verify-full` also checks who answers. */
  readonly tls: 'disable' | 'require' | 'verify-full'
  /** PEM of the authority that signed the server's certificate; the host's own authorities when left out. */
  readonly ca?: string | undefined
}
