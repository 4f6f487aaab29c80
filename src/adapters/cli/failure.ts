/** What was asked for did not happen. The message is one sentence for a person; exit code 1. */
export class Failure extends Error {
  override readonly name = 'Failure';
}

/** The command line, or what stands in for it, cannot be understood; exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
