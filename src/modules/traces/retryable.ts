import { isConnectionLoss, isTransient, sqlState } from '../../platform/database/sql-state.ts';

/** Out of resources, cancelled or shutting down, read-only after a failover, a failing disk. */
const PASSING = /^(?:53|57|58|25006)/;

/** Whether the same request may well succeed later. A client gives up on 500, so what passes must not be told as one. */
export function isPassing(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== null) return PASSING.test(state) || isTransient(error) || isConnectionLoss(error);
  return isConnectionLoss(error);
}
