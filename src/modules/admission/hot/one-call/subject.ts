import type { AcquireOperation, HeldLease, ReleaseOperation, RenewOperation, Wanted } from '../../../leases/index.ts';
import type { AskOperation, HotOperation } from '../operation.ts';

/** An operation that one call may decide, with what it is about. */
export interface Subject {
  readonly op: AcquireOperation | AskOperation | RenewOperation | ReleaseOperation;
  readonly keyId: string;
  readonly runId: string;
  readonly repoId: string;
  readonly wanted: Wanted | null;
  /** Of a renewal or a release: as this server saw it last. */
  readonly lease: HeldLease | null;
}

/** Null for one that only the general way can decide. */
export function subjectOf(op: HotOperation, leaseOf: (id: string) => HeldLease | undefined): Subject | null {
  const { keyId } = op.principal;
  if (keyId === null) return null;
  switch (op.kind) {
    case 'acquire':
      return { op, keyId, runId: op.runId, repoId: op.repo.id, wanted: op.wanted, lease: null };
    case 'ask':
      if (op.runId === null || op.repo === null || op.ticketId !== null) return null;
      return { op, keyId, runId: op.runId, repoId: op.repo.id, wanted: op.wanted, lease: null };
    case 'renew':
    case 'release': {
      const lease = leaseOf(op.leaseId);
      if (lease === undefined) return null;
      return { op, keyId, runId: lease.runId, repoId: lease.repoId, wanted: null, lease };
    }
    default:
      return null;
  }
}
