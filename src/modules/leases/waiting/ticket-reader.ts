import type pg from 'pg';
import { borrowed } from '../../../platform/database/borrowed.ts';
import { readInOrg } from '../../../platform/database/in-org.ts';
import { OrgBatcher, type Settled } from '../../../platform/database/org-batcher.ts';
import { notFound, unauthenticated } from '../../../platform/errors.ts';
import type { Principal } from '../../../platform/principal.ts';
import { settingsOf } from '../../identity/index.ts';
import { HELD_LEASE, type HeldLeaseRow, toHeldLease } from '../candidates.ts';
import { textsOf } from '../claim.ts';
import { type Conflict, decideLease, type Moment } from '../decide.ts';
import type { HeldLease } from '../lease.ts';
import { TooBroad } from '../too-broad.ts';
import { compileStored, STEPS_AHEAD_MAX } from '../uncompiled.ts';
import { type TicketView, viewLease } from '../views.ts';
import { aroundStatements, partsOf, type Surroundings, surroundingsIn } from './around.ts';
import { HELD_WAITER, toWaiter, type WaiterRow } from './rows.ts';
import { placeOf, type Waiter } from './waiter.ts';

/** Tickets read at once, whatever they want. */
const MOST_ASKS = 32;

interface Ask {
  readonly principal: Principal;
  readonly id: string;
}

/** A ticket with what is in its way; how long that may take is for the caller to judge. */
export interface SeenTicket {
  readonly ticket: Waiter;
  readonly view: TicketView;
  /** The database's clock when it was read. */
  readonly at: Date;
}

/**
 * Reads tickets as their askers are shown them, those that are asked for at once in a few round trips: whoever waits asks again
 * and again, and a line of thousands must not keep the database from granting.
 */
export class TicketReader {
  readonly #pool: pg.Pool;
  readonly #batcher: OrgBatcher<Ask, SeenTicket>;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
    this.#batcher = new OrgBatcher((orgId, asks) => this.#read(orgId, asks), { ops: MOST_ASKS });
  }

  /** @throws Problem 404; 401 for a key revoked since it was verified */
  async read(principal: Principal, id: string): Promise<SeenTicket> {
    return this.#batcher.submit(principal.orgId, { principal, id });
  }

  async #read(orgId: string, asks: readonly Ask[]): Promise<Settled<SeenTicket>[]> {
    return borrowed(this.#pool, async (client) => {
      const { now, moment, valid, tickets } = await readTickets(client, orgId, asks);
      const leases = await leasesOf(client, orgId, tickets);
      const ways = await inTheWayOf(client, orgId, tickets, moment);
      const byId = new Map(tickets.map((ticket) => [ticket.id, ticket]));
      return asks.map(({ principal, id }): Settled<SeenTicket> => {
        if (principal.keyId !== null && !valid.has(principal.keyId))
          return { ok: false, error: unauthenticated('The API key is revoked or expired.') };
        const ticket = byId.get(id);
        if (ticket === undefined) return { ok: false, error: notFound('ticket') };
        return { ok: true, answer: { ticket, view: viewTicket(ticket, ways, leases, moment), at: now } };
      });
    });
  }
}

interface ReadTickets {
  readonly now: Date;
  readonly moment: Moment;
  /** Keys of those who ask, if they still are. */
  readonly valid: ReadonlySet<string>;
  readonly tickets: readonly Waiter[];
}

async function readTickets(client: pg.PoolClient, orgId: string, asks: readonly Ask[]): Promise<ReadTickets> {
  const keyIds = asks.flatMap(({ principal }) => (principal.keyId === null ? [] : [principal.keyId]));
  const [head, keys, found] = await readInOrg(client, orgId, [
    {
      name: 'org_now',
      text: `SELECT date_trunc('milliseconds', clock_timestamp()) AS now, o.settings FROM org o WHERE o.org_id = $1`,
      values: [orgId],
    },
    {
      name: 'valid_keys',
      text: `SELECT k.id FROM api_key k WHERE k.org_id = $1 AND k.id = ANY ($2::uuid[]) AND k.revoked_at IS NULL
        AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())`,
      values: [orgId, [...new Set(keyIds)]],
    },
    {
      name: 'tickets_to_show',
      text: `${HELD_WAITER} WHERE w.org_id = $1 AND w.id = ANY ($2::uuid[])`,
      values: [orgId, [...new Set(asks.map(({ id }) => id))]],
    },
  ]);
  const [{ now, settings }] = head as [{ now: Date; settings: unknown }];
  return {
    now,
    moment: { now, lockDelaySeconds: settingsOf(settings).lockDelaySeconds },
    valid: new Set((keys as { id: string }[]).map(({ id }) => id)),
    tickets: (found as WaiterRow[]).map((row) => toWaiter(orgId, row)),
  };
}

type LeaseOf = ReadonlyMap<string, { readonly lease: HeldLease; readonly ended: boolean }>;

/** The leases of those that were granted. */
async function leasesOf(client: pg.PoolClient, orgId: string, tickets: readonly Waiter[]): Promise<LeaseOf> {
  const ids = tickets.flatMap(({ leaseId }) => (leaseId === null ? [] : [leaseId]));
  if (ids.length === 0) return new Map();
  const [rows] = await readInOrg(client, orgId, [
    {
      name: 'leases_to_show',
      text: `${HELD_LEASE} WHERE l.org_id = $1 AND l.id = ANY ($2::uuid[])`,
      values: [orgId, ids],
    },
  ]);
  return new Map(
    (rows as HeldLeaseRow[]).map((row) => [row.id, { lease: toHeldLease(row), ended: row.ended_at !== null }]),
  );
}

interface Way {
  readonly conflicts: readonly Conflict[];
  readonly moreConflicts: boolean;
  /** How many are to be served first; null if it would take too long to find out. */
  readonly ahead: number | null;
}

/** Of each that waits. A part at a time, and each in a transaction of its own: what many want together is too much for one. */
async function inTheWayOf(
  client: pg.PoolClient,
  orgId: string,
  tickets: readonly Waiter[],
  moment: Moment,
): Promise<ReadonlyMap<string, Way>> {
  const ways = new Map<string, Way>();
  const look = async (part: readonly Waiter[]): Promise<void> => {
    const around = await compiledAround(orgId, await readInOrg(client, orgId, aroundStatements(orgId, part)));
    // So much is in the way of several that not all of it was read: of one, what was read is told.
    if (!around.isWhole && part.length > 1) for (const ticket of part) await look([ticket]);
    else for (const ticket of part) ways.set(ticket.id, wayOf(ticket, around, moment));
  };
  for (const part of partsOf(tickets.filter(({ status }) => status === 'waiting'))) await look(part);
  return ways;
}

/** Nobody waits for a lock meanwhile; for the connection, some do. What is compiled now need not be for the next look. */
async function compiledAround(orgId: string, rows: readonly (readonly unknown[])[]): Promise<Surroundings> {
  const around = surroundingsIn(orgId, rows);
  if (around.uncompiled.length === 0) return around;
  await compileStored(around.uncompiled, STEPS_AHEAD_MAX);
  return surroundingsIn(orgId, rows);
}

const SETTLED: Way = { conflicts: [], moreConflicts: false, ahead: null };
const UNKNOWN: Way = { conflicts: [], moreConflicts: true, ahead: null };

function viewTicket(ticket: Waiter, ways: ReadonlyMap<string, Way>, leases: LeaseOf, moment: Moment): TicketView {
  const { conflicts, moreConflicts, ahead } = ways.get(ticket.id) ?? SETTLED;
  const given = ticket.leaseId === null ? undefined : leases.get(ticket.leaseId);
  const lease = given === undefined ? null : viewLease(given.lease, moment.now, moment.lockDelaySeconds);
  return {
    ...wantedOf(ticket),
    reason: ticket.reason,
    position: ahead === null ? null : ahead + 1,
    ttlSeconds: ticket.ttlSeconds,
    settledAt: ticket.settledAt?.toISOString() ?? null,
    expectedWaitSeconds: null,
    conflicts: [...conflicts],
    moreConflicts,
    lease: lease !== null && given!.ended && given!.lease.revoked === null ? { ...lease, state: 'over' } : lease,
  };
}

/** Where not all was read, what was found is in the way all the same; that nothing was, tells nothing. */
function wayOf(ticket: Waiter, around: Surroundings, moment: Moment): Way {
  const tables = around.lines.get(ticket.repoId);
  if (tables === undefined) return UNKNOWN;
  try {
    const verdict = decideLease(tables, { runId: ticket.runId, place: placeOf(ticket) }, ticket, moment);
    if (verdict.kind !== 'conflict')
      return around.isWhole ? { conflicts: [], moreConflicts: false, ahead: 0 } : UNKNOWN;
    const { waiters } = verdict.inTheWay;
    const isWhole = around.isWhole && verdict.inTheWay.isWhole;
    const ahead = isWhole ? new Set(waiters.map(({ by }) => by.id)).size : null;
    return { conflicts: verdict.conflicts, moreConflicts: verdict.isCut || !isWhole, ahead };
  } catch (error) {
    if (error instanceof TooBroad) return UNKNOWN;
    throw error;
  }
}

/** What a ticket is for, however much else is shown of it. */
export function wantedOf(waiter: Waiter) {
  return {
    id: waiter.id,
    status: waiter.status,
    repo: waiter.repo,
    runId: waiter.runId,
    paths: textsOf(waiter.matchers, 'path'),
    patterns: textsOf(waiter.matchers, 'pattern'),
    resources: textsOf(waiter.matchers, 'resource'),
    mode: waiter.mode,
    purpose: waiter.purpose,
    queuedAt: waiter.queuedAt.toISOString(),
  };
}
