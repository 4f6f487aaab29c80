import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, onTestServer, type TestDatabase, withClient } from '../../support/database.ts';

let first: TestDatabase;
let second: TestDatabase;

beforeAll(async () => {
  [first, second] = await Promise.all([createTestDatabase(), createTestDatabase()]);
});

afterAll(async () => {
  await first.drop();
});

test('each database is migrated and apart from the others', async () => {
  await withClient(first.url, (client) => client.query('CREATE TABLE only_here ()'));
  const tables = (url: string) =>
    withClient(
      url,
      async (client) =>
        (await client.query(`SELECT to_regclass('org') AS org, to_regclass('only_here') AS own`)).rows[0],
    );
  expect(await tables(first.url)).toEqual({ org: 'org', own: 'only_here' });
  expect(await tables(second.url)).toEqual({ org: 'org', own: null });
});

test('dropping ends connections that were forgotten', async () => {
  await withClient(second.url, async () => {
    await second.drop();
  });
  const { rowCount } = await onTestServer((client) =>
    client.query('SELECT FROM pg_database WHERE datname = $1', [second.name]),
  );
  expect(rowCount).toBe(0);
});
