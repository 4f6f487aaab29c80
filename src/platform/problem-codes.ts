/**
 * Every code that an answer can have as a problem, by its status, and what it says. Codes are stable: one that has been
 * answered is neither renamed nor moved to another status. The document is made of this table, and the types below are:
 * what is not here cannot be answered, and a test finds what is answered nowhere. Those of paths and patterns are made by
 * `patterns`, which knows nothing of this (`patterns/problem.ts`).
 */
export const PROBLEM_CODES = {
  400: {
    bad_request:
      'This is no request that can be read. Also with another status from 400 to 499 that no other code has.',
    malformed_json: 'The body is not JSON.',
    no_websocket: 'There is no WebSocket at this address.',
    unsupported_encoding: 'The body is not UTF-8.',
    websocket_invalid: 'The request for a WebSocket is not as RFC 6455 has it.',
  },
  401: {
    unauthenticated: 'The key is missing, unknown, revoked or expired.',
  },
  403: {
    forbidden: 'The role of the key does not have this operation.',
    not_an_approver: 'Your vote would count for none of the requirements of this approval.',
    not_in_team: 'Only a member of a team, or an admin, gives it a loop.',
    not_your_loop: 'The key is bound to another loop.',
    not_your_run: 'Only a key of the loop or of its owner may act for its runs.',
    own_request: 'Whoever asked for an approval, and the owner of the loop that asked, cannot vote on it.',
    root_key_unset: 'This server was started without a root key.',
  },
  404: {
    not_found: 'It does not exist, or you may not see it.',
  },
  408: {
    request_timeout: 'The request did not arrive in time.',
  },
  409: {
    already_voted: 'You have voted on this approval already, for the other verdict.',
    approval_settled: 'The approval is settled and takes no more votes.',
    commit_recorded: 'The commit has been recorded with another content, which stays.',
    email_taken: 'Another member of the org has this email address.',
    epoch_stale: 'A resume has replaced the process that speaks for the run with this epoch.',
    epoch_unknown: 'The run has never been in this epoch.',
    fence_stale: 'The fence is not that of the lease, or the lease has ended.',
    halted: 'A halt is over it: nothing is started or leased until the halt is lifted.',
    lease_conflict: 'Somebody else holds or waits for some of it; `conflicts` says who.',
    lease_deadlock: 'Nobody in the circle of waiting runs could ever go on; release what you hold, then ask again.',
    lease_over: 'The lease has ended already.',
    lease_revoked: 'It was taken from this run, which does not get it back until `until`.',
    lease_wait_ended: 'The wait ended without a lease; `ticket` says why.',
    lease_wait_on_self: 'The run waits for some of it already, as part of another request.',
    max_parallel_runs: 'The loop has as many runs at a time as it may.',
    name_taken: 'Another team of the org has this name.',
    no_draft: 'The policy has no draft to publish.',
    repo_in_use: 'Leases in the repo have not ended.',
    run_finished: 'The run has finished.',
    session_running: 'The session has a run already, which goes on.',
    slug_taken: 'The slug belongs to another org.',
    ticket_settled: 'The ticket is settled: there is nothing left to cancel.',
    version_conflict: 'Another version of the policy is published than the one you expect.',
  },
  413: {
    body_too_large: 'The body is larger than this operation takes.',
  },
  414: {
    url_too_long: 'A part of the address is too long.',
  },
  415: {
    unsupported_media_type: 'The operation takes no body of this content type.',
  },
  417: {
    expectation_failed: 'Nothing but 100-continue can be expected of this server.',
  },
  422: {
    invalid_request: 'Something in the request is not as this document has it; `errors`, if it is there, says what.',
    blob_missing: 'A file without a blob before and after did not change.',
    blob_null: 'A blob of zeros stands where null should.',
    commit_unknown: 'No change is on record for a commit that the deploy names.',
    cursor_invalid: 'The cursor is not one that this list gave out.',
    evidence_required: 'An incident needs at least one trace id, stack frame or path.',
    expiry_past: 'The expiry lies in the past.',
    idempotency_key_invalid: 'An Idempotency-Key is 1 to 200 printable ASCII characters without spaces.',
    idempotency_mismatch: 'The Idempotency-Key was used with another request.',
    leases_too_intricate:
      'The patterns of the leases are too intricate to be compared with what was asked for or about.',
    loop_invalid: 'The definition of the loop is refused; `errors` says where and why.',
    object_format_mixed: 'Blobs and commit are names of different object formats.',
    path_absolute: 'The path is absolute, not relative to the root of the repo.',
    path_control_character: 'The path holds a control character.',
    path_dot_segment: 'The path holds a "." or ".." segment.',
    path_empty: 'The path names no file.',
    path_empty_segment: 'The path ends in "/" or holds "//".',
    path_lone_surrogate: 'The path is not valid Unicode.',
    path_too_long: 'The path has too many bytes of UTF-8.',
    path_too_many_marks: 'The path holds too many combining marks in a row.',
    path_twice: 'The path is in the report already.',
    paths_required: 'At least one path, pattern or resource is needed.',
    pattern_absolute: 'The pattern begins with "/"; it is relative to the root of the repo.',
    pattern_brace_range: 'Braces hold alternatives with commas between them; ranges are not supported.',
    pattern_brace_unbalanced: 'A brace is not closed, or closes nothing.',
    pattern_class_empty: 'A class in brackets matches no character of a path segment.',
    pattern_class_posix: 'POSIX classes such as [:alpha:] are not supported.',
    pattern_class_range: 'A range in a class runs backwards.',
    pattern_class_unterminated: 'A "[" is never closed.',
    pattern_control_character: 'The pattern holds a control character.',
    pattern_dot_segment: 'The pattern holds a "." or ".." segment.',
    pattern_empty: 'The pattern, or an alternative of it, is empty.',
    pattern_empty_segment: 'The pattern, or an alternative of it, has an empty segment.',
    pattern_escape_dangling: 'The pattern ends in a backslash that escapes nothing.',
    pattern_globstar_misplaced: '"**" is not a whole segment, or there are more than two asterisks.',
    pattern_lone_surrogate: 'The pattern is not valid Unicode.',
    pattern_matches_nothing: 'No path can match the pattern.',
    pattern_negation: 'Patterns are not negated.',
    pattern_too_complex: 'The pattern is too complex; declare several simpler ones.',
    pattern_too_deep: 'Braces nest too deep.',
    pattern_too_long: 'The pattern has too many characters.',
    pattern_too_many_expansions: 'The braces stand for too many alternatives.',
    pattern_too_many_marks: 'The pattern holds too many combining marks in a row.',
    policy_invalid: 'The policy document is refused; `errors` says where and why.',
    repo_required: 'A path is looked up in one repo: it is to be named too.',
    resource_invalid: 'A resource is kind:name without spaces.',
    time_in_future: 'The time has not come yet.',
    too_deep: 'The body nests too deep.',
    too_many_paths: 'There are too many paths, patterns and resources for one request.',
    too_many_policies: 'The org has as many published policies as it may.',
    too_many_rules: 'More rules would be in force in the org than may be.',
    ttl_out_of_range: 'The time to live is too short or too long.',
    unsupported_character: 'A text holds NUL or a lone surrogate.',
    verify_too_large: 'These are too many paths and patterns to be compared at once: verify them in parts.',
    wait_out_of_range: 'The time to wait is negative or too long.',
  },
  429: {
    too_many_requests: 'Ask again after `Retry-After`.',
  },
  431: {
    headers_too_large: 'The headers are too large or too many.',
  },
  500: {
    internal: 'Something failed on our side; the log has it under the request id.',
  },
  503: {
    draining: 'The server is shutting down.',
    unavailable: 'The database is not reachable or too busy; ask again after `Retry-After`.',
  },
} as const;

export type ProblemStatus = keyof typeof PROBLEM_CODES;

/** The codes of a status. */
export type CodeOf<S extends ProblemStatus> = keyof (typeof PROBLEM_CODES)[S];

export type ProblemCode = { [S in ProblemStatus]: CodeOf<S> }[ProblemStatus];

/** Whether it is a code that a refused request can have: schemas give them to their checks, where no type holds them. */
export function isRefusalCode(code: unknown): code is CodeOf<422> {
  return typeof code === 'string' && Object.hasOwn(PROBLEM_CODES[422], code);
}

/** All of them for people, in Markdown. */
export function problemCodesTable(): string {
  const rows = Object.entries(PROBLEM_CODES).flatMap(([status, codes]) =>
    Object.entries(codes).map(([code, meaning]) => `| ${status} | \`${code}\` | ${meaning} |`),
  );
  return ['| status | code | meaning |', '| --- | --- | --- |', ...rows].join('\n');
}
