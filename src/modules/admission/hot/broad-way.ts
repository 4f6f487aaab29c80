import type pg from 'pg';
import { borrowed } from '../../../platform/database/borrowed.ts';
import type { Database } from '../../../platform/database/database.ts';
import { readInOrg } from '../../../platform/database/in-org.ts';
import type { OrgBatcher } from '../../../platform/database/org-batcher.ts';
import { invalid, unavailable } from '../../../platform/errors.ts';
import { KeyedLimiter } from '../../../platform/limiter.ts';
import {
  endThoseOver,
  type ReadRows,
  type Searched,
  type Seeker,
  searchBroadly,
  TooBroad,
  TooIntricate,
} from '../../leases/index.ts';
import type { HotAnswer, HotOperation } from './operation.ts';

/** Searches for one request: what each found may have gone before it was looked at again. */
const SEARCHES = 3;
/** Of each org one search at a time: each gets its share of what this process can compute, see `PacedWork`. */
const PER_ORG = { concurrency: 1, queue: 256 };
/** Searches are not to take the connections that batches need. Each takes one page at a time, for some milliseconds. */
const READS = { concurrency: 2, queue: Number.POSITIVE_INFINITY };

const TOO_INTRICATE =
  'It takes too long to compare this with what is held, by the run itself or by others: ask for less at once.';

export type Broad = Extract<HotOperation, { readonly wanted: unknown }>;

export interface BroadWayDeps {
  readonly pool: pg.Pool;
  readonly db: Database;
  /** What the search for one request may cost, where that is to be less than usual. */
  readonly searchStepsMax?: number | undefined;
}

/**
 * For a request that so much overlaps that it cannot all be looked at under the lock. It is looked up without; under the lock,
 * what was found and what came since are looked at again.
 */
export class BroadWay {
  readonly #pool: pg.Pool;
  readonly #db: Database;
  readonly #batcher: OrgBatcher<HotOperation, HotAnswer>;
  readonly #searchStepsMax: number | undefined;
  readonly #ofOrg = new KeyedLimiter(PER_ORG);
  readonly #reads = new KeyedLimiter(READS);

  /** `batcher`: decides under the lock. */
  constructor(deps: BroadWayDeps, batcher: OrgBatcher<HotOperation, HotAnswer>) {
    this.#pool = deps.pool;
    this.#db = deps.db;
    this.#batcher = batcher;
    this.#searchStepsMax = deps.searchStepsMax;
  }

  /**
   * @throws Problem 503 `unavailable` when what was found was gone each time; 422 `leases_too_intricate`; those of the operation
   */
  async submit(operation: Broad): Promise<HotAnswer> {
    const { repo, runId, wanted, principal } = operation;
    const { orgId } = principal;
    const ticketId = 'ticketId' in operation ? operation.ticketId : null;
    if (repo === null || runId === null || wanted === null) throw new Error('too broad, and wants nothing');
    for (let attempt = 1; attempt <= SEARCHES; attempt += 1) {
      const { matchers, mode } = wanted;
      const searched = await this.#search(orgId, { repoId: repo.id, matchers, runId, mode, ticketId });
      if (searched === null) continue;
      try {
        return await this.#batcher.submit(orgId, { ...operation, searched });
      } catch (error) {
        if (error instanceof TooIntricate) throw invalid('leases_too_intricate', TOO_INTRICATE);
        if (!(error instanceof TooBroad)) throw error;
      }
    }
    throw unavailable('So much overlaps this that it could not be decided; ask for less at once.');
  }

  /** Null where something that was over by the clock is not any more. */
  async #search(orgId: string, seeker: Seeker): Promise<Searched | null> {
    const read: ReadRows = (statements) =>
      this.#reads.run('', () => borrowed(this.#pool, (client) => readInOrg(client, orgId, statements)));
    return this.#ofOrg.run(orgId, async () => {
      const { searched, overIds } = await searchBroadly(read, orgId, seeker, this.#searchStepsMax);
      // Whoever waited for them was looked at when their time was up.
      return (await endThoseOver(this.#db, orgId, overIds)) ? searched : null;
    });
  }
}
