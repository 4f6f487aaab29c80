import { flush } from '../../../platform/database/pipeline.ts';
import { TooBroad } from '../broad-search.ts';
import { candidatesStatement, type HeldLeaseRow, toHeldLease } from '../candidates.ts';
import { ClaimTable } from '../claim-table.ts';
import { decideLease, type Moment, type Tables } from '../decide.ts';
import type { HeldLease } from '../lease.ts';
import { HELD_WAITER, toWaiter, type WaiterRow } from './rows.ts';
import { type Wait, WaitGraph, waitsFor } from './wait-graph.ts';
import { mayCount, placeOf, type Waiter } from './waiter.ts';

/** A connection inside a transaction of the org. */
type Client = Parameters<typeof flush>[0];

/** Beyond so many waiters the search ends: a cycle through more of them than this is left to the leases' expiry. */
const MOST_WAITERS = 2000;

/**
 * Reads who waits for whom, beginning with `runIds`, in all repos of the org. Waits in repos that the batch has not locked
 * may begin meanwhile: hot_write refuses what the graph did not know.
 */
export async function loadWaitGraph(
  client: Client,
  orgId: string,
  runIds: readonly string[],
  moment: Moment,
): Promise<WaitGraph> {
  const graph = new WaitGraph();
  const seen = new Set<string>();
  let read = 0;
  for (let frontier = [...new Set(runIds)]; frontier.length > 0 && read < MOST_WAITERS; ) {
    for (const runId of frontier) seen.add(runId);
    const waiters = await waitersOf(client, orgId, frontier);
    read += waiters.length;
    const lasting = waiters.filter((waiter) => mayCount(waiter, moment.now));
    const waits = await waitsOf(client, orgId, lasting, moment);
    graph.add(waits);
    frontier = [...new Set(waits.map(({ to }) => to.run.id))].filter((runId) => !seen.has(runId));
  }
  return graph;
}

async function waitersOf(client: Client, orgId: string, runIds: readonly string[]): Promise<Waiter[]> {
  const [found] = await flush(client, [
    {
      name: 'waiters_of_runs',
      text: `${HELD_WAITER} WHERE w.org_id = $1 AND w.run_id = ANY ($2::uuid[]) AND w.status = 'waiting' LIMIT ${MOST_WAITERS}`,
      values: [orgId, runIds],
    },
  ]);
  return (found!.rows as WaiterRow[]).map((row) => toWaiter(orgId, row));
}

async function waitsOf(client: Client, orgId: string, waiters: readonly Waiter[], moment: Moment) {
  if (waiters.length === 0) return [];
  const repoIds = [...new Set(waiters.map(({ repoId }) => repoId))];
  const [repos, leases, others] = await flush(client, [
    {
      name: 'case_of_repos',
      text: 'SELECT p.id, p.case_sensitive FROM repo p WHERE p.org_id = $1 AND p.id = ANY ($2::uuid[])',
      values: [orgId, repoIds],
    },
    candidatesStatement(orgId, waiters),
    candidatesStatement(orgId, waiters, 'waiter'),
  ]);
  const tables = new Map(
    (repos!.rows as { id: string; case_sensitive: boolean }[]).map((repo): [string, Tables] => {
      const mode = { caseSensitive: repo.case_sensitive };
      return [repo.id, { leases: new ClaimTable<HeldLease>(mode), waiters: new ClaimTable<Waiter>(mode) }];
    }),
  );
  for (const row of leases!.rows as HeldLeaseRow[]) tables.get(row.repo_id)?.leases.add(toHeldLease(row));
  for (const row of others!.rows as WaiterRow[]) tables.get(row.repo_id)?.waiters.add(toWaiter(orgId, row));
  return waiters.flatMap((waiter) => waitsIn(tables.get(waiter.repoId)!, waiter, moment));
}

/** Of one about which it would take too long to find out, as far as it is known: a cycle through it may be left to the sweep. */
function waitsIn(tables: Tables, waiter: Waiter, moment: Moment): Wait[] {
  try {
    const verdict = decideLease(tables, { runId: waiter.runId, place: placeOf(waiter) }, waiter, moment);
    return verdict.kind === 'conflict' ? waitsFor(waiter.holder, verdict.inTheWay, moment.now) : [];
  } catch (error) {
    if (error instanceof TooBroad) return [];
    throw error;
  }
}
