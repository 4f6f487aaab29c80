import { STEPS_A_TURN, storedPattern, workDone } from '../../patterns/index.ts';
import { ENOUGH, PacedWork } from '../../platform/paced-work.ts';

/**
 * Patterns that are held are needed while others wait for a lock, and to compile them takes too long for that: after a restart no
 * cache has them. They are compiled without the lock (`compileStored`), and then it is tried again.
 */
export class Uncompiled extends Error {
  override readonly name = 'Uncompiled';
  readonly texts: readonly string[];

  constructor(texts: readonly string[]) {
    super(`${texts.length} patterns have to be compiled first`);
    this.texts = texts;
  }
}

/** Steps (see `workDone`) after which whoever waits for it has waited long enough: some second, in turns with everything else. */
export const STEPS_AHEAD_MAX = 100_000_000;

/** Compiles patterns that are held, in turns with everything else: all, or as many as `stepsMax` allow. Returns what it cost. */
export async function compileStored(texts: readonly string[], stepsMax = Number.POSITIVE_INFINITY): Promise<number> {
  const work = new PacedWork(workDone, STEPS_A_TURN);
  // Whoever is asked for its index key is compiled.
  await work.each(texts, (text) => (work.spent > stepsMax ? ENOUGH : storedPattern(text).index));
  return work.spent;
}
