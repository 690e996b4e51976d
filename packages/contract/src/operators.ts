import { z } from 'zod'
import { endpoint } from './endpoint.ts'
import { freeText, reason } from './words.ts'

export const operator = z.object({ id: z.string(), name: z.string(), state: z.enum(['active', 'removed']), created_at: z.string(), removed_at: z.string().nullable() })
export type OperatorReply = z.infer<typeof operator>

export const listOperators = endpoint({
  method: 'GET', path: '/v1/operators', who: 'operator', summary: 'List operators', reply: z.object({ operators: z.array(operator) }), problems: [],
})

/** The key is shown in this reply and kept nowhere: the repeat of a request that was lost does not show it again. */
export const addOperator = endpoint({
  method: 'POST', path: '/v1/operators', who: 'operator', summary: 'Make a key for one more operator; it is shown once',
  body: z.strictObject({ name: freeText(100) }), reply: operator.extend({ key: z.string() }), status: 201, problems: ['invalid-fields', 'conflict'],
})
export const removeOperator = endpoint({
  method: 'POST', path: '/v1/operators/{id}/remove', who: 'operator', summary: 'Refuse the key of an operator from now on, on every server; the last one stays',
  body: reason, reply: operator, problems: ['not-found', 'conflict'],
})
