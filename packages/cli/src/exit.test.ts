import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PROBLEMS, type ProblemType } from '@writ/contract/problem'
import { CommandFailure, EXIT, EXIT_MEANINGS, exitOfStatus, failureOfProblem, problemOfFailure } from './exit.ts'

const EXPECTED: Readonly<Record<ProblemType, number>> = {
  'malformed-request': 2, 'invalid-fields': 2, unauthenticated: 3, 'not-allowed': 4, denied: 4, 'not-found': 5, 'method-not-allowed': 1, conflict: 6, 'not-yet': 6,
  'secret-no-longer-shown': 6, 'already-exists': 6, 'too-large': 2, 'unsupported-media-type': 2, 'idempotency-key-reused': 6, 'grant-refused': 6,
  'policy-refused': 6, 'backend-refused': 6, internal: 1, 'backend-unavailable': 7, 'storage-unavailable': 7, stopping: 7, 'too-slow': 8, 'too-many-requests': 9,
}

for (const [type, code] of Object.entries(EXPECTED)) {
  test(`the problem ${type} makes writ answer ${code}`, () => {
    assert.equal(exitOfStatus(PROBLEMS[type as ProblemType].status), code)
  })
}

for (const { status, code } of [{ status: 408, code: 8 }, { status: 429, code: 9 }, { status: 503, code: 7 }, { status: 504, code: 7 }, { status: 418, code: 1 }]) {
  test(`the HTTP status ${status} makes writ answer ${code}`, () => assert.equal(exitOfStatus(status), code))
}

test('every exit code has a meaning that is printed', () => {
  assert.deepEqual([...new Set(Object.values(EXIT))].toSorted((a, b) => a - b), EXIT_MEANINGS.map(([code]) => code).toSorted((a, b) => a - b))
})

test('what the server said is handed on as it was', () => {
  const problem = { type: '/problems/conflict', title: 'The thing', status: 409, code: 'conflict', detail: 'it is retired', hint: 'look', errors: [{ field: 'a', message: 'b' }], retryable: false, trace_id: '1' }
  const failure = failureOfProblem(problem)
  assert.deepEqual([failure.exit, failure.message, failure.hints, failure.fields], [6, 'it is retired', ['look'], problem.errors])
  assert.equal(problemOfFailure(failure), problem)
})

test('what policy denies has an exit code of its own, and names the decision', () => {
  const problem = { type: '/problems/denied', title: 'No', status: 403, code: 'denied', decision: 'dec_1', retryable: false, trace_id: '1' }
  assert.equal(failureOfProblem(problem).exit, EXIT.denied)
})

test('a failure without a server is a problem without a status', () => {
  assert.deepEqual(problemOfFailure(new CommandFailure(EXIT.unreachable, 'nobody there', { hints: ['writ up'] })), {
    type: 'about:blank', title: 'nobody there', code: 'unreachable', hint: 'writ up', retryable: true,
  })
})
