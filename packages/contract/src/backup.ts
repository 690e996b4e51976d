import { z } from 'zod'
import { endpoint } from './endpoint.ts'

/** Personal texts are in it as they were said; secrets only sealed. Its last line vouches for the rest: without it, it is cut. */
export const takeBackup = endpoint({
  method: 'POST', path: '/v1/backups', who: 'operator', summary: 'Everything that the store holds, as one compressed file for `writ restore`',
  media: 'application/gzip', reply: z.string(), problems: ['conflict'],
})
