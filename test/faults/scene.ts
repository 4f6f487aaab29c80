import { createHash } from 'node:crypto';
import type { Evidence, LeaseRow, LoggedEvent, WaiterRow } from '../../faults/evidence.ts';
import type { FollowedEvent } from '../../faults/workload/follower.ts';
import type { Fault, Kind, Operation, Sent, ToldLease } from '../../faults/workload/history.ts';
import { canonicalJson } from '../../src/platform/canonical.ts';

const LOCK_DELAY_SECONDS = 1;
/** When the campaign began, by both clocks. */
export const START_MS = Date.parse('2026-01-01T00:00:00.000Z');

interface Grant {
  readonly run: string;
  readonly paths?: readonly string[];
  readonly mode?: 'exclusive' | 'shared';
  readonly ttl?: number;
  readonly ticket?: string;
  readonly purpose?: string;
}

/**
 * A campaign written by hand, in which everything is as it must be: what clients were told, the log, the tables and what
 * a reader got all tell the same. Times are milliseconds since the start. A test then changes one thing.
 */
export class Scene {
  readonly history: Operation[] = [];
  readonly events: LoggedEvent[] = [];
  readonly followed: FollowedEvent[] = [];
  readonly leases: LeaseRow[] = [];
  readonly waiters: WaiterRow[] = [];
  readonly setBacks: { fromMs: number; toMs: number; byMs: number }[] = [];
  /** How far PostgreSQL's clock, by which everything here is told, is behind that of the campaign. */
  #backMs = 0;
  #link: Buffer = Buffer.alloc(32);
  #names = 0;

  event(atMs: number, kind: string, id: string, data: Record<string, unknown> = {}): number {
    const seq = this.events.length + 1;
    const at = new Date(START_MS + atMs).toISOString();
    const content = { actor: { kind: 'key' }, at, data, kind, subject: { kind: 'thing', id } };
    const number = Buffer.alloc(8);
    number.writeBigInt64BE(BigInt(seq));
    const digest = createHash('sha256').update(canonicalJson(content)).digest();
    this.#link = createHash('sha256').update(this.#link).update(number).update(digest).digest();
    const hash = this.#link.toString('hex');
    this.events.push({ seq, atMs: START_MS + atMs, kind, subjectId: id, data, hash });
    this.followed.push({ seq, ...content, hash });
    return seq;
  }

  /** A request and its answer, ten milliseconds on either side of when it was decided. */
  told(
    atMs: number,
    kind: Kind,
    run: string | null,
    sent: Sent,
    status: number,
    body: Record<string, unknown>,
    more: Partial<Operation> = {},
  ): Operation {
    const operation: Operation = {
      client: 0,
      kind,
      runId: run,
      server: 0,
      key: null,
      mustFail: null,
      sent,
      invokedMs: atMs + this.#backMs - 10,
      answeredMs: atMs + this.#backMs + 10,
      reply: { status, body },
      ...more,
    };
    this.history.push(operation);
    return operation;
  }

  setBack(atMs: number, byMs: number): void {
    this.setBacks.push({ fromMs: START_MS + atMs, toMs: START_MS + atMs + 1, byMs });
    this.#backMs += byMs;
  }

  start(atMs: number, ...runs: string[]): void {
    for (const run of runs) {
      this.event(atMs, 'run.started', run);
      this.told(atMs, 'start', null, {}, 201, { id: run }, { key: `start ${run}` });
    }
  }

  /** An acquire that is granted, by a key of its own. */
  grant(atMs: number, { run, paths = ['src/a.ts'], mode = 'exclusive', ttl = 5, ticket, purpose }: Grant): ToldLease {
    const id = `lease ${(this.#names += 1)}`;
    const name = purpose ?? `wish ${this.#names}`;
    const wish = { repo: 'acme/shop', paths, patterns: [], resources: [] };
    const expiresAtMs = START_MS + atMs + ttl * 1000;
    const expiresAt = new Date(expiresAtMs).toISOString();
    const data = { ...wish, mode, runId: run, purpose: name, expiresAt, ticketId: ticket ?? null };
    const fence = this.event(atMs, 'lease.granted', id, data);
    this.leases.push({
      id,
      fence,
      runId: run,
      repo: 'acme/shop',
      expiresAtMs,
      ended: false,
      endReason: null,
      keys: paths.length,
    });
    const lease: ToldLease = { id, fence, ...wish, runId: run, mode, purpose: name, ttlSeconds: ttl, expiresAt };
    if (ticket !== undefined) {
      const at = this.waiters.findIndex((row) => row.id === ticket);
      this.waiters[at] = { ...this.waiters[at]!, status: 'granted', leaseId: id };
    } else {
      this.told(
        atMs,
        'acquire',
        run,
        { ...wish, mode, ttlSeconds: ttl, purpose: name },
        201,
        { lease },
        { key: `key of ${name}` },
      );
    }
    return lease;
  }

  renew(atMs: number, lease: ToldLease): ToldLease {
    const expiresAtMs = START_MS + atMs + lease.ttlSeconds * 1000;
    const renewed = { ...lease, expiresAt: new Date(expiresAtMs).toISOString() };
    this.event(atMs, 'lease.renewed', lease.id, { fence: lease.fence, expiresAt: renewed.expiresAt });
    this.#row(lease, { expiresAtMs });
    this.told(
      atMs,
      'renew',
      lease.runId,
      { leaseId: lease.id, fence: lease.fence, ttlSeconds: lease.ttlSeconds },
      200,
      { lease: renewed },
    );
    return renewed;
  }

  release(atMs: number, lease: ToldLease): void {
    this.event(atMs, 'lease.released', lease.id, { fence: lease.fence, reason: 'released' });
    this.#row(lease, { ended: true, endReason: 'released', keys: 0 });
    this.told(atMs, 'release', lease.runId, { leaseId: lease.id, fence: lease.fence }, 200, { lease });
  }

  /** By the server, as a grant or a sweep does it. */
  end(atMs: number, lease: ToldLease, reason: string): void {
    this.event(atMs, 'lease.ended', lease.id, { fence: lease.fence, reason });
    this.#row(lease, { ended: true, endReason: reason, keys: 0 });
  }

  queue(
    atMs: number,
    ticket: string,
    run: string,
    paths: readonly string[] = ['src/a.ts'],
    mode: 'exclusive' | 'shared' = 'exclusive',
  ): void {
    const wish = { repo: 'acme/shop', paths, patterns: [], resources: [] };
    const purpose = `wish of ${ticket}`;
    this.event(atMs, 'lease.queued', ticket, { ...wish, mode, runId: run, purpose });
    this.waiters.push({
      id: ticket,
      runId: run,
      kind: 'lease',
      joined: false,
      status: 'waiting',
      leaseId: null,
      runStatus: 'running',
    });
    const sent = { ...wish, mode, purpose, ttlSeconds: 5, waitSeconds: 1 };
    this.told(
      atMs,
      'acquire',
      run,
      sent,
      202,
      { ticket: { id: ticket, status: 'waiting' } },
      { key: `key of ${ticket}` },
    );
  }

  /** It is the place of an admission that a second request has joined, or nobody has. */
  place(ticket: string, joined: boolean): void {
    const at = this.waiters.findIndex((row) => row.id === ticket);
    this.waiters[at] = { ...this.waiters[at]!, kind: 'admission', joined };
  }

  cancel(atMs: number, ticket: string, run: string): void {
    this.event(atMs, 'lease.wait_ended', ticket, { reason: 'cancelled' });
    const at = this.waiters.findIndex((row) => row.id === ticket);
    this.waiters[at] = { ...this.waiters[at]!, status: 'cancelled' };
    this.told(atMs, 'cancel', run, { ticketId: ticket }, 200, { id: ticket, status: 'cancelled' });
  }

  finish(atMs: number, run: string): void {
    this.event(atMs, 'run.finished', run);
    this.told(atMs, 'finish', run, { epoch: 1 }, 200, {});
  }

  /** What must not be granted, refused as it must be. */
  refused(atMs: number, kind: Kind, run: string, sent: Sent, mustFail: Fault): Operation {
    return this.told(atMs, kind, run, sent, 409, { code: 'fence_stale' }, { mustFail });
  }

  evidence(change: Partial<Evidence> = {}): Evidence {
    const { history, events, followed, leases, waiters, setBacks } = this;
    const known = { calmMs: 0, lockDelaySeconds: LOCK_DELAY_SECONDS, forgotten: [], unfinished: [] };
    return { history, events, followed, leases, waiters, setBacks, ...known, ...change };
  }

  #row({ id }: ToldLease, change: Partial<LeaseRow>): void {
    const at = this.leases.findIndex((row) => row.id === id);
    this.leases[at] = { ...this.leases[at]!, ...change };
  }
}
