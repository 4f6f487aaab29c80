import { flush } from '../../../platform/database/pipeline.ts';
import { areTooMany, compilable, type HeldLeaseRow, stakesStatements, toHeldLease } from '../candidates.ts';
import type { Claim } from '../claim.ts';
import type { Moment, Tables } from '../decide.ts';
import { type HeldLease, standing } from '../lease.ts';
import { toWaiter, type WaiterRow } from './rows.ts';
import { counts, placeOf, type Waiter } from './waiter.ts';

/** What a run has for which others may have to wait, in all repos: its leases, and its places in line. */
export interface Stakes {
  readonly leases: readonly HeldLease[];
  readonly waiters: readonly Waiter[];
}

export interface ReadStakes {
  /** By run: each that was asked about. */
  readonly byRun: ReadonlyMap<string, Stakes>;
  readonly rows: number;
  /** Whether that is all; if not, it is what was read before it was too much. */
  readonly isWhole: boolean;
  /** What has to be compiled before more can be read. */
  readonly uncompiled: readonly string[];
}

/** Reads them in one round trip, inside a transaction of the org. */
export async function readStakes(
  client: Parameters<typeof flush>[0],
  orgId: string,
  runIds: readonly string[],
): Promise<ReadStakes> {
  const { lease, waiter } = stakesStatements(orgId, runIds);
  const [leaseRows, waiterRows] = await flush(client, [lease, waiter]);
  const [held, queued] = [leaseRows!.rows as HeldLeaseRow[], waiterRows!.rows as WaiterRow[]];
  const byRun = new Map(runIds.map((runId) => [runId, { leases: [] as HeldLease[], waiters: [] as Waiter[] }]));
  const [leases, waiters] = [compilable(held), compilable(queued)];
  for (const row of leases.ready) byRun.get(row.run_id)?.leases.push(toHeldLease(row));
  for (const row of waiters.ready) byRun.get(row.run_id)?.waiters.push(toWaiter(orgId, row));
  return {
    byRun,
    rows: held.length + queued.length,
    isWhole: !areTooMany(held) && !areTooMany(queued),
    uncompiled: [...leases.uncompiled, ...waiters.uncompiled],
  };
}

/** One of them, as it stands in others' way: with the claims by which it does. */
export interface Obstacle {
  readonly runId: string;
  readonly repoId: string;
  readonly matchers: readonly Claim[];
  standIn(tables: Tables): void;
}

/** In front of every waiter. */
const FIRST = Number.NEGATIVE_INFINITY;

/**
 * Of what stands in others' way, what is not only in the way of those who stand behind the like of it already: whoever stands
 * behind the hundredth in a line stands behind the first. Without it a line of a thousand is half a million waits.
 */
export class Shadows {
  /** By claim: the foremost place that has been looked behind. */
  readonly #foremost = new Map<string, number>();

  /** What is new in these. A lease that has expired comes free whatever its run does. */
  cast(stakes: readonly Stakes[], { now, lockDelaySeconds }: Moment): Obstacle[] {
    const leases = stakes
      .flatMap((of) => of.leases)
      .filter((lease) => standing(lease, now, lockDelaySeconds) === 'live')
      .map((lease): Obstacle => {
        const matchers = this.#unseen(lease, FIRST);
        return { ...lease, matchers, standIn: (tables) => tables.leases.add({ ...lease, matchers }) };
      });
    const waiters = stakes
      .flatMap((of) => of.waiters)
      .filter((waiter) => counts(waiter, now))
      .toSorted((a, b) => placeOf(a) - placeOf(b))
      .map((waiter): Obstacle => {
        const matchers = this.#unseen(waiter, placeOf(waiter));
        return { ...waiter, matchers, standIn: (tables) => tables.waiters.add({ ...waiter, matchers }) };
      });
    return [...leases, ...waiters].filter(({ matchers }) => matchers.length > 0);
  }

  #unseen({ repoId, mode, matchers }: HeldLease | Waiter, place: number): Claim[] {
    return matchers.filter(({ kind, text }) => {
      const claim = JSON.stringify([repoId, mode, kind, text]);
      if (place >= (this.#foremost.get(claim) ?? Number.POSITIVE_INFINITY)) return false;
      this.#foremost.set(claim, place);
      return true;
    });
  }
}
