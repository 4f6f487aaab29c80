import { claimKey, type Wanted } from '../../leases/index.ts';

interface Request {
  readonly repoId: string;
  readonly wanted: Wanted | null;
}

/**
 * What is being decided on this server now, by what it is about. Whoever wants the same waits until it is known what came of
 * it: asked before, one such request would make a whole batch of others fail.
 */
export class UnderWay {
  readonly #work = new Map<string, Promise<unknown>>();

  /** Null when none of it is under way. Never rejects. */
  of(request: Request): Promise<unknown> | null {
    if (this.#work.size === 0) return null;
    for (const key of keysOf(request)) {
      const work = this.#work.get(key);
      if (work !== undefined) return work;
    }
    return null;
  }

  async while<T>(requests: readonly Request[], decide: () => Promise<T>): Promise<T> {
    const keys = requests.flatMap(keysOf);
    const deciding = decide();
    const over = deciding.catch(() => undefined);
    for (const key of keys) this.#work.set(key, over);
    try {
      return await deciding;
    } finally {
      // Somebody else may be at the same by now, on the other way.
      for (const key of keys) if (this.#work.get(key) === over) this.#work.delete(key);
    }
  }
}

function keysOf({ repoId, wanted }: Request): string[] {
  return wanted === null ? [] : wanted.matchers.map((claim) => `${repoId} ${claimKey(claim).key}`);
}
