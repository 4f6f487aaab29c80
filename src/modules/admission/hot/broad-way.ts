import type pg from 'pg';
import { borrowed } from '../../../platform/database/borrowed.ts';
import type { OrgBatcher } from '../../../platform/database/org-batcher.ts';
import { invalid, unavailable } from '../../../platform/errors.ts';
import { KeyedLimiter } from '../../../platform/limiter.ts';
import { type Searched, type Seeker, searchBroadly, TooBroad, TooIntricate } from '../../leases/index.ts';
import type { HotAnswer, HotOperation } from './operation.ts';

/** Searches for one request: what each found may have gone before it was looked at again. */
const SEARCHES = 3;
/** One org's searches are not to take the connections that others' batches need, nor are all orgs' together. */
const PER_ORG = { concurrency: 1, queue: 256 };
const IN_ALL = { concurrency: 2, queue: 4096 };

const TOO_INTRICATE =
  'It takes too long to compare this with what is held, by the run itself or by others: ask for less at once.';

export type Broad = Extract<HotOperation, { readonly wanted: unknown }>;

/**
 * For a request that so much overlaps that it cannot all be looked at under the lock. It is looked up without; under the lock,
 * what was found and what came since are looked at again.
 */
export class BroadWay {
  readonly #pool: pg.Pool;
  readonly #batcher: OrgBatcher<HotOperation, HotAnswer>;
  readonly #searchStepsMax: number | undefined;
  readonly #ofOrg = new KeyedLimiter(PER_ORG);
  readonly #ofAll = new KeyedLimiter(IN_ALL);

  /** `batcher`: decides under the lock. */
  constructor(pool: pg.Pool, batcher: OrgBatcher<HotOperation, HotAnswer>, searchStepsMax?: number) {
    this.#pool = pool;
    this.#batcher = batcher;
    this.#searchStepsMax = searchStepsMax;
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
      try {
        return await this.#batcher.submit(orgId, { ...operation, searched });
      } catch (error) {
        if (error instanceof TooIntricate) throw invalid('leases_too_intricate', TOO_INTRICATE);
        if (!(error instanceof TooBroad)) throw error;
      }
    }
    throw unavailable('So much overlaps this that it could not be decided; ask for less at once.');
  }

  async #search(orgId: string, seeker: Seeker): Promise<Searched> {
    const search = () => borrowed(this.#pool, (client) => searchBroadly(client, orgId, seeker, this.#searchStepsMax));
    return this.#ofOrg.run(orgId, () => this.#ofAll.run('', search));
  }
}
