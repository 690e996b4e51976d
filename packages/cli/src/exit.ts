import type { Problem } from '@writ/contract/problem'

/** What `writ` answers to the shell; `writ help exit-codes` prints this. */
export const EXIT = {
  ok: 0, unexpected: 1, usage: 2, not_signed_in: 3, not_allowed: 4, not_found: 5, conflict: 6, unreachable: 7, timed_out: 8, rate_limited: 9,
  denied: 10, needs_approval: 11, approval_denied: 12, approval_expired: 13, findings: 20, verification_failed: 21, cannot_run: 126, command_not_found: 127, bad_configuration: 78, interrupted: 130,
} as const
export type ExitName = keyof typeof EXIT
export type ExitCode = (typeof EXIT)[ExitName]

export const EXIT_MEANINGS: readonly (readonly [number, string])[] = [
  [EXIT.ok, 'ok, also when there was nothing to do'],
  [EXIT.unexpected, 'unexpected failure; for `writ doctor`: at least one problem; for `writ policy check`, `test`, `fmt --check` and `apply`: the files are not fit to be applied'],
  [EXIT.usage, 'wrong usage or wrong fields, or an answer is needed and there is no terminal to ask on'],
  [EXIT.not_signed_in, 'who you are could not be established'],
  [EXIT.not_allowed, 'you may not do this'],
  [EXIT.not_found, 'there is no such thing, or it is not yours'],
  [EXIT.conflict, 'the thing is not in a state that allows this, or the grant can not be given'],
  [EXIT.unreachable, 'the server, its store or a back end can not be reached; try again'],
  [EXIT.timed_out, 'timed out waiting'],
  [EXIT.rate_limited, 'too many requests'],
  [EXIT.denied, 'policy says no'],
  [EXIT.needs_approval, 'policy says no until a person has approved exactly this'],
  [EXIT.approval_denied, 'a person has said no'],
  [EXIT.approval_expired, 'nobody answered in time, or the request was taken back'],
  [EXIT.findings, 'findings at or above the level asked for'],
  [EXIT.verification_failed, 'a certificate or a log does not verify'],
  [EXIT.bad_configuration, 'the configuration is broken; the message names the key'],
  [EXIT.cannot_run, '`writ run`: the command can not be executed'],
  [EXIT.command_not_found, '`writ run`: there is no such command'],
  [EXIT.interrupted, 'stopped by Ctrl-C; `writ run` answers 128 + n for signal n, and else what the command answered'],
]

/** The exit code of a reply that is a problem. */
export function exitOfStatus(status: number): ExitCode {
  if (status === 401) return EXIT.not_signed_in
  if (status === 403) return EXIT.not_allowed
  if (status === 404) return EXIT.not_found
  if (status === 408) return EXIT.timed_out
  if (status === 409 || status === 422) return EXIT.conflict
  if (status === 429) return EXIT.rate_limited
  if (status === 400 || status === 413 || status === 415) return EXIT.usage
  if (status === 502 || status === 503 || status === 504) return EXIT.unreachable
  return EXIT.unexpected
}

export type FieldError = { readonly field: string; readonly message: string }

/** What made a command stop: printed by `main` as `error:` and `hint:` lines, or as an RFC 9457 problem with --json. */
export class CommandFailure extends Error {
  readonly exit: ExitCode
  readonly hints: readonly string[]
  readonly fields: readonly FieldError[]
  /** What the server said, when it was the server that refused. */
  readonly problem: Problem | undefined

  constructor(exit: ExitCode, message: string, more: { readonly hints?: readonly string[]; readonly fields?: readonly FieldError[]; readonly problem?: Problem; readonly cause?: unknown } = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause })
    this.name = 'CommandFailure'
    this.exit = exit
    this.hints = more.hints ?? []
    this.fields = more.fields ?? []
    this.problem = more.problem
  }
}

export const usage = (message: string, ...hints: readonly string[]): CommandFailure => new CommandFailure(EXIT.usage, message, { hints })

export function failureOfProblem(problem: Problem): CommandFailure {
  return new CommandFailure(problem.decision === undefined ? exitOfStatus(problem.status) : EXIT.denied, problem.detail ?? problem.title, {
    problem, hints: problem.hint === undefined ? [] : [problem.hint], fields: problem.errors ?? [],
  })
}

/** RFC 9457 §3.1: every member is optional, so a failure that no server answered has no `status`; its `code` says what it is. */
export function problemOfFailure(failure: CommandFailure): object {
  if (failure.problem !== undefined) return failure.problem
  const name = Object.entries(EXIT).find(([, code]) => code === failure.exit)?.[0] ?? 'unexpected'
  return {
    type: 'about:blank',
    title: failure.message,
    code: name,
    ...(failure.hints.length > 0 ? { hint: failure.hints.join('; ') } : {}),
    ...(failure.fields.length > 0 ? { errors: failure.fields } : {}),
    retryable: failure.exit === EXIT.unreachable || failure.exit === EXIT.timed_out || failure.exit === EXIT.rate_limited,
  }
}

/** What a command's action answers: its exit code when that is not 0. */
export type Answer = number | void
/** Runs the action and keeps its answer. */
export type Run = (action: () => Promise<Answer>) => Promise<void>
