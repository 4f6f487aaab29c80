import { RecentMap } from '../../../platform/recent-map.ts';
import { claimKey, type Wanted } from '../../leases/index.ts';

interface Request {
  readonly repoId: string;
  readonly wanted: Wanted | null;
}

/** Some requests that are decided together: by the keys of what they are about in each repo, and until when. */
interface Work {
  readonly keys: ReadonlyMap<string, ReadonlySet<string>>;
  readonly over: Promise<unknown>;
}

const ORGS = 10_000;

/**
 * What is being decided on this server now, by what it is about. Whoever wants the same waits until it is known what came of
 * it: asked before, one such request would make a whole batch of others fail. An org that is forgotten only fails that often.
 *
 * Each work has a set of its own. In one Map of all keys, which come and go by the thousand, every table that was outgrown
 * and not yet collected holds on to the next one (V8), and so to all requests since: they grow old, and each small collection
 * copies them.
 */
export class UnderWay {
  readonly #orgs = new RecentMap<Work[]>(ORGS);

  /** Null when none of it is under way. Never rejects. */
  of(orgId: string, request: Request): Promise<unknown> | null {
    const works = this.#orgs.get(orgId);
    if (works === undefined || works.length === 0) return null;
    return works.find((work) => isAbout(work, request))?.over ?? null;
  }

  async while<T>(orgId: string, requests: readonly Request[], decide: () => Promise<T>): Promise<T> {
    const deciding = decide();
    const work = { keys: keysOf(requests), over: deciding.catch(() => undefined) };
    const works = this.#orgs.get(orgId) ?? [];
    if (works.push(work) === 1) this.#orgs.set(orgId, works);
    try {
      return await deciding;
    } finally {
      works.splice(works.indexOf(work), 1);
    }
  }
}

function isAbout({ keys }: Work, { repoId, wanted }: Request): boolean {
  const inRepo = keys.get(repoId);
  return inRepo !== undefined && wanted !== null && wanted.matchers.some((claim) => inRepo.has(claimKey(claim).key));
}

function keysOf(requests: readonly Request[]): Map<string, Set<string>> {
  const keys = new Map<string, Set<string>>();
  for (const { repoId, wanted } of requests) {
    if (wanted === null) continue;
    let inRepo = keys.get(repoId);
    if (inRepo === undefined) keys.set(repoId, (inRepo = new Set<string>()));
    for (const claim of wanted.matchers) inRepo.add(claimKey(claim).key);
  }
  return keys;
}
