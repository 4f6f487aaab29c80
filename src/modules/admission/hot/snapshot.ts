import type { ActiveHalt } from '../../budgets/index.ts';
import type { PolicySet } from '../../governance/index.ts';
import type { OrgSettings } from '../../identity/index.ts';
import type { HeldLease, Tables, Waiter, WaitGraph } from '../../leases/index.ts';
import type { RunFacts } from '../../loops/index.ts';
import type { HotAnswer } from './operation.ts';

/** An API key as the batch found it: present only while it is valid. */
export interface LiveKey {
  readonly teams: readonly { readonly id: string; readonly name: string }[];
}

/** An answer kept under an Idempotency-Key, with the fence of the lease in it. */
export interface KeptAnswer {
  readonly operation: string;
  readonly fingerprint: Buffer;
  readonly status: number;
  readonly response: string;
  readonly fence: number | null;
  /** Set when it was given within this batch. */
  readonly answer?: HotAnswer;
}

export interface ApprovalRow {
  readonly id: string;
  readonly digest: string;
  readonly status: 'pending' | 'approved' | 'rejected';
  readonly requirements: readonly {
    readonly policy: string;
    readonly ruleId: string;
    readonly team: string | null;
    readonly count: number;
  }[];
  readonly expiresAt: Date;
  readonly comment: string | null;
}

/**
 * All that a batch decides on, read after its repos were locked. Decisions are functions of this and of the operations
 * before them in the batch; they change only what is mutable here, and the plan.
 */
export interface Snapshot {
  readonly orgId: string;
  /** The database's clock, read after the lock. */
  readonly now: Date;
  /** The log's end. */
  readonly seq: number;
  /** Whether anybody waits for a lease in this org. */
  readonly someWait: boolean;
  readonly policyVersion: number;
  readonly haltEpoch: number;
  readonly settings: OrgSettings;
  readonly policies: PolicySet;
  readonly halts: readonly ActiveHalt[];
  readonly keys: ReadonlyMap<string, LiveKey>;
  readonly runs: ReadonlyMap<string, RunFacts>;
  readonly repos: ReadonlyMap<string, { readonly name: string; readonly caseSensitive: boolean }>;
  /** By repo. */
  readonly tables: ReadonlyMap<string, Tables['leases']>;
  /** By repo: those who wait for what is wanted. */
  readonly waiters: ReadonlyMap<string, Tables['waiters']>;
  /** Those named by a look at their turn, or by who gives up; settled or not. */
  readonly tickets: ReadonlyMap<string, Waiter>;
  /** Who waits for whom; read only when a wait may begin. */
  waits: WaitGraph | null;
  /** Those read, by what is wanted or by their ids, if not ended. */
  readonly leases: ReadonlyMap<string, HeldLease>;
  /** Those named by their ids that have ended. */
  readonly endedLeases: ReadonlyMap<string, HeldLease>;
  /** By `keptKey`. */
  readonly kept: Map<string, KeptAnswer>;
  /** Open or rejected approvals by hex digest. */
  readonly approvals: Map<string, ApprovalRow>;
}

export function keptKey(keyId: string | null, key: string): string {
  return `${keyId} ${key}`;
}
