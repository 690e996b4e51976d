import { z } from 'zod'
import { endpoint } from './endpoint.ts'

/** What the server says of itself. */
export const openApiDocument = endpoint({
  method: 'GET', path: '/openapi.json', who: 'anyone', summary: 'Every endpoint as an OpenAPI 3.1 document', reply: z.looseObject({ openapi: z.string() }), problems: [],
})
export const referencePage = endpoint({ method: 'GET', path: '/docs', who: 'anyone', summary: 'The same as a page to read', media: 'text/html', reply: z.string(), problems: [] })

/** Open to anyone where nobody but this machine can ask, or where `WRIT_METRICS` is `open`. */
export const metrics = endpoint({
  method: 'GET', path: '/metrics', who: 'operator', summary: 'Counts and times in the Prometheus text format; of non-human identities only', media: 'text/plain', reply: z.string(), problems: [],
})

export const firstSignIn = endpoint({ method: 'GET', path: '/first', who: 'anyone', summary: 'Where the bootstrap link leads: a page of the console, which takes the code out of the address', media: 'text/html', reply: z.string(), problems: [] })
