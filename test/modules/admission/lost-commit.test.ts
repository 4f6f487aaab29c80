import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { LostCommit, outcomeOf } from '../../../src/modules/admission/hot/lost-commit.ts';
import { BatchPlan } from '../../../src/modules/admission/hot/plan.ts';
import type { Snapshot } from '../../../src/modules/admission/hot/snapshot.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type { Principal } from '../../../src/platform/principal.ts';
import { withClient } from '../../support/database.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { newRunner } from '../leases/support.ts';

let server: TestServer;
let org: TestOrg;
/** What is in the log: two grants of one batch could look so. */
let written: Awaited<ReturnType<TestOrg['events']>>;
/** Of a transaction that has committed, whatever it was. */
let committed: string;

beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(() => server?.close());
beforeEach(async () => {
  org = await server.newOrg();
  const ann = await newRunner(org);
  await ann.acquire({ paths: ['a'] });
  written = (await org.events()).slice(-1);
  [{ xid: committed }] = (await server.sql('SELECT pg_current_xact_id()::text AS xid')) as [{ xid: string }];
});

/** A batch of these events at that time, in a transaction of that id, decided when the log ended there. */
function lost(
  events: readonly { kind: string; id: string }[],
  { at = written[0]!.at, seq = written[0]!.seq - 1, xid = committed, seconds = 900 } = {},
) {
  const principal: Principal = { orgId: org.id, keyId: org.admin.keyId, role: 'admin', memberId: null, loopId: null };
  // All of a snapshot that the look-up goes by.
  const snapshot = { orgId: org.id, now: new Date(at), seq } as Snapshot;
  const plan = new BatchPlan(snapshot);
  const expiresAt = new Date(Date.parse(at) + seconds * 1000).toISOString();
  for (const { kind, id } of events)
    plan.emit(principal, { kind, subject: { kind: 'lease', id }, data: { expiresAt } });
  return outcomeOf({ pool: server.pools.hot, clock: systemClock }, { xid, snapshot, plan });
}

const granted = () => [{ kind: written[0]!.kind, id: written[0]!.subject.id }];
const ANOTHER = '01a20027-0000-7000-8000-000000000001';

it('a batch whose events are in the log has taken effect', async () => {
  expect(await lost(granted())).toBe(written[0]!.seq);
});

it.each([
  ['other leases', () => lost([{ kind: 'lease.granted', id: ANOTHER }])],
  ['the same and more', () => lost([...granted(), { kind: 'lease.granted', id: ANOTHER }])],
  ['the same at another time', () => lost(granted(), { at: new Date(Date.parse(written[0]!.at) + 1).toISOString() })],
  ['the same, before it was decided', () => lost(granted(), { seq: written[0]!.seq })],
  ['the same for longer', () => lost(granted(), { seconds: 901 })],
  ['nothing for the log', () => lost([])],
])(
  'one that would have written %s has not, though its transaction id is that of one that has committed',
  async (_name, look) => {
    await expect(look()).rejects.toThrow(LostCommit);
  },
);

it('one whose transaction id is not known, as after a crash, is looked for all the same', async () => {
  expect(await lost(granted(), { xid: '4000000000' })).toBe(written[0]!.seq);
  await expect(lost([{ kind: 'lease.granted', id: ANOTHER }], { xid: '4000000000' })).rejects.toThrow(LostCommit);
});

it('one that is under way is waited for', async () => {
  await withClient(server.database.url, async (client) => {
    await client.query('BEGIN');
    const { rows } = await client.query('SELECT pg_current_xact_id()::text AS xid');
    let isOver = false;
    const look = lost([{ kind: 'lease.granted', id: ANOTHER }], { xid: rows[0].xid }).catch((error: unknown) => {
      expect(isOver).toBe(true);
      return error;
    });
    await systemClock.sleep(300);
    isOver = true;
    await client.query('ROLLBACK');
    expect(await look).toBeInstanceOf(LostCommit);
  });
});
