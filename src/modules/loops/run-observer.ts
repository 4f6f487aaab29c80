import type { OrgTx } from '../../platform/database/database.ts';

/** What a run is told at its heartbeat besides whether to go on. */
export interface RunNotice {
  readonly code: 'lease_revoked';
  readonly detail: string;
}

/**
 * What a module above wants of a run's life, in the same transaction. Locks are taken in one order everywhere (repos by
 * id, then the run): so the repos are locked in a call of its own, before the run is.
 */
export interface RunObserver {
  /** Locks the repos that `onHeartbeat` will touch, in id order. The run's row is not locked yet, and its epoch is not checked. */
  beforeHeartbeat(tx: OrgTx, runId: string): Promise<void>;
  /** The run is locked and speaks with its current epoch. `now` is the database's clock after the locks. */
  onHeartbeat(tx: OrgTx, runId: string, now: Date): Promise<readonly RunNotice[]>;
  /** As `beforeHeartbeat`, for `onFinish`. */
  beforeFinish(tx: OrgTx, runId: string): Promise<void>;
  /** The run has just been marked finished. Not called again for a finish that is only replayed. */
  onFinish(tx: OrgTx, runId: string, now: Date): Promise<void>;
}

/** For a server, or a test, in which nothing hangs on runs. */
export const noRunObserver: RunObserver = {
  beforeHeartbeat: async () => {},
  onHeartbeat: async () => [],
  beforeFinish: async () => {},
  onFinish: async () => {},
};
