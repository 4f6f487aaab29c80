import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { endThoseOver } from '../../../src/modules/leases/index.ts';
import { withClient } from '../../support/database.ts';
import { holding, untilBlocked } from '../../support/locks.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { expiredFor, newRunner, type Runner } from './support.ts';

/** More than one pass looks at. */
const MANY = 12_000;

let server: TestServer;
let org: TestOrg;
let ann: Runner;
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(() => server?.close());
beforeEach(async () => {
  org = await server.newOrg();
  ann = await newRunner(org);
});

const sweep = () => server.signalbox.services.housekeeping.pass();

async function granted(path: string): Promise<{ id: string; fence: number }> {
  const { status, body } = await ann.acquire({ paths: [path] });
  expect(status).toBe(201);
  return body.lease;
}

async function rowOf(id: string): Promise<{ end_reason: string | null; keys: number }> {
  const [row] = await server.sql<{ end_reason: string | null; keys: number }>(
    'SELECT l.end_reason, (SELECT count(*)::int FROM lease_key k WHERE k.lease_id = l.id) AS keys FROM lease l WHERE l.id = $1',
    [id],
  );
  return row!;
}

const endedInLog = async () =>
  (await org.events()).filter(({ kind }) => kind === 'lease.ended').map(({ subject, data }) => [subject.id, data]);

/** Rows as grants leave them: their ids are older than any that is given out now, so they are looked at first. */
async function manyOpen(): Promise<void> {
  await server.sql(
    `WITH made AS (
       INSERT INTO lease (org_id, id, repo_id, run_id, loop_id, fence, mode, paths, ttl_seconds, granted_at, expires_at)
       SELECT l.org_id, ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, l.repo_id, l.run_id, l.loop_id, n, 'exclusive',
         ARRAY['src/made-' || n], 900, l.granted_at, l.expires_at
       FROM lease l, generate_series(1, $2::int) n WHERE l.id = $1 RETURNING *)
     INSERT INTO lease_key (org_id, repo_id, lease_id, ordinal, kind, key)
     SELECT org_id, repo_id, id, 0, 'literal', paths[1] FROM made`,
    [(await granted('src/first.ts')).id, MANY],
  );
}

it('who has those ended that are over is told of one that is not, whatever a clock said of it before', async () => {
  const [over, stands] = [await granted('src/over.ts'), await granted('src/stands.ts')];
  await expiredFor(server, over.id, 20);
  const { db } = server.signalbox.services;
  const end = (...ids: string[]) => endThoseOver(db, org.id, ids);
  expect(await end(over.id, stands.id)).toBe(false);
  expect([await rowOf(over.id), await rowOf(stands.id)]).toEqual([
    { end_reason: 'expired', keys: 0 },
    { end_reason: null, keys: 1 },
  ]);
  expect(await end(over.id)).toBe(true);
});

describe('the sweep of leases', () => {
  it('ends what expired before the lock delay, with an event, and leaves alone what is live or still closing', async () => {
    const over = await granted('src/over.ts');
    const closing = await granted('src/closing.ts');
    const live = await granted('src/live.ts');
    await expiredFor(server, over.id, 16);
    await expiredFor(server, closing.id, 5);
    await sweep();
    expect(await rowOf(over.id)).toEqual({ end_reason: 'expired', keys: 0 });
    expect(await rowOf(closing.id)).toEqual({ end_reason: null, keys: 1 });
    expect(await rowOf(live.id)).toEqual({ end_reason: null, keys: 1 });
    const data = { fence: over.fence, reason: 'expired', repo: 'acme/shop', runId: ann.runId };
    expect(await endedInLog()).toEqual([[over.id, data]]);
    await sweep();
    expect(await endedInLog()).toHaveLength(1);
  });

  it('ends what a run was given in the very moment in which it finished', async () => {
    const lease = await granted('src/late.ts');
    await server.sql(`UPDATE run SET status = 'finished' WHERE id = $1`, [ann.runId]);
    await sweep();
    expect(await rowOf(lease.id)).toEqual({ end_reason: 'run_ended', keys: 0 });
  });

  it('comes to the last of very many in later passes, and to the first again after that', async () => {
    await manyOpen();
    const last = await granted('src/last.ts');
    await expiredFor(server, last.id, 60);
    await sweep();
    expect(await rowOf(last.id)).toMatchObject({ end_reason: null });
    await sweep();
    expect(await rowOf(last.id)).toMatchObject({ end_reason: 'expired' });
    const first = '00000000-0000-7000-8000-000000000001';
    await expiredFor(server, first, 60);
    await sweep();
    expect(await rowOf(first)).toMatchObject({ end_reason: 'expired' });
  });

  it('leaves alone what was renewed while it waited for the lock', async () => {
    const lease = await granted('src/renewed.ts');
    await expiredFor(server, lease.id, 60);
    await withClient(server.database.url, async (client) => {
      const repo = await holding(client, 'SELECT FROM repo WHERE org_id = $1 FOR UPDATE', [org.id]);
      const sweeping = sweep();
      await untilBlocked(server, 'ORDER BY p.id FOR NO KEY UPDATE');
      await expiredFor(server, lease.id, -900);
      await repo.free();
      await sweeping;
    });
    expect(await rowOf(lease.id)).toEqual({ end_reason: null, keys: 1 });
    expect(await endedInLog()).toEqual([]);
  });

  it('forgets a revoked lease when it would have expired, not before', async () => {
    const lease = await granted('src/revoked.ts');
    expect((await org.admin.post(`/leases/${lease.id}/revoke`, { reason: 'ours' })).status).toBe(200);
    await sweep();
    expect(await rowOf(lease.id)).toEqual({ end_reason: 'revoked', keys: 1 });
    await expiredFor(server, lease.id, 1);
    await sweep();
    expect(await rowOf(lease.id)).toEqual({ end_reason: 'revoked', keys: 0 });
  });
});
