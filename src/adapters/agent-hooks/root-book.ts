import type { Clock } from '../../platform/clock.ts';
import type { Database } from '../../platform/database/database.ts';
import type { Principal } from '../../platform/principal.ts';
import { RecentMap } from '../../platform/recent-map.ts';
import { ROOT_SOURCES, type Root, type RootSource } from './worktree.ts';

/** The agent of a session that no subagent is. */
export const MAIN_AGENT = '';

/** How long another server's better knowledge may go unnoticed here. */
const STALE_MS = 5000;

interface Page {
  readonly readAtMs: number;
  readonly roots: Map<string, Root>;
}

/**
 * The roots of a run's worktrees, one for each of its agents: subagents share a session and may have worktrees of their
 * own. Kept in the database, since the next question may reach another server.
 */
export class RootBook {
  readonly #db: Database;
  readonly #clock: Clock;
  readonly #pages = new RecentMap<Page>(10_000);

  constructor(db: Database, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  /** By agent id. */
  async rootsOf(principal: Principal, runId: string): Promise<ReadonlyMap<string, Root>> {
    return (await this.#page(principal, runId)).roots;
  }

  /** Writes a root down unless a surer one is known. Of two reports the later holds: the worktree may have moved. */
  async note(principal: Principal, runId: string, agentId: string, root: Root): Promise<void> {
    const page = await this.#page(principal, runId);
    const known = page.roots.get(agentId);
    if (known !== undefined && !replaces(known, root)) return;
    await this.#db.write(
      principal,
      (tx) => tx.db.$executeRaw`
        INSERT INTO agent_session (org_id, run_id, agent_id, root, source, updated_at)
        VALUES (${tx.orgId}::uuid, ${runId}::uuid, ${agentId}, ${root.path}, ${root.source}, clock_timestamp())
        ON CONFLICT (org_id, run_id, agent_id) DO UPDATE
        SET root = excluded.root, source = excluded.source, updated_at = excluded.updated_at
        WHERE excluded.source = 'reported'
          OR array_position(${[...ROOT_SOURCES]}::text[], excluded.source)
            > array_position(${[...ROOT_SOURCES]}::text[], agent_session.source)`,
    );
    this.#pages.delete(runId);
  }

  async #page(principal: Principal, runId: string): Promise<Page> {
    const known = this.#pages.get(runId);
    const now = this.#clock.monotonicMs();
    if (known !== undefined && now - known.readAtMs < STALE_MS) return known;
    const rows = await this.#db.read(principal, (tx) =>
      tx.db.agentSession.findMany({ where: { orgId: tx.orgId, runId } }),
    );
    const roots = rows.map(({ agentId, root, source }): [string, Root] => [
      agentId,
      { path: root, source: source as RootSource },
    ]);
    const page = { readAtMs: now, roots: new Map(roots) };
    this.#pages.set(runId, page);
    return page;
  }
}

function replaces(known: Root, next: Root): boolean {
  if (next.source === 'reported') return known.source !== 'reported' || known.path !== next.path;
  return ROOT_SOURCES.indexOf(next.source) > ROOT_SOURCES.indexOf(known.source);
}
