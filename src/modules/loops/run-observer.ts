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
  /**
   * Locks the repos that the calls below will touch, in id order, and returns their ids. The run's row is not
   * locked yet, and its epoch is not checked.
   */
  lockRepos(tx: OrgTx, runId: string): Promise<readonly string[]>;
  /** The run is locked and speaks with its current epoch. */
  onHeartbeat(tx: OrgTx, run: ObservedRun): Promise<readonly RunNotice[]>;
  /** The run has just been marked finished. Not called again for a finish that is only replayed. */
  onFinish(tx: OrgTx, run: ObservedRun): Promise<void>;
  /** The run has just been taken over by `epoch`. */
  onResume(tx: OrgTx, run: ObservedRun, epoch: number): Promise<void>;
}

export interface ObservedRun {
  readonly id: string;
  /** Locked. What the run has been given elsewhere since is not the observer's to change: nobody there waits for it. */
  readonly repoIds: readonly string[];
  /** The database's clock after the locks. */
  readonly now: Date;
}

/** For a server, or a test, in which nothing hangs on runs. */
export const noRunObserver: RunObserver = {
  lockRepos: async () => [],
  onHeartbeat: async () => [],
  onFinish: async () => {},
  onResume: async () => {},
};
