import { STEPS_A_TURN, storedPattern, workDone } from '../../patterns/index.ts';
import { PacedWork } from '../../platform/paced-work.ts';

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

/** Compiles patterns that are held, in turns with everything else. */
export async function compileStored(texts: readonly string[]): Promise<void> {
  // Whoever is asked for its index key is compiled.
  await new PacedWork(workDone, STEPS_A_TURN).each(texts, (text) => storedPattern(text).index);
}
