import type { NewEvent } from '../../../platform/database/journal.ts';
import type { Principal } from '../../../platform/principal.ts';
import type { WaitOutcome } from '../../../platform/telemetry/index.ts';
import { closedUntil, type HeldLease, secondsInLine, textsOf, type Waiter } from '../../leases/index.ts';
import { keyRows, type Row, waiterChangeRow, waiterRow } from './plan-rows.ts';
import type { Snapshot } from './snapshot.ts';

type End =
  | { readonly leaseId: string }
  | { readonly status: 'cancelled' | 'ended'; readonly reason: string; readonly leaseId?: undefined };

interface Deps {
  readonly snapshot: Snapshot;
  /** Returns the event's index in the batch. */
  readonly emit: (principal: Principal, event: NewEvent) => number;
  /** Runs that must not have ended by then. */
  readonly liveRuns: Set<string>;
}

/** What a batch will write of those who wait: see `BatchPlan`. */
export class LinePlan {
  readonly #deps: Deps;
  readonly #waiters: Row[] = [];
  readonly #waiterKeys: Row[] = [];
  readonly #ends = new Map<string, End>();
  readonly #endRows = new Map<string, Row>();
  readonly #blocks = new Map<string, Row>();
  readonly #changed = new Map<string, Waiter>();
  /** Runs that were given something: they must not have fallen silent by then. */
  readonly #aliveRuns = new Set<string>();
  /** Tickets that the event of a grant names. */
  readonly #toldOf = new Set<string>();
  /** Tickets that are waited for no more, however that came, and how long they were. */
  readonly settled: { ticketId: string; runId: string; granted: boolean; outcome: WaitOutcome; seconds: number }[] = [];
  /** Leases that somebody watches from now on, with the time after which they are in nobody's way if nothing is done. */
  readonly watched: { leaseId: string; freeInMs: number }[] = [];

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  get isEmpty(): boolean {
    return this.#waiters.length + this.#endRows.size + this.#blocks.size + this.#changed.size === 0;
  }

  /** How many begin to wait with this batch. */
  get queued(): number {
    return this.#waiters.length;
  }

  /** Puts a request in the line. `watched`: what it was found to wait for. */
  queue(principal: Principal, waiter: Waiter, watched: HeldLease | Waiter): void {
    const event = this.#deps.emit(principal, {
      kind: 'lease.queued',
      subject: { id: waiter.id, kind: 'ticket' },
      data: {
        behind: watched.id,
        loopId: waiter.loopId,
        mode: waiter.mode,
        paths: textsOf(waiter.matchers, 'path'),
        patterns: textsOf(waiter.matchers, 'pattern'),
        resources: textsOf(waiter.matchers, 'resource'),
        purpose: waiter.purpose,
        repo: waiter.repo,
        runId: waiter.runId,
      },
    });
    this.#deps.liveRuns.add(waiter.runId);
    waiter.blockedBy = watched.id;
    this.#watch(watched);
    this.#waiters.push(waiterRow(waiter, event));
    this.#waiterKeys.push(...keyRows(waiter).map((key) => ({ ...key, waiter_id: waiter.id })));
  }

  /** Notes what has changed of a ticket but for its place and its end; the caller has changed it. */
  change(waiter: Waiter): void {
    this.#changed.set(waiter.id, waiter);
  }

  /** Notes what a waiter watches from now on; null: nothing is in its way. */
  block(waiter: Waiter, watched: HeldLease | Waiter | null): void {
    if (watched !== null) this.#watch(watched);
    const blockedBy = watched?.id ?? null;
    if (waiter.blockedBy === blockedBy) return;
    waiter.blockedBy = blockedBy;
    this.#blocks.set(waiter.id, { id: waiter.id, blocked_by: blockedBy });
  }

  #watch(watched: HeldLease | Waiter): void {
    if (!('expiresAt' in watched)) return;
    const { now, settings } = this.#deps.snapshot;
    const freeInMs = closedUntil(watched, settings.lockDelaySeconds).getTime() - now.getTime();
    this.watched.push({ leaseId: watched.id, freeInMs });
  }

  /** The event of a grant names the ticket. */
  toldOf(ticketId: string): void {
    this.#toldOf.add(ticketId);
  }

  /** A ticket came to its end: with a lease, or without (`reason`), which the log tells. */
  settle(principal: Principal, waiter: Waiter, end: End): void {
    if (this.#ends.has(waiter.id)) return;
    const { snapshot, emit } = this.#deps;
    const granted = end.leaseId !== undefined;
    const outcome = granted ? 'granted' : end.status;
    const seconds = secondsInLine(waiter.queuedAt, snapshot.now);
    this.#ends.set(waiter.id, end);
    this.#blocks.delete(waiter.id);
    this.#endRows.set(waiter.id, {
      id: waiter.id,
      status: outcome,
      reason: granted ? null : end.reason,
      lease_id: granted ? end.leaseId : null,
      at: snapshot.now,
    });
    this.settled.push({ ticketId: waiter.id, runId: waiter.runId, granted, outcome, seconds });
    if (granted) this.#aliveRuns.add(waiter.runId);
    snapshot.waiters.get(waiter.repoId)?.remove(waiter.id);
    if (granted) this.#handOver(waiter, end.leaseId);
    if (this.#toldOf.has(waiter.id)) return;
    // Nothing was granted for it where its run had come to hold all of it meanwhile; it ends all the same.
    const how = granted ? { leaseId: end.leaseId, reason: 'held' } : { reason: end.reason };
    emit(principal, {
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
    for (const [id, row] of this.#blocks) this.#blocks.set(id, handed(row));
    const lease = this.#deps.snapshot.tables.get(waiter.repoId)?.get(leaseId);
    if (lease !== undefined) this.#watch(lease);
  }

  /** How this batch has ended a ticket, if it has. */
  endOf(ticketId: string): End | undefined {
    return this.#ends.get(ticketId);
  }

  /** By the names that hot_write knows. */
  rows() {
    return {
      aliveRuns: [...this.#aliveRuns],
      waiters: this.#waiters,
      waiterKeys: this.#waiterKeys,
      waiterEnds: [...this.#endRows.values()],
      waiterBlocks: [...this.#blocks.values()],
      waiterChanges: [...this.#changed.values()].map(waiterChangeRow),
    };
  }
}
