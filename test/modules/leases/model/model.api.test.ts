import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { command } from './commands.ts';
import { RUNS } from './plans.ts';
import { newModel } from './reference.ts';
import { atRest, type Holder } from './settling.ts';
import { MENU, share } from './universe.ts';
import { Fleet, TooBusy, World } from './world.ts';

const numRuns = Number(process.env['MODEL_RUNS'] ?? 10);
const seed = process.env['MODEL_SEED'] === undefined ? Date.now() % 2 ** 31 : Number(process.env['MODEL_SEED']);
const path = process.env['MODEL_PATH'];
const DAY_MS = 24 * 3600 * 1000;
/** Unless asked for more, it ends after so long: a busy machine runs fewer. */
const BUDGET_MS = process.env['MODEL_RUNS'] === undefined ? 8000 : DAY_MS;

let fleet: Fleet;
beforeAll(async () => {
  fleet = await Fleet.start();
});
afterAll(() => fleet?.stop());

describe('the small world of the model', () => {
  it('has a point for each way in which its claims meet', () => {
    const all = [...new Set(MENU.flatMap(({ points }) => points))].filter((point) => !point.startsWith('resource '));
    for (const claim of MENU) {
      if (claim.kind === 'resources') expect(claim.points).toEqual([`resource ${claim.text}`]);
      else expect(all.filter((point) => claim.accepts.test(point)).toSorted()).toEqual(claim.points.toSorted());
    }
    // Disjoint, each for the reason that anybody sees: another folder, another ending, another kind of thing.
    const disjoint = MENU.flatMap((a, at) =>
      MENU.slice(at + 1).flatMap((b) =>
        a.kind === 'patterns' && b.kind === 'patterns' && !share(a, b) ? [`${a.text} ${b.text}`] : [],
      ),
    );
    expect(disjoint).toEqual(['src/** *', 'src/*.ts **/*.md', 'src/*.ts *', 'src/{a,x}.ts **/*.md', 'src/{a,x}.ts *']);
  });
});

/** Plays a script in an org of its own. */
async function play(script: Iterable<fc.AsyncCommand<Holder, World>>, tally: Map<string, number>): Promise<void> {
  const count = (what: string) => tally.set(what, (tally.get(what) ?? 0) + 1);
  let world: World | undefined;
  try {
    world = await World.create(fleet, RUNS);
    const holder = { now: newModel(world.runners.map(({ runId }) => runId)) };
    await fc.asyncModelRun(() => ({ model: holder, real: world! }), script);
    await atRest(holder, world);
    count('played to the end');
  } catch (error) {
    if (!(error instanceof TooBusy)) throw error;
    count(`given up: ${error.message}`);
  } finally {
    for (const answer of world?.answers ?? []) count(answer);
    await world?.close();
  }
}

describe('leases against a plain model', () => {
  it(
    'every answer and every row is as the model says, whatever comes in whatever order',
    async () => {
      const tally = new Map<string, number>();
      console.log(`model: seed ${seed}`);
      let playing = Promise.resolve();
      await fc.assert(
        fc.asyncProperty(fc.commands([command], { maxCommands: 100, size: 'max' }), (script) => {
          playing = play(script, tally);
          return playing;
        }),
        {
          numRuns,
          seed,
          ...(path === undefined ? {} : { path }),
          plugins: [fc.interruptAfterTimeLimit(BUDGET_MS)],
          endOnFailure: process.env['MODEL_SHRINK'] === undefined,
        },
      );
      // When time is up the last script is still being played.
      await playing;
      console.log('model:', Object.fromEntries([...tally].toSorted(([a], [b]) => (a < b ? -1 : 1))));
      const givenUp = [...tally].filter(([what]) => what.startsWith('given up')).reduce((sum, [, n]) => sum + n, 0);
      expect(tally.get('played to the end') ?? 0).toBeGreaterThan(givenUp);
    },
    DAY_MS,
  );
});
