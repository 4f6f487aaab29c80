import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase, withClient } from '../../support/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(async () => {
  await database?.drop();
});

it('the first spans of a day may come to two servers at once: the second finds the partition that it waited for', async () => {
  await withClient(database.url, async (first) => {
    await withClient(database.url, async (second) => {
      const ensure = `SELECT ensure_span_partition((clock_timestamp() AT TIME ZONE 'UTC')::date + 1)`;
      await first.query('BEGIN');
      await second.query('BEGIN');
      await first.query(ensure);
      const waiting = second.query(ensure);
      const isWaiting = async () =>
        (await first.query(`SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`)).rows.length > 0;
      while (!(await isWaiting()));
      await first.query('COMMIT');
      await expect(waiting).resolves.toMatchObject({ rowCount: 1 });
      await second.query('COMMIT');
    });
  });
});
