import {
  eventContent,
  eventsJson,
  type NewEvent,
  type SealedEvent,
  sealEvent,
} from '../../../platform/database/journal.ts';
import { type Principal, systemPrincipal } from '../../../platform/principal.ts';
import { type HeldLease, textsOf } from '../../leases/index.ts';
import { BEAT_EVERY_SECONDS } from '../../loops/index.ts';
import { LinePlan } from './plan-line.ts';
import { grantedRows, type KeptRow, type Row } from './plan-rows.ts';
import type { Snapshot } from './snapshot.ts';

/** Writes a time so many seconds after the commit, which the database puts in: see `hot_once`. */
export type TimeMark = (seconds: number) => string;

/**
 * What a batch will write, gathered while it decides. `toJson` is the argument of the SQL function hot_write. An
 * operation adds to the plan only once nothing can refuse it any more: what one op adds is never taken back.
 */
export class BatchPlan {
  readonly #snapshot: Snapshot;
  readonly #mark: TimeMark | null;
  readonly #events: SealedEvent[] = [];
  readonly #answers: KeptRow[] = [];
  readonly #decisions: Row[] = [];
  readonly #approvals: Row[] = [];
  readonly #approvalEnds: Row[] = [];
  readonly #renewals = new Map<string, Row>();
  readonly #ends = new Map<string, Row>();
  readonly #beats = new Set<string>();
  readonly #revivals = new Set<string>();
  readonly #liveRuns = new Set<string>();
  /** Leases granted by this batch with the index of their grant's event: that event's seq becomes their fence. */
  readonly granted: { lease: HeldLease; event: number }[] = [];
  readonly ended: HeldLease[] = [];
  readonly renewed: HeldLease[] = [];
  /** Of those who wait. */
  readonly line: LinePlan;
  /** The seconds after the commit that a mark stands for somewhere in this plan. */
  readonly marked = new Set<number>();

  /** With `mark`, the events are not sealed: they are content, with marks for times that only the database will know. */
  constructor(snapshot: Snapshot, mark: TimeMark | null = null) {
    this.#snapshot = snapshot;
    this.#mark = mark;
    const emit = this.emit.bind(this);
    this.line = new LinePlan({ snapshot, emit, liveRuns: this.#liveRuns });
  }

  get isEmpty(): boolean {
    // Not all of it is told to the log: an answer that is kept though nothing changed, a ticket that was joined.
    return this.line.isEmpty && this.#events.length + this.#beats.size + this.#answers.length === 0;
  }

  /** Runs whose beat it writes. */
  get beaten(): Iterable<string> {
    return this.#beats;
  }

  /** Returns the event's index in the batch. */
  emit(principal: Principal, event: NewEvent): number {
    const { now } = this.#snapshot;
    const written =
      this.#mark === null ? sealEvent(event, principal, now) : eventContent(event, principal, this.after(0, now));
    return this.#events.push(written) - 1;
  }

  /** A time so many seconds after the commit: `known`, or where only the database will know it, a mark for it. */
  after(seconds: number, known: Date): string {
    if (this.#mark === null) return known.toISOString();
    this.marked.add(seconds);
    return this.#mark(seconds);
  }

  beat(run: { readonly id: string; readonly status: string; readonly lastBeatAt: Date }, principal: Principal): void {
    if (this.#beats.has(run.id) || this.#revivals.has(run.id)) return;
    const silentMs = this.#snapshot.now.getTime() - run.lastBeatAt.getTime();
    if (run.status !== 'stalled' && silentMs < BEAT_EVERY_SECONDS * 1000) return;
    if (run.status !== 'stalled') return void this.#beats.add(run.id);
    this.#revivals.add(run.id);
    this.emit(principal, { kind: 'run.revived', subject: { kind: 'run', id: run.id } });
  }

  /** `decisionId`: the decision that came with it, of an admission. `ticketId`: what it was waited for under. */
  grant(principal: Principal, lease: HeldLease, decisionId: string | null, ticketId: string | null): void {
    const paths = textsOf(lease.matchers, 'path');
    const patterns = textsOf(lease.matchers, 'pattern');
    const resources = textsOf(lease.matchers, 'resource');
    const expiresAt = this.after(lease.ttlSeconds, lease.expiresAt);
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
        resources,
        runId: lease.runId,
        ticketId,
      },
    });
    if (ticketId !== null) this.line.toldOf(ticketId);
    this.granted.push({ lease, event });
    this.#liveRuns.add(lease.runId);
  }

  /** Extends from now; never shortens. What was extended is in `renewed`. */
  renew(principal: Principal, lease: HeldLease, ttlSeconds: number): void {
    const until = new Date(this.#snapshot.now.getTime() + ttlSeconds * 1000);
    // A lease that this batch grants has no row to update yet: it stays as it was granted.
    if (until <= lease.expiresAt || lease.fence === null) return;
    const { id, fence, ttlSeconds: was } = lease;
    lease.expiresAt = until;
    lease.ttlSeconds = ttlSeconds;
    this.#liveRuns.add(lease.runId);
    this.#renewals.set(id, { id, expires_at: until, ttl_seconds: ttlSeconds, fence, was });
    this.renewed.push(lease);
    this.emit(principal, {
      kind: 'lease.renewed',
      subject: { id: lease.id, kind: 'lease' },
      data: { expiresAt: this.after(ttlSeconds, until), fence },
    });
  }

  end(principal: Principal, lease: HeldLease, reason: 'released' | 'expired' | 'run_ended' | 'upgraded'): void {
    if (this.#ends.has(lease.id)) return;
    this.#snapshot.tables.get(lease.repoId)?.remove(lease.id);
    this.#end(lease, { reason, fence: lease.fence, expires_at: lease.expiresAt });
    this.emit(principal, {
      kind: reason === 'released' ? 'lease.released' : 'lease.ended',
      subject: { id: lease.id, kind: 'lease' },
      data: { fence: lease.fence, reason, repo: lease.repo, runId: lease.runId },
    });
  }

  /** Stays in the table: the run must not take it back in this very batch. */
  revoke(principal: Principal, lease: HeldLease, why: string): void {
    lease.revoked = why;
    this.#end(lease, { reason: 'revoked', revoke_reason: why });
    this.emit(principal, {
      kind: 'lease.revoked',
      subject: { id: lease.id, kind: 'lease' },
      data: { fence: lease.fence, reason: why, repo: lease.repo, runId: lease.runId },
    });
  }

  #end(lease: HeldLease, row: Row): void {
    this.#ends.set(lease.id, { id: lease.id, at: this.#snapshot.now, ...row });
    this.ended.push(lease);
  }

  /** Whether a lease or a place in line of any of these runs comes to its end with this batch. */
  hasEndedAnyOf(runIds: readonly string[]): boolean {
    return [...this.ended, ...this.line.settled].some(({ runId }) => runIds.includes(runId));
  }

  /** Ends the rows of leases that are over already, because a grant takes their place. */
  clear(over: readonly HeldLease[]): void {
    const system = systemPrincipal(this.#snapshot.orgId);
    for (const lease of over) this.end(system, lease, lease.runFinished ? 'run_ended' : 'expired');
  }

  decide(row: Row & { readonly run_id: string | null }): void {
    // What was decided for a run that has ended meanwhile, and the approval spent on it, would be a late writer's.
    if (row.run_id !== null) this.#liveRuns.add(row.run_id);
    this.#decisions.push(row);
  }

  openApproval(row: Row): void {
    this.#approvals.push(row);
  }

  endApproval(id: string, expected: string, status: 'spent' | 'expired', runId: string | null): void {
    this.#approvalEnds.push({ id, status, expected, at: this.#snapshot.now, run_id: runId });
  }

  keep(row: KeptRow): void {
    this.#answers.push({ ...row, at: this.#snapshot.now });
  }

  get events(): readonly SealedEvent[] {
    return this.#events;
  }

  /** The rows to write besides those of what it granted, by the names that hot_write knows; lists without any are left out. */
  rows(): Record<string, readonly unknown[]> {
    const lists = {
      beats: [...this.#beats],
      revivals: [...this.#revivals],
      // In one order for all, so that two batches with the same keys cannot wait for each other.
      idempotency: this.#answers.toSorted((a, b) => (a.key < b.key ? -1 : 1)),
      decisions: this.#decisions,
      approvals: this.#approvals,
      approvalEnds: this.#approvalEnds,
      leaseRenewals: [...this.#renewals.values()],
      leaseEnds: [...this.#ends.values()],
      liveRuns: [...this.#liveRuns],
      ...this.line.rows(),
    };
    return Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0));
  }

  toJson(): string {
    let text = `{"events":${eventsJson(this.#events)}`;
    const granted = this.granted.length === 0 ? {} : grantedRows(this.granted);
    for (const [name, list] of Object.entries({ ...granted, ...this.rows() }))
      text += `,"${name}":${JSON.stringify(list)}`;
    // A wait may close a cycle with one that nobody knew when the graph of waits was read.
    if (this.line.queued > 0) text += `,"waitsKnownTo":${this.#snapshot.seq}`;
    const apiKeys = [...this.#snapshot.keys.keys()];
    if (apiKeys.length > 0) text += `,"apiKeys":${JSON.stringify(apiKeys)}`;
    return `${text}}`;
  }
}
