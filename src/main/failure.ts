import { type Config, ConfigurationError } from '../platform/config.ts';
import { EmbeddedPostgresError } from '../platform/database/embedded.ts';
import { MigrationError } from '../platform/database/migrate.ts';

export interface Failure {
  /** Fit for a terminal: one line, no secret. */
  readonly line: string;
  /** False for what nobody foresaw: its stack belongs in the log. */
  readonly isExpected: boolean;
}

/** Why the server did not start, for whoever started it. */
export function describeFailure(error: unknown): Failure {
  const isExpected =
    error instanceof ConfigurationError ||
    error instanceof MigrationError ||
    error instanceof EmbeddedPostgresError ||
    isSystemError(error);
  const text = error instanceof Error ? error.message : String(error);
  return { line: text.replaceAll(/\s+/g, ' ').trim() || 'unknown failure', isExpected };
}

/** What `listen` says, as the setting that has to change. Other errors come back as they are. */
export function listenFailure(error: unknown, { host, port }: Pick<Config, 'host' | 'port'>): unknown {
  const because = (variable: string, why: string) => {
    const wrong = new ConfigurationError(`${variable}: ${why}`, [variable]);
    wrong.cause = error;
    return wrong;
  };
  switch ((error as { code?: unknown } | null)?.code) {
    case 'EADDRINUSE':
      return because('PORT', `${port} on ${host} is taken; name another one, or 0 for a free one`);
    case 'EACCES':
      return because('PORT', `this account may not listen on ${port}; name one above 1023`);
    case 'EADDRNOTAVAIL':
      return because('HOST', `${host} is no address of this machine`);
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return because('HOST', `the name ${host} is not known`);
    default:
      return error;
  }
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string';
}
