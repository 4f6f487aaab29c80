import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPools, type Pools } from '../../../src/platform/database/pools.ts';
import { newRunner } from '../../modules/leases/support.ts';
import { createTestDatabase, type TestDatabase, withClient } from '../../support/database.ts';
import { startTestServer } from '../../support/server.ts';

let database: TestDatabase;
let pools: Pools;
beforeAll(async () => {
  database = await createTestDatabase();
  pools = createPools(database.url, () => {});
});
afterAll(async () => {
  await pools?.end();
  await database?.drop();
});

/** One row or a few in every table that is looked into: of an empty file, as vacuum leaves it, the planner knows nothing. */
async function beginWork(): Promise<void> {
  const server = await startTestServer({ database, start: false });
  try {
    const org = await server.newOrg();
    const [ann, ben] = [await newRunner(org), await newRunner(org)];
    expect((await ann.acquire({ paths: ['a'] })).status).toBe(201);
    expect((await ben.acquire({ paths: ['a'], waitSeconds: 0.001 })).status).toBe(202);
  } finally {
    await server.close();
  }
}

/** Looked up by id while an org's request waits, and by what. */
const LOOKUPS: readonly (readonly [table: string, columns: readonly string[]])[] = [
  ['lease', ['org_id', 'id']],
  ['run', ['org_id', 'id']],
  ['loop', ['org_id', 'id']],
  ['repo', ['org_id', 'id']],
  ['member', ['org_id', 'id']],
  ['api_key', ['org_id', 'id']],
  ['lease_waiter', ['org_id', 'id']],
  ['lease_key', ['org_id', 'lease_id']],
  ['lease_waiter_key', ['org_id', 'waiter_id']],
];

/** The plan that a hot connection keeps for a look-up. */
async function planOf(client: pg.PoolClient, table: string, columns: readonly string[]): Promise<string> {
  const where = columns.map((column, index) => `${column} = $${index + 1}`).join(' AND ');
  const name = `look_${table}`;
  await client.query(`PREPARE ${name} (uuid, uuid) AS SELECT * FROM ${table} WHERE ${where}`);
  const id = '01a20027-0000-7000-8000-000000000001';
  const { rows } = await client.query(`EXPLAIN (COSTS OFF) EXECUTE ${name} ('${id}', '${id}')`);
  await client.query(`DEALLOCATE ${name}`);
  return rows.map((row: Record<string, string>) => row['QUERY PLAN']).join('\n');
}

it('nothing is left of what the planner was shown', async () => {
  await withClient(database.url, async (client) => {
    for (const [table] of LOOKUPS) {
      const { rows } = await client.query(`SELECT count(*)::int AS count FROM ${table}`);
      expect([table, rows[0].count]).toEqual([table, 0]);
    }
  });
});

describe('in a database in which little has happened yet', () => {
  beforeAll(beginWork);

  it.each(LOOKUPS)('a %s is found by its whole key, not among all of its org', async (table, columns) => {
    const client = await pools.hot.connect();
    try {
      const plan = await planOf(client, table, columns);
      for (const column of columns) expect(plan).toMatch(new RegExp(`Index Cond: .*\\b${column} = \\$`));
    } finally {
      client.release();
    }
  });
});

it('the planner takes no table’s org_id for selective', async () => {
  await withClient(database.url, async (client) => {
    const { rows } = await client.query(
      `SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'org_id'
       WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
         AND NOT coalesce(a.attoptions @> '{n_distinct=1}', false)`,
    );
    expect(rows.map(({ relname }: { relname: string }) => relname)).toEqual([]);
  });
});

it('ANALYZE takes little of the tables that grow with every request, and reads none of their JSON', async () => {
  await withClient(database.url, async (client) => {
    const { rows } = await client.query(
      `SELECT c.relname || '.' || a.attname AS name FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
       WHERE c.oid = ANY ('{event,lease,lease_key,decision,idempotency}'::regclass[]) AND a.attnum > 0 AND NOT a.attisdropped
         AND NOT coalesce(a.attstattarget BETWEEN 0 AND CASE WHEN a.atttypid = 'jsonb'::regtype THEN 0 ELSE 10 END, false)`,
    );
    expect(rows.map(({ name }: { name: string }) => name)).toEqual([]);
  });
});

it('a plan is not kept for ever: it is made anew at the fourth, sixteenth … use of a hot connection', async () => {
  const single = createPools(database.url, () => {}, { ordinary: 1, hot: 1 });
  const shapes: string[] = [];
  try {
    for (let use = 1; use <= 17; use += 1) {
      const client = await single.hot.connect();
      if (use === 1) await client.query('PREPARE kept (uuid) AS SELECT * FROM repo WHERE org_id = $1');
      const { rows } = await client.query(`EXPLAIN (COSTS OFF) EXECUTE kept ('01a20027-0000-7000-8000-000000000001')`);
      const shape = /Seq Scan/.test(JSON.stringify(rows)) ? 'scan' : 'index';
      shapes.push(shape);
      // One that is made from now on comes out otherwise than the one that is kept.
      const [scan, index] = shape === 'scan' ? ['off', 'on'] : ['on', 'off'];
      await client.query(`SET enable_seqscan = ${scan}`);
      await client.query(`SET enable_indexscan = ${index}`);
      client.release();
    }
  } finally {
    await single.end();
  }
  expect(shapes).toEqual([...Array(3).fill('index'), ...Array(12).fill('scan'), ...Array(2).fill('index')]);
});
