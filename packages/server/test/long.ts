import type { TestOptions } from 'node:test'

/** Whether what takes minutes is carried out as often and as long as is required: `npm test -- --long`. */
export const inFull = process.env['WRIT_TEST_LONG'] === 'yes'

const LONG_TIMEOUT_MS = 7_200_000

/** For a test that has a long form, which takes more than the runner allows to others. */
export const LONG_TEST: TestOptions = inFull ? { timeout: LONG_TIMEOUT_MS } : {}
