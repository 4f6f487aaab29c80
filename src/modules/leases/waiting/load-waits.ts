import { workDone } from '../../../patterns/index.ts';
import { flush } from '../../../platform/database/pipeline.ts';
import { areTooMany, candidatesStatements, compilable, weightOfClaims } from '../candidates.ts';
import { decideLease, type Moment, type Tables } from '../decide.ts';
import { TooBroad } from '../too-broad.ts';
import { Uncompiled } from '../uncompiled.ts';
import { caseOfRepos, partsOf, type RepoRow, tablesFor } from './around.ts';
import { toWaiter, type WaiterRow } from './rows.ts';
import { type Obstacle, readStakes, Shadows, type Stakes } from './stakes.ts';
import { type Wait, WaitGraph, waitsFor } from './wait-graph.ts';
import { mayCount, placeOf, type Waiter } from './waiter.ts';

/** A connection inside a transaction of the org. */
type Client = Parameters<typeof flush>[0];

/** Repos are locked meanwhile. Beyond so many rows the search ends: a cycle through more than this is left to the sweep. */
const MOST_ROWS = 10_000;
/** Beyond so much that is held and wanted, by `weightOfClaims`. */
const MOST_WEIGHT = 5_000_000;
/** And beyond so many steps of comparing (see `workDone`): some tenth of a second. */
const MOST_STEPS = 10_000_000;

/**
 * Reads who waits, directly or behind others, for one of `runIds`: who of them begins to wait for one of those closes a cycle.
 * In all repos of the org. Waits in repos that the batch has not locked may begin meanwhile: hot_write refuses what the graph
 * did not know.
 * @throws Uncompiled unless `mayCut`: then what cannot be compiled meanwhile is left out, and a cycle through it to the sweep
 */
export async function loadWaitGraph(
  client: Client,
  orgId: string,
  runIds: readonly string[],
  options: { readonly moment: Moment; readonly mayCut: boolean },
): Promise<WaitGraph> {
  const search = new WaitSearch(client, orgId, options);
  await search.learn(runIds);
  for (const runId of runIds) await search.goBackFrom(runId);
  return search.graph;
}

/**
 * Goes from a run to those who wait for it, and on to those who wait for them: most often nobody does, however long the line
 * is in which the run itself is going to stand.
 */
class WaitSearch {
  readonly graph = new WaitGraph();
  readonly #client: Client;
  readonly #orgId: string;
  readonly #moment: Moment;
  readonly #mayCut: boolean;
  readonly #stakes = new Map<string, Stakes>();
  #rows = 0;
  #weight = 0;
  #steps = 0;
  #isWhole = true;

  constructor(client: Client, orgId: string, { moment, mayCut }: { moment: Moment; mayCut: boolean }) {
    this.#client = client;
    this.#orgId = orgId;
    this.#moment = moment;
    this.#mayCut = mayCut;
  }

  get #isOver(): boolean {
    return !this.#isWhole || this.#rows > MOST_ROWS || this.#weight > MOST_WEIGHT || this.#steps > MOST_STEPS;
  }

  /** What these runs hold and wait for, of those of which it is not known. */
  async learn(runIds: readonly string[]): Promise<void> {
    const unknown = [...new Set(runIds)].filter((runId) => !this.#stakes.has(runId));
    if (unknown.length === 0) return;
    const { byRun, rows, isWhole, uncompiled } = await readStakes(this.#client, this.#orgId, unknown);
    this.#leaveOut(uncompiled);
    this.#rows += rows;
    this.#isWhole &&= isWhole;
    for (const [runId, stakes] of byRun) this.#stakes.set(runId, stakes);
  }

  /** One step further from the run in each round: the graph has a shortest way to it from everybody. */
  async goBackFrom(runId: string): Promise<void> {
    const reached = new Set([runId]);
    const shadows = new Shadows();
    for (let frontier = [runId]; frontier.length > 0 && !this.#isOver; ) {
      const stakes = frontier.flatMap((id) => this.#stakes.get(id) ?? []);
      frontier = [];
      for (const obstacles of partsOf(shadows.cast(stakes, this.#moment))) {
        if (this.#isOver) return;
        const found = await this.#waitsBehind(obstacles, reached);
        this.graph.add(found);
        for (const { from } of found) {
          reached.add(from.run.id);
          frontier.push(from.run.id);
        }
      }
    }
  }

  async #waitsBehind(obstacles: readonly Obstacle[], reached: ReadonlySet<string>): Promise<Wait[]> {
    this.#weight += weightOfClaims(obstacles.flatMap(({ matchers }) => matchers));
    const [repos, candidates] = await flush(this.#client, [
      caseOfRepos(this.#orgId, obstacles),
      candidatesStatements(this.#orgId, obstacles).waiter,
    ]);
    const rows = candidates!.rows as WaiterRow[];
    const { ready, uncompiled } = compilable(rows);
    this.#leaveOut(uncompiled);
    this.#rows += rows.length;
    this.#isWhole &&= !areTooMany(rows);
    const waiters = ready
      .map((row) => toWaiter(this.#orgId, row))
      .filter((waiter) => !reached.has(waiter.runId) && mayCount(waiter, this.#moment.now));
    const tables = tablesFor(repos!.rows as RepoRow[]);
    for (const obstacle of obstacles) obstacle.standIn(tables.get(obstacle.repoId)!);
    const goals = new Set(obstacles.map((obstacle) => obstacle.runId));
    const seeming = new Set(this.#waitsFor(goals, waiters, tables).map(({ from }) => from.run.id));
    // Only now: a run may hold thousands, and most of those who want the same stand in front of it.
    await this.learn([...seeming]);
    // By what it holds itself, a run passes those who wait for just that.
    for (const runId of seeming)
      for (const lease of this.#stakes.get(runId)!.leases) tables.get(lease.repoId)?.leases.add(lease);
    const perhaps = waiters.filter((waiter) => seeming.has(waiter.runId));
    return this.#waitsFor(goals, perhaps, tables);
  }

  /** Of each run that waits for one of `runIds`, one such wait. */
  #waitsFor(runIds: ReadonlySet<string>, waiters: readonly Waiter[], tables: ReadonlyMap<string, Tables>): Wait[] {
    const found = new Map<string, Wait>();
    const before = workDone() - this.#steps;
    for (const waiter of waiters) {
      if (this.#isOver) break;
      if (found.has(waiter.runId)) continue;
      const wait = waitsIn(tables.get(waiter.repoId)!, waiter, this.#moment).find(({ to }) => runIds.has(to.run.id));
      if (wait !== undefined) found.set(waiter.runId, wait);
      this.#steps = workDone() - before;
    }
    return [...found.values()];
  }

  #leaveOut(uncompiled: readonly string[]): void {
    if (uncompiled.length > 0 && !this.#mayCut) throw new Uncompiled(uncompiled);
  }
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
