import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { APP_ROLE, checkAppRole } from '../../src/platform/database/pools.ts';
import { withClient } from '../support/database.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { populate, type World } from './world.ts';

/** Tables that belong to no org. */
const SHARED = ['_prisma_migrations'];
const APPEND_ONLY = ['decision', 'event', 'loop_version', 'policy_version', 'vote'];
const RLS_REFUSED = '42501';
const NO_PARTITION = '23514';

let server: TestServer;
let alpha: World;
let bravo: World;
let tables: string[];
beforeAll(async () => {
  server = await startTestServer({ start: false });
  [alpha, bravo] = [await populate(server, 'alpha'), await populate(server, 'bravo')];
  for (const { org, names } of [alpha, bravo]) {
    const voter = await org.member({ teams: [names.team] });
    await voter.post(`/approvals/${names.approval}/votes`, { verdict: 'reject' });
    await org.admin.post('/teams', { name: 'kept' }, { 'idempotency-key': 'kept' });
  }
  const rows = await server.sql<{ name: string }>(
    `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`,
  );
  tables = rows.map(({ name }) => name).filter((name) => !SHARED.includes(name));
});
afterAll(() => server?.close());

/** One transaction as the server's role with the org given, rolled back in the end. */
async function asApp<T>(orgId: string | null, use: (client: pg.Client) => Promise<T>): Promise<T> {
  return withClient(server.database.url, async (client) => {
    await client.query(`BEGIN; SET LOCAL ROLE ${APP_ROLE}`);
    if (orgId !== null) await client.query(`SELECT set_config('signalbox.org_id', $1, true)`, [orgId]);
    return use(client);
  });
}

/** The SQLSTATE with which a statement is refused, or how many rows it touched; the transaction goes on. */
async function attempt(client: pg.Client, sql: string, values: unknown[] = []): Promise<string | number> {
  await client.query('SAVEPOINT here');
  try {
    return (await client.query(sql, values)).rowCount ?? 0;
  } catch (error) {
    return (error as pg.DatabaseError).code ?? String(error);
  } finally {
    await client.query('ROLLBACK TO SAVEPOINT here');
  }
}

const countOf = async (client: pg.Client, table: string) =>
  Number((await client.query(`SELECT count(*) AS n FROM ${table}`)).rows[0].n);

describe('every table', () => {
  it('is under row-level security, forced, or on the short list of those that belong to no org', async () => {
    const bare = await server.sql<{ name: string }>(
      `SELECT c.relname AS name FROM pg_class c
       WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
       ORDER BY 1`,
    );
    expect(bare.map(({ name }) => name)).toEqual(SHARED);
    const views = await server.sql(
      `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v', 'm', 'f')`,
    );
    expect(views, 'a view reads as its owner').toEqual([]);
  });

  it('leads its primary key and every index with the org, but for what is looked up before the org is known', async () => {
    const rows = await server.sql<{ name: string }>(
      `SELECT i.indexrelid::regclass::text AS name FROM pg_index i
       JOIN pg_class c ON c.oid = i.indrelid AND c.relnamespace = 'public'::regnamespace
       JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
       WHERE a.attname <> 'org_id' AND NOT c.relname = ANY ($1) ORDER BY 1`,
      [SHARED],
    );
    expect(rows.map(({ name }) => name)).toEqual(['api_key_hash_key', 'org_slug_key']);
  });

  it('that matters most has rows of both orgs here, so that what follows says something', async () => {
    const filled: string[] = [];
    for (const table of tables) {
      const rows = await server.sql<{ org_id: string }>(`SELECT DISTINCT org_id FROM ${table}`);
      if (rows.length === 2) filled.push(table);
    }
    const core = [
      'approval',
      'halt',
      'idempotency',
      'iteration',
      'lease',
      'lease_key',
      'loop',
      'org_head',
      'policy',
      'run',
    ];
    expect(filled).toEqual(
      expect.arrayContaining([...APPEND_ONLY, ...core, 'api_key', 'member', 'org', 'repo', 'team']),
    );
  });
});

describe('the role of the server', () => {
  it('owns nothing, is no superuser, bypasses nothing and can become nobody else', async () => {
    const [role] = await server.sql(
      `SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication FROM pg_roles WHERE rolname = $1`,
      [APP_ROLE],
    );
    expect(new Set(Object.values(role!))).toEqual(new Set([false]));
    const owned = await server.sql(
      `SELECT relname AS name FROM pg_class WHERE relowner = $1::regrole UNION ALL
       SELECT proname FROM pg_proc WHERE proowner = $1::regrole UNION ALL
       SELECT nspname FROM pg_namespace WHERE nspowner = $1::regrole UNION ALL
       SELECT datname FROM pg_database WHERE datdba = $1::regrole`,
      [APP_ROLE],
    );
    expect(owned).toEqual([]);
    const member = await server.sql(`SELECT roleid::regrole FROM pg_auth_members WHERE member = $1::regrole`, [
      APP_ROLE,
    ]);
    expect(member).toEqual([]);
    const [schema] = await server.sql(`SELECT has_schema_privilege($1, 'public', 'CREATE') AS creates`, [APP_ROLE]);
    expect(schema).toEqual({ creates: false });
  });

  it('is what both pools of a server work as; any other is refused at start', async () => {
    for (const pool of [server.pools.ordinary, server.pools.hot]) await checkAppRole(pool);
    const superuser = new pg.Pool({ connectionString: server.database.url, max: 1 });
    await expect(checkAppRole(superuser)).rejects.toThrow(`expected to work as role ${APP_ROLE}`);
    await superuser.end();
  });

  it('may neither change nor delete nor truncate what is written once, nor switch its protection off', async () => {
    await asApp(alpha.org.id, async (client) => {
      for (const table of APPEND_ONLY) {
        expect([table, await attempt(client, `UPDATE ${table} SET org_id = org_id`)]).toEqual([table, RLS_REFUSED]);
        expect([table, await attempt(client, `DELETE FROM ${table}`)]).toEqual([table, RLS_REFUSED]);
      }
      for (const table of tables) {
        const statements = [
          `TRUNCATE ${table}`,
          `ALTER TABLE ${table} DISABLE ROW LEVEL SECURITY`,
          `ALTER TABLE ${table} NO FORCE ROW LEVEL SECURITY`,
          `DROP POLICY tenant ON ${table}`,
          `CREATE POLICY open ON ${table} USING (true)`,
          `DROP TABLE ${table}`,
        ];
        for (const sql of statements) expect([sql, await attempt(client, sql)]).toEqual([sql, RLS_REFUSED]);
      }
      expect(await attempt(client, 'SET row_security = off')).toBe(0);
      expect(await attempt(client, `CREATE TABLE mine (x int)`)).toBe(RLS_REFUSED);
      expect(await attempt(client, 'SELECT * FROM _prisma_migrations')).toBe(RLS_REFUSED);
    });
  });

  it('sees an error, never rows, when it asks to do without row-level security', async () => {
    await asApp(null, async (client) => {
      await client.query('SET LOCAL row_security = off');
      for (const table of tables)
        expect([table, await attempt(client, `SELECT * FROM ${table}`)]).toEqual([table, RLS_REFUSED]);
    });
  });
});

describe.each([
  ['no org set', null],
  ['an empty org set', ''],
  ['an org set that there is not', randomUUID()],
])('with %s', (_name, orgId) => {
  it('no table shows a row', async () => {
    await asApp(orgId, async (client) => {
      for (const table of tables) expect([table, await countOf(client, table)]).toEqual([table, 0]);
    });
  });

  it('no table takes a row of any org, changes one or loses one', async () => {
    await asApp(orgId, async (client) => {
      for (const table of tables) await expectUntouchable(client, table);
    });
  });
});

describe('with the org of alpha set', () => {
  it('every row of alpha is there and no other', async () => {
    await asApp(alpha.org.id, async (client) => {
      for (const table of tables) {
        const { rows } = await client.query(`SELECT DISTINCT org_id FROM ${table}`);
        expect([table, rows.filter((row) => row.org_id !== alpha.org.id)]).toEqual([table, []]);
      }
    });
  });

  it('no row of bravo can be written, changed, taken over or deleted', async () => {
    await asApp(alpha.org.id, async (client) => {
      for (const table of tables) await expectUntouchable(client, table);
    });
  });

  it('no row of alpha can be handed to bravo', async () => {
    await asApp(alpha.org.id, async (client) => {
      for (const table of tables) {
        if ((await countOf(client, table)) === 0) continue;
        const given = await attempt(client, `UPDATE ${table} SET org_id = $1`, [bravo.org.id]);
        expect([table, given]).toEqual([table, RLS_REFUSED]);
      }
    });
  });

  it('the functions of the migrations do not reach into bravo', async () => {
    await asApp(alpha.org.id, async (client) => {
      const event = { at: new Date(), kind: 'x.y', actor: {}, subject: {}, data: {}, digest: '00'.repeat(32) };
      const append = `SELECT append_events($1, $2, NULL, NULL, false, false)`;
      expect(await attempt(client, append, [bravo.org.id, JSON.stringify([event])])).toBe('SB404');
      expect(await attempt(client, append, [alpha.org.id, JSON.stringify([event])])).toBe(1);
      const hot = `SELECT hot_write($1, 0, 0, $2)`;
      const leaseEnd = { leaseEnds: [{ id: bravo.names.lease, at: new Date(), reason: 'x' }], events: [event] };
      expect(await attempt(client, hot, [bravo.org.id, JSON.stringify(leaseEnd)])).toBe('SB001');
    });
  });

  it("a key of bravo's does not let its bearer in", async () => {
    await asApp(null, async (client) => {
      const enter = 'SELECT enter_org($1, $2)';
      expect(await attempt(client, enter, [alpha.org.id, bravo.org.admin.keyId])).toBe('SB401');
      expect(await attempt(client, enter, [bravo.org.id, bravo.org.admin.keyId])).toBe(1);
    });
  });
});

/** Copies a row of bravo's under a new id of that org, changes and deletes those there are: all refused or without effect. */
async function expectUntouchable(client: pg.Client, table: string): Promise<void> {
  const [row] = await server.sql<{ row: object }>(`SELECT to_jsonb(t) AS row FROM ${table} t WHERE org_id = $1`, [
    bravo.org.id,
  ]);
  const sample = JSON.stringify(row?.row ?? { org_id: bravo.org.id });
  const insert = `INSERT INTO ${table} SELECT * FROM jsonb_populate_record(NULL::${table}, $1)`;
  // A table that is empty here and in parts by day has no part for a row without one.
  const refused = row === undefined ? expect.toBeOneOf([RLS_REFUSED, NO_PARTITION]) : RLS_REFUSED;
  expect([table, 'insert', await attempt(client, insert, [sample])]).toEqual([table, 'insert', refused]);
  const refusedOrNone = expect.toSatisfy((result) => result === 0 || result === RLS_REFUSED);
  const update = await attempt(client, `UPDATE ${table} SET org_id = org_id WHERE org_id = $1`, [bravo.org.id]);
  expect([table, 'update', update]).toEqual([table, 'update', refusedOrNone]);
  const remove = await attempt(client, `DELETE FROM ${table} WHERE org_id = $1`, [bravo.org.id]);
  expect([table, 'delete', remove]).toEqual([table, 'delete', refusedOrNone]);
}
