import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CommitSignal } from '../../src/platform/database/commit-signal.ts';
import { Database } from '../../src/platform/database/database.ts';
import { Housekeeping, purgeIdempotency } from '../../src/platform/housekeeping.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { ManualClock } from '../support/clock.ts';
import { startTestServer, type TestOrg, type TestServer } from '../support/server.ts';

const PASS_MS = 12_000;

let server: TestServer;
let db: Database;
let orgs: TestOrg[];
const started: Housekeeping[] = [];

beforeAll(async () => {
  server = await startTestServer({ start: false });
  const { ordinary, listener } = server.pools;
  db = new Database(ordinary, new CommitSignal(listener, ordinary, createLogger({ level: 'fatal' })));
  orgs = [await server.newOrg(), await server.newOrg(), await server.newOrg()];
});
afterEach(async () => {
  for (const each of started.splice(0)) await each.stop();
});
afterAll(() => server?.close());

function housekeeping(lines: string[] = []) {
  const clock = new ManualClock();
  const log = createLogger({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
  const made = new Housekeeping({ db, clock, log });
  started.push(made);
  return { chores: made, clock };
}

const ids = () => orgs.map((org) => org.id).toSorted();

describe('housekeeping', () => {
  it('does every chore for every org, about every ten seconds', async () => {
    const { chores, clock } = housekeeping();
    const done: string[] = [];
    chores.register('a', async (orgId) => void done.push(orgId));
    chores.start();
    await clock.advance(7_000);
    expect(done).toEqual([]);
    for (const passes of [1, 2]) {
      await clock.advance(PASS_MS);
      // With jitter, two may fall into one such span; never none.
      await expect.poll(() => done.length).toBeGreaterThanOrEqual(3 * passes);
    }
    expect([...new Set(done)].toSorted()).toEqual(ids());
  });

  it('goes on with the other orgs and chores when one fails, and logs which', async () => {
    const lines: string[] = [];
    const { chores } = housekeeping(lines);
    const done: string[] = [];
    const broken = ids()[1]!;
    chores.register('fails', (orgId) => (orgId === broken ? Promise.reject(new Error('no')) : Promise.resolve()));
    chores.register('throws at once', () => {
      throw new Error('no promise either');
    });
    chores.register('works', async (orgId) => void done.push(orgId));
    await chores.pass();
    expect(done).toEqual(ids());
    const told = lines.map((line) => JSON.parse(line) as { chore: string; orgId: string });
    expect(told.filter((line) => line.chore === 'fails').map((line) => line.orgId)).toEqual([broken]);
    expect(told.filter((line) => line.chore === 'throws at once')).toHaveLength(3);
  });

  it('waits for the chore under way when it stops, and starts no other', async () => {
    const { chores, clock } = housekeeping();
    const done: string[] = [];
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    chores.register('slow', async (orgId) => {
      done.push(`begin ${orgId}`);
      await held;
      done.push(`end ${orgId}`);
    });
    chores.start();
    await clock.advance(PASS_MS);
    await expect.poll(() => done.length).toBe(1);
    const stopped = chores.stop().then(() => done.push('stopped'));
    release();
    await stopped;
    const [first] = ids();
    expect(done).toEqual([`begin ${first}`, `end ${first}`, 'stopped']);
  });
});

describe('old idempotency keys', () => {
  it('are deleted after 48 hours, in their org alone', async () => {
    const [org, other] = orgs as [TestOrg, TestOrg];
    for (const { admin } of [org, other]) {
      for (const key of ['old', 'young']) await admin.post('/teams', { name: key }, { 'idempotency-key': key });
    }
    await server.sql(`UPDATE idempotency SET created_at = now() - interval '49 hours' WHERE key = 'old'`);
    await server.sql(`UPDATE idempotency SET created_at = now() - interval '47 hours' WHERE key = 'young'`);
    expect(await purgeIdempotency(db, org.id)).toBe(1);
    expect(await purgeIdempotency(db, org.id)).toBe(0);
    const left = await server.sql('SELECT org_id, key FROM idempotency WHERE key IN ($1, $2) ORDER BY 1, 2', [
      'old',
      'young',
    ]);
    expect(left.filter((row) => row['org_id'] === org.id).map((row) => row['key'])).toEqual(['young']);
    expect(left.filter((row) => row['org_id'] === other.id).map((row) => row['key'])).toEqual(['old', 'young']);
  });
});
