/** What a program that a test starts has of our own environment: where programs are found, and what this run of the tests has compiled. */
export const CHILD_ENVIRONMENT: NodeJS.ProcessEnv = { PATH: process.env.PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE }
