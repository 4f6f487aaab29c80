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

/** Nobody has asked for anything in these orgs: what is made here is all there is. */
async function clear(): Promise<void> {
  for (const table of ['run', 'idempotency', 'lease_key', 'lease_waiter', 'approval'])
    await server.sql(`DELETE FROM ${table}`);
}

/** In every org a row that is looked at each time. */
async function somethingOpen(): Promise<void> {
  for (const id of ids()) await server.sql(INSERT_KEY, [id]);
}

const INSERT_KEY = `INSERT INTO lease_key (org_id, repo_id, lease_id, ordinal, kind, key) VALUES ($1, $1, gen_random_uuid(), 0, 'literal', '')`;
const insertRun = (status: string, seconds: number) =>
  `INSERT INTO run (org_id, id, loop_id, loop_version, repo_id, epoch, status, traceparent, started_by, started_at, last_beat_at)
    VALUES ($1, gen_random_uuid(), $1, 1, $1, 1, '${status}', '', $1, now(), now() - make_interval(secs => ${seconds}))`;
const insertKept = (hours: number) =>
  `INSERT INTO idempotency (org_id, key_id, key, operation, fingerprint, status, created_at)
    VALUES ($1, $1, 'k', '', '', 200, now() - make_interval(hours => ${hours}))`;
const insertWaiter = (status: string, hours: number | null) =>
  `INSERT INTO lease_waiter (org_id, id, seq, repo_id, run_id, loop_id, kind, mode, paths, patterns, resources, ttl_seconds, principal,
      queued_at, status, settled_at)
    VALUES ($1, $1, 1, $1, $1, $1, 'lease', 'shared', '{}', '{}', '{}', 9, '{}', now(), '${status}', now() - make_interval(hours => ${hours}))`;
const insertApproval = (status: string, seconds: number) =>
  `INSERT INTO approval (org_id, id, digest, status, action, subject, requirements, rules, reason, decision_id, requester_id, created_at,
      expires_at)
    VALUES ($1, $1, '', '${status}', '', '{}', '{}', '{}', '', $1, $1, now(), now() + make_interval(secs => ${seconds}))`;

describe('housekeeping', () => {
  it('does every chore for every org, about every ten seconds', async () => {
    await somethingOpen();
    const { chores, clock } = housekeeping();
    const done: string[] = [];
    chores.register('a', 'lease', async (orgId) => void done.push(orgId));
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
    await somethingOpen();
    const lines: string[] = [];
    const { chores } = housekeeping(lines);
    const done: string[] = [];
    const broken = ids()[1]!;
    chores.register('fails', 'lease', (orgId) =>
      orgId === broken ? Promise.reject(new Error('no')) : Promise.resolve(),
    );
    chores.register('throws at once', 'lease', () => {
      throw new Error('no promise either');
    });
    chores.register('works', 'lease', async (orgId) => void done.push(orgId));
    await chores.pass();
    expect(done).toEqual(ids());
    const told = lines.map((line) => JSON.parse(line) as { chore: string; orgId: string });
    expect(told.filter((line) => line.chore === 'fails').map((line) => line.orgId)).toEqual([broken]);
    expect(told.filter((line) => line.chore === 'throws at once')).toHaveLength(3);
  });

  it('waits a little for an org in which something takes long, and goes on with all else', async () => {
    await clear();
    await somethingOpen();
    const { chores, clock } = housekeeping();
    const done: string[] = [];
    const [slow, ...others] = ids();
    let end = (): void => undefined;
    let begun = 0;
    chores.register('slow', 'lease', async (orgId) => {
      if (orgId !== slow) return;
      begun += 1;
      await new Promise<void>((resolve) => (end = resolve));
    });
    chores.register('other', 'lease', async (orgId) => void done.push(orgId));
    const first = chores.pass();
    await expect.poll(() => clock.pending).toBe(1);
    await clock.advance(5_000);
    await first;
    expect(done).toEqual(others);
    // The next one does not begin it a second time, nor what comes after it and may rely on it.
    await chores.pass();
    expect(done).toEqual([...others, ...others]);
    expect(begun).toBe(1);
    let isOver = false;
    const stopped = chores.stop().then(() => (isOver = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(isOver).toBe(false);
    end();
    await stopped;
  });

  it('lets no more than three of them go on beside each other', async () => {
    await clear();
    await somethingOpen();
    await server.sql(INSERT_KEY, [(await server.newOrg()).id]);
    const { chores, clock } = housekeeping();
    const ends: (() => void)[] = [];
    chores.register('slow', 'lease', () => new Promise<void>((resolve) => void ends.push(resolve)));
    const pass = chores.pass();
    for (let begun = 1; begun <= 3; begun += 1) {
      await expect.poll(() => ends.length).toBe(begun);
      await clock.advance(2_000);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(ends).toHaveLength(3);
    for (let at = 0; at < 4; at += 1) {
      await expect.poll(() => ends.length).toBeGreaterThan(at);
      ends[at]!();
    }
    await pass;
    await chores.stop();
    await clear();
  });

  it.each([
    ['run', 'that was not heard of for long', insertRun('running', 11)],
    [null, 'run that was heard of', insertRun('running', 8)],
    [null, 'run that is over', insertRun('finished', 3600)],
    ['idempotency', 'key that is old', insertKept(49)],
    [null, 'Idempotency-Key that is young', insertKept(47)],
    ['lease', 'that is open', INSERT_KEY],
    ['lease_waiter', 'that waits', insertWaiter('waiting', null)],
    ['lease_waiter', 'whose ticket is old', insertWaiter('granted', 49)],
    [null, 'ticket that was settled lately', insertWaiter('granted', 47)],
    ['approval', 'that is pending and ran out', insertApproval('pending', -1)],
    ['approval', 'that was approved and ran out', insertApproval('approved', -1)],
    [null, 'approval that can be given yet', insertApproval('pending', 60)],
    [null, 'approval that was spent', insertApproval('spent', -1)],
  ] as const)('does the chores for %s %s, of that org alone', async (due, _what, insert) => {
    await clear();
    const id = ids()[1]!;
    await server.sql(insert, [id]);
    const { chores } = housekeeping();
    const done: string[][] = [];
    for (const table of ['run', 'idempotency', 'lease', 'lease_waiter', 'approval'] as const)
      chores.register(table, table, async (orgId) => void done.push([orgId, table]));
    await chores.pass();
    expect(done).toEqual(due === null ? [] : [[id, due]]);
  });

  it('waits for the chore under way when it stops, and starts no other', async () => {
    await somethingOpen();
    const { chores, clock } = housekeeping();
    const done: string[] = [];
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    chores.register('slow', 'lease', async (orgId) => {
      done.push(`begin ${orgId}`);
      await held;
      done.push(`end ${orgId}`);
    });
    chores.start();
    // Long enough for a pass to begin, and too short for it to lose patience with a chore.
    await clock.advance(9_000);
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
    await clear();
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
