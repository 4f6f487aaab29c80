import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { createTestDatabase, withClient } from '../../support/database.ts';
import { startTestServer } from '../../support/server.ts';

it('a server that ends while its notifications are interrupted does not begin to listen again', async () => {
  const database = await createTestDatabase();
  const server = await startTestServer({ database, start: 'signals' });
  const listeners = async () =>
    withClient(database.url, async (client) => {
      const { rows } = await client.query<{ pid: number }>(
        `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`,
      );
      return rows.map(({ pid }) => pid);
    });
  const [pid] = await listeners();
  await server.sql('SELECT pg_terminate_backend($1)', [pid]);
  await sleep(100);
  await server.close();
  await sleep(1500);
  expect(await listeners()).toEqual([]);
  await database.drop();
});
