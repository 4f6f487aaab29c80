import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BreakingProxy, type Fate, startBreakingProxy } from '../../support/breaking-proxy.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { newRunner } from '../leases/support.ts';

let database: TestDatabase;
let proxy: BreakingProxy;
let server: TestServer;
beforeAll(async () => {
  database = await createTestDatabase();
  const url = new URL(database.url);
  proxy = await startBreakingProxy({ host: url.hostname, port: Number(url.port) });
  url.host = `127.0.0.1:${proxy.port}`;
  server = await startTestServer({ database, hotUrl: url.href, start: false });
});
afterAll(async () => {
  await server?.close();
  await proxy?.close();
  await database?.drop();
});

describe('a connection that breaks around COMMIT', () => {
  it.each<Fate>(['lose-request', 'lose-answer'])(
    '%s: every request is answered as it came out, and takes effect once',
    async (fate) => {
      const org = await server.newOrg();
      const ann = await newRunner(org);
      const before = proxy.broken();
      proxy.fate = fate;
      const replies = await Promise.all(
        Array.from({ length: 5 }, (_, n) =>
          n % 2 === 0 ? ann.admit({ paths: [`f${n}`] }) : ann.acquire({ paths: [`f${n}`] }),
        ),
      );
      expect(proxy.broken()).toBe(before + 1);
      for (const { status } of replies) expect([200, 201]).toContain(status);
      const rows = await server.sql<{ id: string; fence: string }>(
        `SELECT id, fence FROM lease WHERE org_id = $1 ORDER BY fence`,
        [org.id],
      );
      const told = replies
        .map(({ body }) => ({ id: body.lease.id, fence: String(body.lease.fence) }))
        .toSorted((a, b) => Number(a.fence) - Number(b.fence));
      expect(rows).toEqual(told);
      const seqs = (await org.events()).map(({ seq }) => seq);
      expect(seqs).toEqual(seqs.map((_, index) => index + 1));
      const decisions = await server.sql(`SELECT 1 FROM decision WHERE org_id = $1`, [org.id]);
      expect(decisions).toHaveLength(3);
    },
  );
});
