/** What a program that a test starts has of our own environment: where programs are found, and what this run of the tests has compiled. */
export const CHILD_ENVIRONMENT: NodeJS.ProcessEnv = { PATH: process.env.PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE }

/** A test asks, is denied and is refused as often as it needs to; how often others may is a test of its own. */
export const AS_OFTEN_AS_NEEDED: NodeJS.ProcessEnv = { WRIT_ADVICE_PER_MINUTE: '1000000', WRIT_DENIED_PER_MINUTE: '1000000', WRIT_REFUSED_PER_MINUTE: '1000000', WRIT_SIGN_INS_PER_MINUTE: '1000000' }
