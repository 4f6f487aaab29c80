import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { withClient } from '../rig/postgres.ts';
import type { ServerProcess } from '../rig/servers.ts';

const ATTEMPTS = 30;
/** Below the server's own lock_timeout of a second. */
const QUEUE_MS = 600;
const LOOK_EVERY_MS = 5;
const SETTLED_MS = 250;

interface Where {
  readonly url: string;
  readonly repo: string;
  readonly stop: AbortSignal;
}

/**
 * Stops a server in the middle of a transaction that holds the repo's row. Chance alone would rarely hit those few
 * milliseconds: so the row is locked here first until the server's transaction queues for it, then the server is stopped, then the
 * row let go. It goes to who queued; nobody is there to go on with it.
 * @returns whether it holds the row now; if not, the server runs on
 */
export async function pauseWhileHolding(server: ServerProcess, { url, repo, stop }: Where): Promise<boolean> {
  for (let attempt = 1; attempt <= ATTEMPTS && !stop.aborted; attempt += 1) {
    // PostgreSQL may be restarted under us.
    if (await withClient(url, (client) => attemptOn(server, client, repo)).catch(() => false)) return true;
    server.resume();
    await sleep(LOOK_EVERY_MS);
  }
  return false;
}

async function attemptOn(server: ServerProcess, client: pg.Client, repo: string): Promise<boolean> {
  await client.query('BEGIN');
  await client.query('SELECT 1 FROM repo WHERE name = $1 FOR NO KEY UPDATE', [repo]);
  const pid = await queued(client, server.name);
  if (pid !== null) server.pause();
  await client.query('ROLLBACK');
  if (pid === null) return false;
  await sleep(SETTLED_MS);
  return holds(client, pid, repo);
}

/** The process of PostgreSQL's that waits for a repo's row on behalf of this server, behind us or behind others who do. */
async function queued(client: pg.Client, name: string): Promise<number | null> {
  const untilMs = performance.now() + QUEUE_MS;
  while (performance.now() < untilMs) {
    const { rows } = await client.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock' AND query ~ 'FROM repo '`,
      [name],
    );
    if (rows[0] !== undefined) return rows[0].pid;
    await sleep(LOOK_EVERY_MS);
  }
  return null;
}

/** It waits for its client in a transaction, and nobody else gets the row. */
async function holds(client: pg.Client, pid: number, repo: string): Promise<boolean> {
  const { rowCount } = await client.query(
    `SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND state = 'idle in transaction' AND backend_xid IS NOT NULL`,
    [pid],
  );
  if (rowCount === 0) return false;
  try {
    await client.query('SELECT 1 FROM repo WHERE name = $1 FOR NO KEY UPDATE NOWAIT', [repo]);
    return false;
  } catch (error) {
    return (error as { code?: unknown }).code === '55P03';
  }
}
