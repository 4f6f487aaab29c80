/**
 * Why the database could not be brought to the schema of this version.
 *
 * - `failed`: a migration's SQL was refused. It was rolled back whole, so the next start tries again.
 * - `modified`: a migration that has been applied is not the one in this checkout any more.
 * - `diverged`: the database has migrations that this version does not know, and lacks some that it does.
 * - `foreign`: there are tables, and they are not Signalbox's.
 * - `busy`: another server was still migrating when this one stopped waiting.
 */
export type MigrationFailure = 'failed' | 'modified' | 'diverged' | 'foreign' | 'busy';

/** The message is one line, fit to be printed as it is. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError';
  readonly reason: MigrationFailure;

  constructor(reason: MigrationFailure, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.reason = reason;
  }
}

/** The text of an error on one line. Node's own for several addresses tried has only a code. */
export function oneLine(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as { code?: unknown };
  const text = error.message === '' && typeof code === 'string' ? code : error.message;
  return text.replaceAll(/\s+/g, ' ').trim();
}
