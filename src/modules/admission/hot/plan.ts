import { indexKey } from '../../../patterns/index.ts';
import { eventsJson, type NewEvent, type SealedEvent, sealEvent } from '../../../platform/database/journal.ts';
import { type Principal, systemPrincipal } from '../../../platform/principal.ts';
import { type HeldLease, textsOf } from '../../leases/index.ts';
import type { Snapshot } from './snapshot.ts';

type Row = Readonly<Record<string, unknown>>;

/** A run must be silent this long before a call writes its beat: not every call of a busy run costs a row. */
const BEAT_EVERY_MS = 5000;

/**
 * What a batch will write, gathered while it decides. `toJson` is the argument of the SQL function hot_write. An
 * operation adds to the plan only once nothing can refuse it any more: what one op adds is never taken back.
 */
export class BatchPlan {
  readonly #snapshot: Snapshot;
  readonly #events: SealedEvent[] = [];
  readonly #idempotency: Row[] = [];
  readonly #decisions: Row[] = [];
  readonly #approvals: Row[] = [];
  readonly #approvalEnds: Row[] = [];
  readonly #leases: Row[] = [];
  readonly #leaseKeys: Row[] = [];
  readonly #renewals = new Map<string, Row>();
  readonly #ends = new Map<string, Row>();
  readonly #beats = new Set<string>();
  readonly #liveRuns = new Set<string>();
  /** Leases granted by this batch with the index of their grant's event: that event's seq becomes their fence. */
  readonly granted: { lease: HeldLease; event: number }[] = [];
  readonly ended: HeldLease[] = [];

  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
  }

  get isEmpty(): boolean {
    return this.#events.length === 0 && this.#beats.size === 0;
  }

  /** Returns the event's index in the batch. */
  emit(principal: Principal, event: NewEvent): number {
    return this.#events.push(sealEvent(event, principal, this.#snapshot.now)) - 1;
  }

  beat(run: { readonly id: string; readonly status: string; readonly lastBeatAt: Date }, principal: Principal): void {
    if (this.#beats.has(run.id)) return;
    const silentMs = this.#snapshot.now.getTime() - run.lastBeatAt.getTime();
    if (run.status !== 'stalled' && silentMs < BEAT_EVERY_MS) return;
    this.#beats.add(run.id);
    if (run.status === 'stalled') this.emit(principal, { kind: 'run.revived', subject: { kind: 'run', id: run.id } });
  }

  /** `decisionId`: the decision that came with it, of an admission. */
  grant(principal: Principal, lease: HeldLease, decisionId: string | null): void {
    const paths = textsOf(lease.matchers, 'path');
    const patterns = textsOf(lease.matchers, 'pattern');
    const expiresAt = lease.expiresAt.toISOString();
    const event = this.emit(principal, {
      kind: 'lease.granted',
      subject: { id: lease.id, kind: 'lease' },
      data: {
        decisionId,
        expiresAt,
        loopId: lease.loopId,
        mode: lease.mode,
        paths,
        patterns,
        purpose: lease.purpose,
        repo: lease.repo,
        runId: lease.runId,
      },
    });
    this.granted.push({ lease, event });
    this.#liveRuns.add(lease.runId);
    this.#leases.push({
      id: lease.id,
      repo_id: lease.repoId,
      run_id: lease.runId,
      loop_id: lease.loopId,
      event,
      mode: lease.mode,
      paths,
      patterns,
      purpose: lease.purpose,
      ttl_seconds: lease.ttlSeconds,
      approval_id: lease.approval?.id ?? null,
      granted_at: lease.grantedAt,
      expires_at: expiresAt,
    });
    lease.matchers.forEach((matcher, ordinal) => {
      this.#leaseKeys.push({ repo_id: lease.repoId, lease_id: lease.id, ordinal, ...indexKey(matcher) });
    });
  }

  /** Extends from now; never shortens. Returns false when there was nothing to extend. */
  renew(principal: Principal, lease: HeldLease, ttlSeconds: number): boolean {
    const until = new Date(this.#snapshot.now.getTime() + ttlSeconds * 1000);
    if (until <= lease.expiresAt) return false;
    lease.expiresAt = until;
    lease.ttlSeconds = ttlSeconds;
    // A lease that this batch grants has no row to update yet; it was granted for that long or longer.
    if (lease.fence === null) return false;
    this.#liveRuns.add(lease.runId);
    this.#renewals.set(lease.id, { id: lease.id, expires_at: until, ttl_seconds: ttlSeconds });
    this.emit(principal, {
      kind: 'lease.renewed',
      subject: { id: lease.id, kind: 'lease' },
      data: { expiresAt: until.toISOString(), fence: lease.fence },
    });
    return true;
  }

  end(principal: Principal, lease: HeldLease, reason: 'released' | 'expired' | 'run_ended'): void {
    if (this.#ends.has(lease.id)) return;
    this.#renewals.delete(lease.id);
    this.#ends.set(lease.id, { id: lease.id, at: this.#snapshot.now, reason });
    this.ended.push(lease);
    this.#snapshot.tables.get(lease.repoId)?.remove(lease.id);
    this.emit(principal, {
      kind: reason === 'released' ? 'lease.released' : 'lease.ended',
      subject: { id: lease.id, kind: 'lease' },
      data: { fence: lease.fence, reason, repo: lease.repo, runId: lease.runId },
    });
  }

  /** Ends the rows of leases that are over already, because a grant takes their place. */
  clear(over: readonly HeldLease[]): void {
    const system = systemPrincipal(this.#snapshot.orgId);
    for (const lease of over) this.end(system, lease, lease.runFinished ? 'run_ended' : 'expired');
  }

  decide(row: Row): void {
    this.#decisions.push(row);
  }

  openApproval(row: Row): void {
    this.#approvals.push(row);
  }

  endApproval(id: string, expected: string, status: 'spent' | 'expired', runId: string | null): void {
    this.#approvalEnds.push({ id, status, expected, at: this.#snapshot.now, run_id: runId });
  }

  keep(row: Row): void {
    this.#idempotency.push({ ...row, at: this.#snapshot.now });
  }

  toJson(): string {
    const lists = {
      beats: [...this.#beats],
      idempotency: this.#idempotency,
      decisions: this.#decisions,
      approvals: this.#approvals,
      approvalEnds: this.#approvalEnds,
      leases: this.#leases,
      leaseKeys: this.#leaseKeys,
      leaseRenewals: [...this.#renewals.values()],
      leaseEnds: [...this.#ends.values()],
      liveRuns: [...this.#liveRuns],
    };
    let text = `{"events":${eventsJson(this.#events)}`;
    for (const [name, list] of Object.entries(lists)) if (list.length > 0) text += `,"${name}":${JSON.stringify(list)}`;
    return `${text}}`;
  }
}
