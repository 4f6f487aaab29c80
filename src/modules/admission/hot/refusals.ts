import type pg from 'pg';
import { budgetOf } from '../../../patterns/index.ts';
import { borrowed } from '../../../platform/database/borrowed.ts';
import { OrgBatcher, type Settled } from '../../../platform/database/org-batcher.ts';
import { flush } from '../../../platform/database/pipeline.ts';
import type { Problem } from '../../../platform/errors.ts';
import type { Logger } from '../../../platform/logger.ts';
import { type AcquireOperation, TooBroad } from '../../leases/index.ts';
import { refusalOf } from './decide-acquire.ts';
import { loadSnapshot, type VersionCaches } from './load.ts';
import type { OneCall } from './one-call/one-call.ts';
import { batchesOf } from './operation.ts';
import { refuseStillHeld } from './still-held.ts';

/** Steps (see `workDone`) that a look may cost, for which everybody else on this server waits. Who comes after that is decided. */
const LOOK_STEPS_MAX = 3_000_000;

interface Deps {
  readonly pool: pg.Pool;
  readonly logger: Logger;
  readonly caches: VersionCaches;
  readonly known: OneCall;
}

/**
 * Requests for what somebody else is known to hold. A refusal writes nothing, and what it says was so while it was asked: it
 * needs no lock, and those who are granted something elsewhere in the repo do not wait for it. Only what is in the way is
 * told here; whatever else comes of a request, it is decided under the locks.
 */
export class Refusals {
  readonly #deps: Deps;
  readonly #batcher: OrgBatcher<AcquireOperation, Problem | null>;

  constructor(deps: Deps) {
    this.#deps = deps;
    this.#batcher = new OrgBatcher(
      (orgId, ops) => this.#look(orgId, ops),
      batchesOf<AcquireOperation>(({ wanted }) => wanted),
    );
  }

  /** @returns 409 `lease_conflict`, or null for a request that has to be decided. */
  async of(op: AcquireOperation): Promise<Problem | null> {
    return this.#batcher.submit(op.principal.orgId, op);
  }

  async #look(orgId: string, ops: readonly AcquireOperation[]): Promise<Settled<Problem | null>[]> {
    const { pool, caches, logger, known } = this.#deps;
    try {
      return await borrowed(pool, async (client) => {
        const refused = await refuseStillHeld(client, known, orgId, ops);
        const rest = ops.filter((op) => !refused.has(op));
        if (rest.length > 0) {
          const loaded = await unlessTooBroad(() => loadSnapshot(client, orgId, rest, caches, { lock: false }));
          const isSpent = budgetOf(LOOK_STEPS_MAX);
          for (const op of rest) {
            const canTell = loaded !== null && !isSpent();
            refused.set(op, canTell ? await unlessTooBroad(() => refusalOf(loaded.snapshot, op)) : null);
          }
          await flush(client, [{ text: 'COMMIT' }]);
        }
        return ops.map((op) => ({ ok: true, answer: refused.get(op) ?? null }));
      });
    } catch (error) {
      // A connection that broke: nothing has been said yet.
      logger.debug({ err: error }, 'refusals not looked up');
      return ops.map(() => ({ ok: true, answer: null }));
    }
  }
}

/** Null where there is too much to look at: each request is decided by itself then, and the connection is as good as before. */
async function unlessTooBroad<T>(work: () => T | Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof TooBroad) return null;
    throw error;
  }
}
