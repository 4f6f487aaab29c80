import { type ActiveHalt, haltsOver } from '../../budgets/index.ts';
import type { RunFacts } from '../../loops/index.ts';
import type { Snapshot } from './snapshot.ts';

/** The halts over a run's action in a repo: of the org, of a team of the loop or its owner, of the repo, of the loop. */
export function haltsOf(snapshot: Snapshot, run: RunFacts | null, repoId: string | null): readonly ActiveHalt[] {
  if (snapshot.halts.length === 0) return [];
  return haltsOver(snapshot.halts, {
    teamIds: run?.teams.map(({ id }) => id) ?? [],
    repoId,
    loopId: run?.loop.id ?? null,
  });
}
