import type { Idempotent } from '../../../platform/database/idempotency.ts';
import type { BatchLimits } from '../../../platform/database/org-batcher.ts';
import type { Principal } from '../../../platform/principal.ts';
import type { ActionName, Subject } from '../../governance/index.ts';
import {
  type LeaseOperation,
  MOST_ASKED,
  type Searched,
  type Spoken,
  type Wanted,
  weightOfClaims,
} from '../../leases/index.ts';

/** One action of a request with what it is done to: for actions on paths a subject for each path. */
export interface Part {
  readonly action: ActionName;
  readonly subjects: readonly Subject[];
  /** Of an action on paths: what it touches besides, as a pattern. `dir/` of a request that deletes `dir` with all below it. */
  readonly patterns?: readonly string[];
}

/**
 * "May I?", with the lease that comes with a yes. Several parts are one request: the strictest decides, and the lease
 * covers the paths of all of them.
 */
export interface AskOperation extends Spoken {
  readonly kind: 'ask';
  readonly principal: Principal;
  readonly idempotent: Idempotent | null;
  readonly runId: string | null;
  readonly repo: { readonly id: string; readonly name: string } | null;
  /** What the request is mainly about, as the log names it. */
  readonly action: ActionName;
  readonly parts: readonly Part[];
  /** Hash of what would be written, if the caller binds its approval to that. */
  readonly contentDigest: string | null;
  readonly purpose: string | null;
  /** Null: decide only. */
  readonly wanted: Wanted | null;
  /** Whether to keep a place in the line for a lease that cannot be had now; the answer then has its `ticketId`. */
  readonly waits: boolean;
  /** The place that an earlier ask of the same request has kept. */
  readonly ticketId: string | null;
  /** Set when it was too broad to be looked up under the lock. */
  readonly searched?: Searched;
}

export type HotOperation = AskOperation | LeaseOperation;

/** What an operation answers. `body` is complete but for the fence of a lease granted in this batch. */
export interface HotAnswer {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly replayed?: boolean;
}

/** What is decided together: all that it wants is looked up at once, while its repos are locked. */
export const batchesOf = <O>(wantedOf: (op: O) => Wanted | null): BatchLimits<O> => ({
  ops: 128,
  weigh: (op) => weightOfClaims(wantedOf(op)?.matchers ?? []),
  weight: MOST_ASKED,
});
