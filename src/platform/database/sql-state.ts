/** Raised by our own SQL functions; see the migrations. */
export const KEY_NOT_VALID = 'SB401';
export const DECIDED_UNDER_STALE_HEAD = 'SB001';
export const UNIQUE_VIOLATION = '23505';

/** Errors after which the same transaction, tried again from its start, may well succeed. */
const TRANSIENT = new Set(['40001', '40P01', '55P03', DECIDED_UNDER_STALE_HEAD]);

/** Five digits and letters, one of them a digit: without that, EPIPE and other errors of the socket would pass for one. */
const SQL_STATE = /^(?=.*\d)[0-9A-Z]{5}$/;

/** The session was ended for being idle in a transaction or for a transaction that took too long. */
const SESSION_ENDED = new Set(['25P03', '25P04']);

/** Prisma's codes for: not reached, timed out, connection closed. */
const PRISMA_LOST = new Set(['P1001', 'P1002', 'P1008', 'P1017']);
/** What pg and Prisma say without a code. */
const LOST_IN_WORDS =
  /connection terminated|connection.*closed|closed the connection|not queryable|timeout expired|query read timeout|timeout exceeded when trying to connect|unreachable/i;
/** A statement that took too long; no connection of the pool, or no transaction, in time. */
const OVERLOADED = new Set(['57014', 'P2024', 'P2028']);
/** Nothing may be written: this is a standby now, or whoever runs the database has closed it for writing, as when its disk is full. */
const READ_ONLY = '25006';

/** The SQLSTATE of an error thrown by `pg` or, wrapped, by Prisma; null for anything else. */
export function sqlState(error: unknown): string | null {
  if (typeof error !== 'object' || error === null) return null;
  const { code, meta, cause } = error as {
    code?: unknown;
    meta?: { code?: unknown; driverAdapterError?: unknown };
    cause?: unknown;
  };
  const original = (error as { originalCode?: unknown }).originalCode;
  if (typeof original === 'string') return original;
  if (typeof code === 'string' && SQL_STATE.test(code) && !/^P\d{4}$/.test(code)) return code;
  if (code === 'P2002') return UNIQUE_VIOLATION;
  if (code === 'P2034') return '40001';
  return sqlState(meta?.driverAdapterError) ?? sqlState(cause);
}

export function isTransient(error: unknown): boolean {
  const state = sqlState(error);
  return state !== null && TRANSIENT.has(state);
}

/** True when the session was ended because of what was done in it: with less to do it may well succeed. */
export function tookTooLong(error: unknown): boolean {
  return SESSION_ENDED.has(sqlState(error) ?? '');
}

/** True when the connection, not the statement, failed: whether a COMMIT took effect is then unknown. */
export function isConnectionLoss(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== null) return state.startsWith('08') || state.startsWith('57P') || SESSION_ENDED.has(state);
  const code = (error as { code?: unknown } | null)?.code;
  if (typeof code === 'string' && (PRISMA_LOST.has(code) || /^(ECONN|EPIPE|ETIMEDOUT|EHOST)/.test(code))) return true;
  return error instanceof Error && LOST_IN_WORDS.test(error.message);
}

/** True when the same request may well be answered later: the database is away, takes no writes, or has too much to do. */
export function isUnavailable(error: unknown): boolean {
  const code = sqlState(error) ?? (error as { code?: unknown } | null)?.code;
  if (typeof code === 'string' && (OVERLOADED.has(code) || code === READ_ONLY || code.startsWith('53'))) return true;
  return isTransient(error) || isConnectionLoss(error);
}
