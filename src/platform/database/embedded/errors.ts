/** The embedded PostgreSQL cannot be started. The message is one line, fit to be printed as it is. */
export class EmbeddedPostgresError extends Error {
  override readonly name = 'EmbeddedPostgresError';
}

/** Somebody else serves from this data directory. */
export class DataDirectoryInUseError extends EmbeddedPostgresError {
  /** The process id of that server, if it could be learnt. */
  readonly pid: number | null;

  constructor(dataDir: string, pid: number | null) {
    super(`data directory ${dataDir} is in use by ${pid === null ? 'another process' : `pid ${pid}`}`);
    this.pid = pid;
  }
}

/** Runs a file system call whose target may be missing. */
export async function unlessMissing<T, D>(call: Promise<T>, otherwise: D): Promise<T | D> {
  try {
    return await call;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return otherwise;
    throw error;
  }
}

/** The `code` of a system or PostgreSQL error. */
export function errorCode(error: unknown): unknown {
  return (error as { code?: unknown } | null)?.code;
}
