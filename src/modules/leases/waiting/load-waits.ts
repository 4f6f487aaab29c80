import { flush } from '../../../platform/database/pipeline.ts';
import { MOST_ASKED, weightOfClaims } from '../candidates.ts';
import { decideLease, type Moment, type Tables } from '../decide.ts';
import { TooBroad } from '../too-broad.ts';
import { Uncompiled } from '../uncompiled.ts';
import { aroundStatements, partsOf, type Surroundings, surroundingsIn } from './around.ts';
import { HELD_WAITER, toWaiter, type WaiterRow } from './rows.ts';
import { type Wait, WaitGraph, waitsFor } from './wait-graph.ts';
import { mayCount, placeOf, type Waiter } from './waiter.ts';

/** A connection inside a transaction of the org. */
type Client = Parameters<typeof flush>[0];

/** Beyond so many waiters the search ends: a cycle through more of them than this is left to the leases' expiry. */
const MOST_WAITERS = 2000;
/** And beyond so much that they want, by `weightOfClaims`: repos are locked meanwhile. */
const MOST_WEIGHT = 5 * MOST_ASKED;

/**
 * Reads who waits for whom, beginning with `runIds`, in all repos of the org. Waits in repos that the batch has not locked
 * may begin meanwhile: hot_write refuses what the graph did not know.
 * @throws Uncompiled unless `mayCut`: then what cannot be compiled meanwhile is left out, and a cycle through it to the sweep
 */
export async function loadWaitGraph(
  client: Client,
  orgId: string,
  runIds: readonly string[],
  { moment, mayCut }: { readonly moment: Moment; readonly mayCut: boolean },
): Promise<WaitGraph> {
  const graph = new WaitGraph();
  const seen = new Set<string>();
  let [read, weight] = [0, 0];
  for (let frontier = [...new Set(runIds)]; frontier.length > 0 && read < MOST_WAITERS; ) {
    for (const runId of frontier) seen.add(runId);
    const waiters = await waitersOf(client, orgId, frontier);
    read += waiters.length;
    const waits: Wait[] = [];
    for (const part of partsOf(waiters.filter((waiter) => mayCount(waiter, moment.now)))) {
      weight += weightOfClaims(part.flatMap(({ matchers }) => matchers));
      if (weight > MOST_WEIGHT) return graph;
      const { lines, uncompiled } = await linesAround(client, orgId, part);
      if (uncompiled.length > 0 && !mayCut) throw new Uncompiled(uncompiled);
      const found = part.flatMap((waiter) => waitsIn(lines.get(waiter.repoId)!, waiter, moment));
      graph.add(found);
      waits.push(...found);
    }
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

async function linesAround(client: Client, orgId: string, waiters: readonly Waiter[]): Promise<Surroundings> {
  const results = await flush(client, aroundStatements(orgId, waiters));
  return surroundingsIn(
    orgId,
    results.map(({ rows }) => rows as unknown[]),
  );
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
