import type { Logger } from 'pino';
import type { Clock } from './clock.ts';
import type { Database } from './database/database.ts';
import { systemPrincipal } from './principal.ts';

/** With the jitter below the shortest `stallSeconds`: a request that is held open keeps its run alive from pass to pass. */
const EVERY_MS = 8000;
/** Servers that were started together do not sweep together. */
const JITTER = 0.1;
/** So long a pass waits for one chore of one org: what takes longer goes on beside it. */
const PATIENCE_MS = 2000;
/** Chores that take long beside each other: each may keep a connection of the pool that requests take theirs from. */
const MOST_UNDER_WAY = 3;

/** Whose rows a chore is about, as the database's function `chores_due` tells where there is anything to do. */
type Table = 'approval' | 'idempotency' | 'lease' | 'lease_waiter' | 'run';

interface Chore {
  readonly name: string;
  readonly table: Table;
  readonly perOrg: (orgId: string) => Promise<unknown>;
}

/**
 * What has to be done every few seconds although nobody asks for it, org by org. Every server does it: a chore must
 * be right when several do it at once.
 */
export class Housekeeping {
  readonly #db: Database;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #chores: Chore[] = [];
  readonly #stopping = new AbortController();
  /** Chores that have not ended yet, by org and name. */
  readonly #underWay = new Map<string, Promise<void>>();
  #running: Promise<void> | null = null;

  constructor(deps: { db: Database; clock: Clock; log: Logger }) {
    this.#db = deps.db;
    this.#clock = deps.clock;
    this.#log = deps.log;
  }

  register(name: string, table: Table, perOrg: (orgId: string) => Promise<unknown>): void {
    this.#chores.push({ name, table, perOrg });
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Waits for the chores that are under way; starts no other. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('housekeeping stops'));
    await this.#running;
    await Promise.all(this.#underWay.values());
  }

  /**
   * One pass over all orgs in which anything is due. What fails for one is logged, and done for the others all the same; what
   * takes long for one keeps no other waiting, and is not begun again before it has ended.
   */
  async pass(): Promise<void> {
    const orgs = await this.#db.lookup(
      (db) => db.$queryRaw<{ id: string; tables: Table[] }[]>`SELECT org::text AS id, tables FROM chores_due()`,
    );
    for (const { id, tables } of orgs) {
      for (const chore of this.#chores) {
        if (this.#stopping.signal.aborted) return;
        if (tables.includes(chore.table) && !(await this.#hasEnded(chore, id))) break;
      }
    }
  }

  /** False while it goes on: what comes after it in its org relies on it, and is done by a later pass. */
  async #hasEnded(chore: Chore, orgId: string): Promise<boolean> {
    const key = `${orgId} ${chore.name}`;
    if (this.#underWay.has(key)) return false;
    while (this.#underWay.size >= MOST_UNDER_WAY) await Promise.race(this.#underWay.values());
    const over = new AbortController();
    const work = this.#attempt(chore, orgId).finally(() => {
      this.#underWay.delete(key);
      over.abort();
    });
    this.#underWay.set(key, work);
    await this.#clock.sleep(PATIENCE_MS, over.signal).catch(() => undefined);
    return !this.#underWay.has(key);
  }

  async #attempt({ name, perOrg }: Chore, orgId: string): Promise<void> {
    try {
      await perOrg(orgId);
    } catch (error) {
      this.#log.warn({ err: error, orgId, chore: name }, 'housekeeping failed for an org; the next pass tries again');
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const waitMs = EVERY_MS * (1 + JITTER * (2 * Math.random() - 1));
      await this.#clock.sleep(waitMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      await this.pass().catch((error: unknown) => this.#log.warn({ err: error }, 'housekeeping pass failed'));
    }
  }
}

/** `chores_due` has it too. */
export const IDEMPOTENCY_KEPT_HOURS = 48;
const PURGE_SIZE = 1000;

/** Deletes answers that no client will ask for again. @returns how many */
export async function purgeIdempotency(db: Database, orgId: string): Promise<number> {
  return db.write(
    systemPrincipal(orgId),
    (tx) => tx.db.$executeRaw`
      DELETE FROM idempotency WHERE org_id = ${orgId}::uuid AND (key_id, key) IN (
        SELECT key_id, key FROM idempotency
        WHERE org_id = ${orgId}::uuid AND created_at < clock_timestamp() - make_interval(hours => ${IDEMPOTENCY_KEPT_HOURS}::int)
        ORDER BY created_at LIMIT ${PURGE_SIZE}::int FOR UPDATE SKIP LOCKED)`,
  );
}
