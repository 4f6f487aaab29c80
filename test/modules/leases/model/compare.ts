import { type Lease, type Model, settle, standing, type Ticket } from './reference.ts';
import { type LeaseRow, LOCK_DELAY_SECONDS, type Seen, type TicketRow } from './world.ts';

/** A busy machine takes its time; what leases are given differs by much more. */
const TOLERANCE_SECONDS = 45;

/**
 * Where the rows differ from a model that has settled; empty if nowhere. What only the rows know, the ids of leases that
 * waiters were given, the model learns from them.
 */
export function differences(m: Model, seen: Seen): string[] {
  settle(m);
  const found: string[] = [];
  const differ = (what: string, expected: unknown, got: unknown) => {
    if (expected !== got) found.push(`${what}: expected ${String(expected)}, got ${String(got)}`);
  };
  differ('tickets', m.tickets.length, seen.tickets.length);
  m.tickets.forEach((ticket, at) => {
    const row = seen.tickets[at];
    if (row !== undefined) compareTicket(m, ticket, row, differ);
  });
  differ('leases', m.leases.length, seen.leases.length);
  const rows = new Map(seen.leases.map((row) => [row.id, row]));
  m.leases.forEach((lease, at) => {
    const row = lease.id === null ? undefined : rows.get(lease.id);
    if (row === undefined) found.push(`lease ${at} ${lease.id} of run ${lease.run} is missing`);
    else compareLease(m, lease, row, differ);
  });
  return found;
}

type Differ = (what: string, expected: unknown, got: unknown) => void;

function compareTicket(m: Model, ticket: Ticket, row: TicketRow, differ: Differ): void {
  const name = `ticket ${row.id} of run ${ticket.run}`;
  ticket.id ??= row.id;
  differ(`${name}: id`, ticket.id, row.id);
  differ(`${name}: run`, m.runs[ticket.run]!.id, row.run_id);
  differ(`${name}: repo`, ticket.repo, row.repo);
  differ(`${name}: mode`, ticket.mode, row.mode);
  differ(`${name}: claims`, String(ticket.claims.map(({ text }) => text)), String(row.claims));
  differ(`${name}: status`, ticket.status, row.status);
  // A wait that slipped in just before its run finished is ended by the next sweep.
  if (ticket.reason !== 'run_ended' || row.reason !== 'abandoned') differ(`${name}: reason`, ticket.reason, row.reason);
  if (ticket.promised !== undefined) {
    differ(`${name}: what was said to have come of it`, ticket.promised, row.lease_id);
    differ(`${name}: settled, as was said`, false, row.status === 'waiting');
  }
  if (ticket.status !== 'granted') return differ(`${name}: lease`, null, row.lease_id);
  const [only, other] = ticket.leases;
  if (other === undefined) only!.id ??= row.lease_id;
  differ(
    `${name}: lease`,
    true,
    ticket.leases.some(({ id }) => id === row.lease_id),
  );
}

function compareLease(m: Model, lease: Lease, row: LeaseRow, differ: Differ): void {
  const name = `lease ${row.id} of run ${lease.run}`;
  lease.fence ??= Number(row.fence);
  differ(`${name}: fence`, lease.fence, Number(row.fence));
  differ(`${name}: run`, m.runs[lease.run]!.id, row.run_id);
  differ(`${name}: repo`, lease.repo, row.repo);
  differ(`${name}: mode`, lease.mode, row.mode);
  differ(`${name}: claims`, String(lease.claims.map(({ text }) => text)), String(row.claims));
  if (lease.end !== null) {
    // Of one that ran out, or ended with its run, nothing is left; its row may say so later, or otherwise.
    const isVague = lease.age === 'past' || m.runs[lease.run]!.status === 'finished';
    if (!isVague || row.end_reason !== null)
      differ(`${name}: end`, isVague ? row.end_reason : lease.end, row.end_reason);
  } else if (lease.age !== 'past') {
    differ(`${name}: end`, null, row.end_reason);
    const left = lease.age === 'fresh' ? lease.leftSeconds : CLOSING_SECONDS;
    const isRight = Math.abs(row.left_seconds - left) < TOLERANCE_SECONDS;
    differ(`${name}: ${standing(m, lease)} for ${row.left_seconds} s, near ${left}`, true, isRight);
    differ(`${name}: ttl`, lease.ttlSeconds, row.ttl_seconds);
  }
}

/** Where the expiry of a lease is moved to. */
export const CLOSING_SECONDS = -60;
export const PAST_SECONDS = -LOCK_DELAY_SECONDS - 60;
export const LOW_SECONDS = 120;
