import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { TestServer } from './server.ts';

/**
 * Until so many backends of the server's database wait for a lock, each with a statement that matches.
 * @param like a regular expression of PostgreSQL; '' for any statement
 */
export async function untilBlocked(server: Pick<TestServer, 'sql'>, like = '', count = 1): Promise<void> {
  const text = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ~ $1`;
  for (let look = 1; (await server.sql(text, [like])).length < count; look += 1) {
    if (look > 1000) throw new Error(`fewer than ${count} wait for a lock: ${like || 'any statement'}`);
    await sleep(5);
  }
}

/** A lock that the test holds, taken by a statement, until `free`. */
export async function holding(
  client: pg.Client,
  text: string,
  values: unknown[] = [],
): Promise<{ free(): Promise<unknown> }> {
  await client.query('BEGIN');
  await client.query(text, values);
  return { free: () => client.query('ROLLBACK') };
}
