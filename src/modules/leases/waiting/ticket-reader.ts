import type pg from 'pg';
import { borrowed } from '../../../platform/database/borrowed.ts';
import { enterOrg } from '../../../platform/database/in-org.ts';
import { OrgBatcher, type Settled } from '../../../platform/database/org-batcher.ts';
import { flush } from '../../../platform/database/pipeline.ts';
import { notFound, unauthenticated } from '../../../platform/errors.ts';
import type { Principal } from '../../../platform/principal.ts';
import { settingsOf } from '../../identity/index.ts';
import { TooBroad } from '../broad-search.ts';
import { areTooMany, candidatesStatement, HELD_LEASE, type HeldLeaseRow, toHeldLease } from '../candidates.ts';
import { textsOf } from '../claim.ts';
import { ClaimTable } from '../claim-table.ts';
import { type Conflict, decideLease, type Moment, type Tables } from '../decide.ts';
import type { HeldLease } from '../lease.ts';
import { type TicketView, viewLease } from '../views.ts';
import { HELD_WAITER, toWaiter, type WaiterRow } from './rows.ts';
import { placeOf, type Waiter } from './waiter.ts';

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

type Lines = ReadonlyMap<string, Tables>;

/**
 * Reads tickets as their askers are shown them, all that are asked for at once in two round trips: whoever waits asks again
 * and again, and a line of thousands must not keep the database from granting.
 */
export class TicketReader {
  readonly #pool: pg.Pool;
  readonly #batcher: OrgBatcher<Ask, SeenTicket>;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
    this.#batcher = new OrgBatcher((orgId, asks) => this.#read(orgId, asks));
  }

  /** @throws Problem 404; 401 for a key revoked since it was verified */
  async read(principal: Principal, id: string): Promise<SeenTicket> {
    return this.#batcher.submit(principal.orgId, { principal, id });
  }

  async #read(orgId: string, asks: readonly Ask[]): Promise<Settled<SeenTicket>[]> {
    return borrowed(this.#pool, async (client) => {
      const seen = await look(client, orgId, asks);
      if (seen !== null) return seen;
      const alone: Settled<SeenTicket>[] = [];
      for (const ask of asks) alone.push(...(await look(client, orgId, [ask]))!);
      return alone;
    });
  }
}

/** Null when so much is in the way of several tickets that not all of it was read: of one, what was read is told. */
async function look(client: pg.PoolClient, orgId: string, asks: readonly Ask[]): Promise<Settled<SeenTicket>[] | null> {
  const keyIds = asks.flatMap(({ principal }) => (principal.keyId === null ? [] : [principal.keyId]));
  const [, , head, keys, found] = await flush(client, [
    { text: 'BEGIN' },
    enterOrg(orgId),
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
  const [{ now, settings }] = head!.rows as [{ now: Date; settings: unknown }];
  const tickets = new Map((found!.rows as WaiterRow[]).map((row) => [row.id, toWaiter(orgId, row)]));
  const { lines, leases, isWhole } = await around(client, orgId, [...tickets.values()]);
  if (!isWhole && asks.length > 1) return null;
  const moment = { now, lockDelaySeconds: settingsOf(settings).lockDelaySeconds };
  const valid = new Set((keys!.rows as { id: string }[]).map(({ id }) => id));
  return asks.map(({ principal, id }): Settled<SeenTicket> => {
    if (principal.keyId !== null && !valid.has(principal.keyId))
      return { ok: false, error: unauthenticated('The API key is revoked or expired.') };
    const ticket = tickets.get(id);
    if (ticket === undefined) return { ok: false, error: notFound('ticket') };
    return { ok: true, answer: { ticket, view: viewTicket(ticket, lines, leases, moment), at: now } };
  });
}

type LeaseOf = ReadonlyMap<string, { readonly lease: HeldLease; readonly ended: boolean }>;

/** What may be in the way of those that wait, and the leases of those that were granted. Ends the transaction. */
async function around(
  client: pg.PoolClient,
  orgId: string,
  tickets: readonly Waiter[],
): Promise<{ lines: Lines; leases: LeaseOf; isWhole: boolean }> {
  const waiting = tickets.filter(({ status }) => status === 'waiting');
  const leaseIds = tickets.flatMap(({ leaseId }) => (leaseId === null ? [] : [leaseId]));
  const [repos, held, others, granted] = await flush(client, [
    {
      name: 'case_of_repos',
      text: 'SELECT p.id, p.case_sensitive FROM repo p WHERE p.org_id = $1 AND p.id = ANY ($2::uuid[])',
      values: [orgId, [...new Set(waiting.map(({ repoId }) => repoId))]],
    },
    candidatesStatement(orgId, waiting),
    candidatesStatement(orgId, waiting, 'waiter'),
    {
      name: 'leases_to_show',
      text: `${HELD_LEASE} WHERE l.org_id = $1 AND l.id = ANY ($2::uuid[])`,
      values: [orgId, leaseIds],
    },
    { text: 'COMMIT' },
  ]);
  const lines = new Map(
    (repos!.rows as { id: string; case_sensitive: boolean }[]).map((repo): [string, Tables] => {
      const mode = { caseSensitive: repo.case_sensitive };
      return [repo.id, { leases: new ClaimTable<HeldLease>(mode), waiters: new ClaimTable<Waiter>(mode) }];
    }),
  );
  for (const row of held!.rows as HeldLeaseRow[]) lines.get(row.repo_id)?.leases.add(toHeldLease(row));
  for (const row of others!.rows as WaiterRow[]) lines.get(row.repo_id)?.waiters.add(toWaiter(orgId, row));
  const leases = (granted!.rows as HeldLeaseRow[]).map(
    (row) => [row.id, { lease: toHeldLease(row), ended: row.ended_at !== null }] as const,
  );
  const isWhole = !areTooMany(held!.rows as HeldLeaseRow[]) && !areTooMany(others!.rows as WaiterRow[]);
  return { lines, leases: new Map(leases), isWhole };
}

function viewTicket(ticket: Waiter, lines: Lines, leases: LeaseOf, moment: Moment): TicketView {
  const { conflicts, ahead } = inTheWay(ticket, lines, moment);
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
    lease: lease !== null && given!.ended && given!.lease.revoked === null ? { ...lease, state: 'over' } : lease,
  };
}

/** `ahead`: how many are to be served first; null if it is settled, or it would take too long to find out. */
function inTheWay(
  ticket: Waiter,
  lines: Lines,
  moment: Moment,
): { conflicts: readonly Conflict[]; ahead: number | null } {
  const tables = lines.get(ticket.repoId);
  if (ticket.status !== 'waiting' || tables === undefined) return { conflicts: [], ahead: null };
  try {
    const verdict = decideLease(tables, { runId: ticket.runId, place: placeOf(ticket) }, ticket, moment);
    if (verdict.kind !== 'conflict') return { conflicts: [], ahead: 0 };
    const { waiters, isWhole } = verdict.inTheWay;
    return { conflicts: verdict.conflicts, ahead: isWhole ? new Set(waiters.map(({ by }) => by.id)).size : null };
  } catch (error) {
    if (error instanceof TooBroad) return { conflicts: [], ahead: null };
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
