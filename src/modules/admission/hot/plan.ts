import {
  eventContent,
  eventsJson,
  type NewEvent,
  type SealedEvent,
  sealEvent,
} from '../../../platform/database/journal.ts';
import { type Principal, systemPrincipal } from '../../../platform/principal.ts';
import { closedUntil, type HeldLease, textsOf, type Waiter } from '../../leases/index.ts';
import { grantedRows, type KeptRow, keyRows, type Row, waiterRow } from './plan-rows.ts';
import type { Snapshot } from './snapshot.ts';

/** A run must be silent this long before a call writes its beat: not every call of a busy run costs a row. */
const BEAT_EVERY_MS = 5000;

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
  readonly #aliveRuns = new Set<string>();
  readonly #liveRuns = new Set<string>();
  readonly #waiters: Row[] = [];
  readonly #waiterKeys: Row[] = [];
  readonly #waiterEnds = new Map<string, Row>();
  readonly #waiterBlocks = new Map<string, Row>();
  readonly #waiterJoins = new Set<string>();
  /** Tickets that the event of a grant names. */
  readonly #toldOf = new Set<string>();
  /** Leases granted by this batch with the index of their grant's event: that event's seq becomes their fence. */
  readonly granted: { lease: HeldLease; event: number }[] = [];
  readonly ended: HeldLease[] = [];
  readonly renewed: HeldLease[] = [];
  /** Tickets that are waited for no more, however that came. */
  readonly settled: { ticketId: string; granted: boolean }[] = [];
  /** Leases that somebody watches from now on, with the time after which they are in nobody's way if nothing is done. */
  readonly watched: { leaseId: string; freeInMs: number }[] = [];
  /** The seconds after the commit that a mark stands for somewhere in this plan. */
  readonly marked = new Set<number>();

  /** With `mark`, the events are not sealed: they are content, with marks for times that only the database will know. */
  constructor(snapshot: Snapshot, mark: TimeMark | null = null) {
    this.#snapshot = snapshot;
    this.#mark = mark;
  }

  get isEmpty(): boolean {
    const written = this.#events.length + this.#beats.size + this.#waiterBlocks.size;
    // Neither tells the log: an answer that is kept though nothing changed, a ticket whose lease the run had already.
    return written + this.#answers.length + this.#waiterEnds.size + this.#waiterJoins.size === 0;
  }

  /** Runs whose beat it writes. */
  get beaten(): Iterable<string> {
    return this.#beats;
  }

  /** Whether somebody begins to wait with this batch. */
  get hasQueued(): boolean {
    return this.#waiters.length > 0;
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
    if (run.status !== 'stalled' && silentMs < BEAT_EVERY_MS) return;
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
    if (ticketId !== null) this.#toldOf.add(ticketId);
    this.granted.push({ lease, event });
    this.#liveRuns.add(lease.runId);
  }

  /** Extends from now; never shortens. Returns false when there was nothing to extend. */
  renew(principal: Principal, lease: HeldLease, ttlSeconds: number): boolean {
    const until = new Date(this.#snapshot.now.getTime() + ttlSeconds * 1000);
    // A lease that this batch grants has no row to update yet: it stays as it was granted.
    if (until <= lease.expiresAt || lease.fence === null) return false;
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
    return true;
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
    this.#renewals.delete(lease.id);
    this.#ends.set(lease.id, { id: lease.id, at: this.#snapshot.now, ...row });
    this.ended.push(lease);
  }

  /** Puts a request in the line. `watched`: what it was found to wait for. */
  queue(principal: Principal, waiter: Waiter, watched: HeldLease | Waiter): void {
    const claims = {
      paths: textsOf(waiter.matchers, 'path'),
      patterns: textsOf(waiter.matchers, 'pattern'),
      resources: textsOf(waiter.matchers, 'resource'),
    };
    const event = this.emit(principal, {
      kind: 'lease.queued',
      subject: { id: waiter.id, kind: 'ticket' },
      data: {
        behind: watched.id,
        loopId: waiter.loopId,
        mode: waiter.mode,
        ...claims,
        purpose: waiter.purpose,
        repo: waiter.repo,
        runId: waiter.runId,
      },
    });
    this.#liveRuns.add(waiter.runId);
    waiter.blockedBy = watched.id;
    this.#watch(watched);
    this.#waiters.push(waiterRow(waiter, event));
    this.#waiterKeys.push(...keyRows(waiter).map((key) => ({ ...key, waiter_id: waiter.id })));
  }

  /** Notes that a ticket was given to another request as well. */
  join(waiter: Waiter): void {
    if (waiter.joined) return;
    waiter.joined = true;
    this.#waiterJoins.add(waiter.id);
  }

  /** Notes what a waiter watches from now on; null: nothing is in its way. */
  block(waiter: Waiter, watched: HeldLease | Waiter | null): void {
    if (watched !== null) this.#watch(watched);
    const blockedBy = watched?.id ?? null;
    if (waiter.blockedBy === blockedBy) return;
    waiter.blockedBy = blockedBy;
    this.#waiterBlocks.set(waiter.id, { id: waiter.id, blocked_by: blockedBy });
  }

  #watch(watched: HeldLease | Waiter): void {
    if (!('expiresAt' in watched)) return;
    const { now, settings } = this.#snapshot;
    const freeInMs = closedUntil(watched, settings.lockDelaySeconds).getTime() - now.getTime();
    this.watched.push({ leaseId: watched.id, freeInMs });
  }

  /** A ticket came to its end: with a lease, or without (`reason`), which the log tells. */
  settle(
    principal: Principal,
    waiter: Waiter,
    end: { readonly leaseId: string } | { readonly status: 'cancelled' | 'ended'; readonly reason: string },
  ): void {
    if (this.#waiterEnds.has(waiter.id)) return;
    const granted = 'leaseId' in end;
    this.#waiterBlocks.delete(waiter.id);
    this.#waiterEnds.set(waiter.id, {
      id: waiter.id,
      status: granted ? 'granted' : end.status,
      reason: granted ? null : end.reason,
      lease_id: granted ? end.leaseId : null,
      at: this.#snapshot.now,
    });
    this.settled.push({ ticketId: waiter.id, granted });
    if (granted) this.#aliveRuns.add(waiter.runId);
    this.#snapshot.waiters.get(waiter.repoId)?.remove(waiter.id);
    if (granted) this.#handOver(waiter, end.leaseId);
    if (this.#toldOf.has(waiter.id)) return;
    // Nothing was granted for it where its run had come to hold all of it meanwhile; it ends all the same.
    const how = granted ? { leaseId: end.leaseId, reason: 'held' } : { reason: end.reason };
    this.emit(principal, {
      kind: 'lease.wait_ended',
      subject: { id: waiter.id, kind: 'ticket' },
      data: { ...how, repo: waiter.repo, runId: waiter.runId },
    });
  }

  /**
   * Whoever watched a ticket watches the lease that it got. hot_write sees to those who did so before this batch; and one of
   * them may be the only one, so that the lease is watched in any case.
   */
  #handOver(waiter: Waiter, leaseId: string): void {
    const handed = (row: Row): Row => (row['blocked_by'] === waiter.id ? { ...row, blocked_by: leaseId } : row);
    this.#waiters.forEach((row, at) => {
      this.#waiters[at] = handed(row);
    });
    for (const [id, row] of this.#waiterBlocks) this.#waiterBlocks.set(id, handed(row));
    const lease = this.#snapshot.tables.get(waiter.repoId)?.get(leaseId);
    if (lease !== undefined) this.#watch(lease);
  }

  hasSettled(ticketId: string): boolean {
    return this.#waiterEnds.has(ticketId);
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
      aliveRuns: [...this.#aliveRuns],
      // In one order for all, so that two batches with the same keys cannot wait for each other.
      idempotency: this.#answers.toSorted((a, b) => (a.key < b.key ? -1 : 1)),
      decisions: this.#decisions,
      approvals: this.#approvals,
      approvalEnds: this.#approvalEnds,
      leaseRenewals: [...this.#renewals.values()],
      leaseEnds: [...this.#ends.values()],
      liveRuns: [...this.#liveRuns],
      waiters: this.#waiters,
      waiterKeys: this.#waiterKeys,
      waiterEnds: [...this.#waiterEnds.values()],
      waiterBlocks: [...this.#waiterBlocks.values()],
      waiterJoins: [...this.#waiterJoins],
    };
    return Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0));
  }

  toJson(): string {
    let text = `{"events":${eventsJson(this.#events)}`;
    const granted = this.granted.length === 0 ? {} : grantedRows(this.granted);
    for (const [name, list] of Object.entries({ ...granted, ...this.rows() }))
      text += `,"${name}":${JSON.stringify(list)}`;
    // A wait may close a cycle with one that nobody knew when the graph of waits was read.
    if (this.hasQueued) text += `,"waitsKnownTo":${this.#snapshot.seq}`;
    const apiKeys = [...this.#snapshot.keys.keys()];
    if (apiKeys.length > 0) text += `,"apiKeys":${JSON.stringify(apiKeys)}`;
    return `${text}}`;
  }
}
