import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Conflict } from '../../../src/modules/leases/decide.ts';
import { HoldHistory } from '../../../src/modules/leases/hold-history.ts';
import { CommitSignal } from '../../../src/platform/database/commit-signal.ts';
import { Database } from '../../../src/platform/database/database.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { ManualClock } from '../../support/clock.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { unreadable } from '../../support/unreadable.ts';
import { give, newRunner } from './support.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(() => server?.close());

it('a history that could not be read is read again at once, and one that could is kept', async () => {
  const org = await server.newOrg();
  const ann = await newRunner(org);
  const { lease } = (await ann.acquire({ paths: ['a'] })).body;
  await give(ann, lease);
  await server.sql(`UPDATE lease SET granted_at = ended_at - interval '30 s' WHERE id = $1`, [lease.id]);
  const [{ id: repoId }] = (await org.admin.get('/repos')).body.items;
  const clock = new ManualClock(new Date());
  const { ordinary, listener } = server.pools;
  const signal = new CommitSignal(listener, ordinary, createLogger({ level: 'fatal' }));
  const history = new HoldHistory(new Database(ordinary, signal), clock);
  const judged = async () => {
    const now = clock.now();
    const waits = { since: now.toISOString(), freeAt: null, queueLength: 1, ticketId: 'x', expectedWaitSeconds: null };
    const conflict = waits as Partial<Conflict> as Conflict;
    await history.judge(org.id, repoId, [conflict], now);
    return conflict.expectedWaitSeconds;
  };
  // Unknown, but no error.
  expect(await unreadable(server, 'lease', judged)).toBeNull();
  expect(await judged()).toBe(30);
  expect(await unreadable(server, 'lease', judged)).toBe(30);
  await clock.advance(30_000);
  expect(await unreadable(server, 'lease', judged)).toBeNull();
});
