import type { Prisma } from '../../generated/prisma/client.ts';
import type { Principal } from '../principal.ts';
import type { NewEvent } from './journal.ts';

/** What a service works with inside one org's transaction. Row-level security hides every other org. */
export interface OrgTx {
  readonly principal: Principal;
  readonly orgId: string;
  readonly db: Prisma.TransactionClient;
  /** The database's clock when the transaction began. After waiting for a lock, read `clock()` instead. */
  readonly now: Date;
  /** The database's clock at this moment. */
  clock(): Promise<Date>;
  /** Appends to the org's log when the transaction commits. `at` defaults to `now`. */
  emit(event: NewEvent, at?: Date): void;
  /** Runs `work` once the transaction has committed; not at all if it rolls back. It must not throw. */
  afterCommit(work: () => void): void;
  /** Moves the org's policy version or halt epoch on in the same statement that appends the events. */
  bump(what: 'policyVersion' | 'haltEpoch'): void;
}

export interface Answer<T> {
  readonly status: number;
  readonly body: T;
}
