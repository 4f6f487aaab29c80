import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ByteBudget } from '../../../src/modules/traces/byte-budget.ts';
import { Problem } from '../../../src/platform/errors.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { type OtlpReply, postOtlp, spanRows, told } from './support.ts';
import { jsonSpan, jsonTraces } from './wire.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false });
  const org = await server.newOrg();
  // Today's partition is there, so that what follows waits where it should.
  await postOtlp(server, org.admin, 'traces', jsonTraces([jsonSpan()]));
});
afterAll(() => server?.close());

/** Nothing can be stored while `work` runs. */
async function whileStopped(work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: server.database.url });
  await client.connect();
  try {
    await client.query('BEGIN');
    await client.query('LOCK TABLE span IN EXCLUSIVE MODE');
    await work(client);
  } finally {
    await client.query('ROLLBACK');
    await client.end();
  }
}

const waiting = async (client: pg.Client) => {
  const { rows } = await client.query(
    `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
  );
  return rows.map((row: { pid: number }) => row.pid);
};

describe('more than can be stored', () => {
  it('is 429 with Retry-After for that org alone, and what was answered 200 is there', async () => {
    const [org, other] = [await server.newOrg(), await server.newOrg()];
    const spans = Array.from({ length: 90 }, () => jsonSpan());
    let replies: OtlpReply[] = [];
    const answers: Promise<OtlpReply>[] = [];
    let others: Promise<OtlpReply>;
    await whileStopped(async () => {
      for (const span of spans) answers.push(postOtlp(server, org.admin, 'traces', jsonTraces([span])));
      // 2 in the database, 64 waiting, the rest refused at once.
      const refused: number[] = [];
      for (const answer of answers) void answer.then(({ status }) => refused.push(status));
      await expect.poll(() => refused.length, { timeout: 10_000 }).toBe(90 - 66);
      expect(new Set(refused)).toEqual(new Set([429]));
      others = postOtlp(server, other.admin, 'traces', jsonTraces([jsonSpan()]));
    });
    // A stop of three seconds is 503 for those that were in the database.
    expect([200, 503]).toContain((await others!).status);
    replies = await Promise.all(answers);
    const full = replies.find(({ status }) => status === 429)!;
    expect([full.headers.get('retry-after'), told(full, 'traces')]).toEqual([
      '1',
      { code: 8, message: expect.any(String) },
    ]);
    const kept = new Set((await spanRows(server, org.id)).map((row) => row.span_id));
    const acknowledged = spans.filter((_span, at) => replies[at]!.status === 200).map((span) => String(span['spanId']));
    expect(kept).toEqual(new Set(acknowledged));
    expect(acknowledged.length).toBeGreaterThan(50);
  });
});

describe('a database that goes away', () => {
  it('is 503 with Retry-After, and the same request later is stored once', async () => {
    const org = await server.newOrg();
    const message = jsonTraces([jsonSpan(), jsonSpan()]);
    let answer: Promise<OtlpReply>;
    await whileStopped(async (client) => {
      answer = postOtlp(server, org.admin, 'traces', message);
      await expect.poll(async () => (await waiting(client)).length).toBe(1);
      for (const pid of await waiting(client)) await client.query('SELECT pg_terminate_backend($1)', [pid]);
      const reply = await answer;
      expect([reply.status, reply.headers.get('retry-after'), told(reply, 'traces')]).toEqual([
        503,
        '1',
        { code: 14, message: 'The database does not take it now; send it again.' },
      ]);
    });
    for (let time = 0; time < 2; time += 1)
      expect((await postOtlp(server, org.admin, 'traces', message)).status).toBe(200);
    expect(await spanRows(server, org.id)).toHaveLength(2);
  });

  it('and a partition that was dropped is made again', async () => {
    const org = await server.newOrg();
    const [row] = await server.sql<{ name: string }>(
      `SELECT 'span_' || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD') AS name`,
    );
    await server.sql(`DROP TABLE ${row!.name}`);
    expect((await postOtlp(server, org.admin, 'traces', jsonTraces([jsonSpan()]))).status).toBe(200);
    expect(await spanRows(server, org.id)).toHaveLength(1);
  });
});

describe('a key', () => {
  it('that was revoked stores nothing more, though this server knows it', async () => {
    const org = await server.newOrg();
    const key = await org.key('loop');
    expect((await postOtlp(server, key, 'traces', jsonTraces([jsonSpan()]))).status).toBe(200);
    await org.admin.delete(`/api-keys/${key.keyId}`);
    const reply = await postOtlp(server, key, 'traces', jsonTraces([jsonSpan()]));
    expect([reply.status, told(reply, 'traces')]).toMatchObject([401, { code: 16 }]);
    expect(await spanRows(server, org.id)).toHaveLength(1);
  });
});

describe('the budget of bytes', () => {
  it('is bounded per org and in all, and given back', () => {
    const budget = new ByteBudget({ perOrg: 100, total: 150 });
    const [a, b] = [budget.open('a'), budget.open('b')];
    a.take(60);
    a.take(40);
    expect(() => a.take(1)).toThrow(Problem);
    expect(() => budget.open('a').take(1)).toThrow(/org/);
    b.take(50);
    expect(() => b.take(1)).toThrow(/server/);
    a.release();
    a.release();
    b.take(50);
    expect(() => b.take(1)).toThrow(/org/);
    b.release();
    budget.open('a').take(100);
  });
});
