import type { Evidence, LoggedEvent } from '../evidence.ts';
import { touched } from '../workload/ground.ts';

/** A lease as the log tells its life. */
export interface LoggedLease {
  readonly id: string;
  /** Of its grant. */
  readonly seq: number;
  readonly runId: string;
  readonly repo: string;
  readonly mode: 'exclusive' | 'shared';
  readonly touches: readonly string[];
  readonly purpose: string | null;
  readonly ticketId: string | null;
  /** Grant and renewals, in order. */
  readonly terms: { readonly seq: number; readonly atMs: number; readonly expiresAtMs: number }[];
  end: { readonly seq: number; readonly atMs: number; readonly reason: string } | null;
}

/** A wait as the log tells it. */
export interface LoggedTicket {
  readonly id: string;
  readonly seq: number;
  readonly runId: string;
  readonly repo: string;
  readonly mode: 'exclusive' | 'shared';
  readonly touches: readonly string[];
  readonly purpose: string | null;
  readonly atMs: number;
  end: { readonly seq: number; readonly atMs: number; readonly reason: string; readonly leaseId: string | null } | null;
}

export interface Log {
  readonly events: readonly LoggedEvent[];
  readonly leases: ReadonlyMap<string, LoggedLease>;
  readonly tickets: ReadonlyMap<string, LoggedTicket>;
  /** The seq of a run's end. */
  readonly finished: ReadonlyMap<string, number>;
  readonly started: ReadonlyMap<string, number>;
  /** What cannot happen to a lease or a ticket, as seq and words. */
  readonly impossible: readonly string[];
}

/** Reads the log alone, in its order; no table is believed here. */
export function readLog({ events }: Pick<Evidence, 'events'>): Log {
  const leases = new Map<string, LoggedLease>();
  const tickets = new Map<string, LoggedTicket>();
  const finished = new Map<string, number>();
  const started = new Map<string, number>();
  const impossible: string[] = [];
  const wrong = ({ seq, kind, subjectId }: LoggedEvent, why: string) =>
    impossible.push(`${seq} ${kind} ${subjectId}: ${why}`);
  for (const event of events) {
    const { seq, atMs, kind, subjectId: id, data } = event;
    const lease = leases.get(id);
    switch (kind) {
      case 'run.started':
        started.set(id, seq);
        break;
      case 'run.finished':
        if (finished.has(id)) wrong(event, 'a second end');
        finished.set(id, seq);
        break;
      case 'lease.granted': {
        if (lease !== undefined) wrong(event, 'a second grant');
        const granted: LoggedLease = { ...wishOf(event), terms: [], end: null };
        granted.terms.push({ seq, atMs, expiresAtMs: Date.parse(String(data['expiresAt'])) });
        leases.set(id, granted);
        const ticket = granted.ticketId === null ? undefined : tickets.get(granted.ticketId);
        if (granted.ticketId === null) break;
        if (ticket === undefined) wrong(event, 'from a ticket that nobody has');
        else if (ticket.end !== null) wrong(event, `from a ticket that ended at ${ticket.end.seq}`);
        else ticket.end = { seq, atMs, reason: 'granted', leaseId: id };
        break;
      }
      case 'lease.renewed':
        if (lease === undefined) wrong(event, 'no such lease');
        else if (lease.end !== null) wrong(event, `it ended at ${lease.end.seq}`);
        else lease.terms.push({ seq, atMs, expiresAtMs: Date.parse(String(data['expiresAt'])) });
        if (lease !== undefined && data['fence'] !== lease.seq)
          wrong(event, `fence ${String(data['fence'])}, not ${lease.seq}`);
        break;
      case 'lease.released':
      case 'lease.revoked':
      case 'lease.ended':
        if (lease === undefined) wrong(event, 'no such lease');
        else if (lease.end !== null) wrong(event, `it ended at ${lease.end.seq}`);
        // Of a revocation the log tells an admin's words.
        else lease.end = { seq, atMs, reason: kind === 'lease.revoked' ? 'revoked' : String(data['reason']) };
        break;
      case 'lease.queued':
        if (tickets.has(id)) wrong(event, 'a second place');
        tickets.set(id, { ...wishOf(event), atMs, end: null });
        break;
      case 'lease.wait_ended': {
        const ticket = tickets.get(id);
        if (ticket === undefined) wrong(event, 'no such ticket');
        else if (ticket.end !== null) wrong(event, `it ended at ${ticket.end.seq}`);
        else
          ticket.end = {
            seq,
            atMs,
            reason: String(data['reason']),
            leaseId: (data['leaseId'] as string | null | undefined) ?? null,
          };
        break;
      }
    }
  }
  return { events, leases, tickets, finished, started, impossible };
}

function wishOf({ seq, subjectId, data }: LoggedEvent) {
  const list = (name: string) => (data[name] as string[] | undefined) ?? [];
  const repo = String(data['repo']);
  return {
    id: subjectId,
    seq,
    runId: String(data['runId']),
    repo,
    mode: data['mode'] as 'exclusive' | 'shared',
    touches: touched({ repo, paths: list('paths'), patterns: list('patterns'), resources: list('resources') }),
    purpose: (data['purpose'] as string | null | undefined) ?? null,
    ticketId: (data['ticketId'] as string | null | undefined) ?? null,
  };
}

/** What the lease was good until, as of just before an event. */
export function expiryBefore(lease: LoggedLease, seq: number): number {
  return lease.terms.findLast((term) => term.seq < seq)?.expiresAtMs ?? Number.NEGATIVE_INFINITY;
}
