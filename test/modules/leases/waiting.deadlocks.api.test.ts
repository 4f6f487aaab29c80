import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { withClient } from '../../support/database.ts';
import { holding, untilBlocked } from '../../support/locks.ts';
import type { TestOrg } from '../../support/server.ts';
import { held, queue, ticketOf, until, waitingLine } from './line.ts';
import { expiredFor, give, type Runner, through } from './support.ts';

const { crew, pair, waiters } = waitingLine();

const KEPT = `INSERT INTO idempotency (org_id, key_id, key, operation, fingerprint, status, created_at)
  VALUES ($1, $2, $3, '', '', 200, now())`;

describe('a lease of which only the lock delay still runs', () => {
  it('closes no cycle: it comes free whatever its run does', async () => {
    const [, ann, bob] = await crew(2);
    const lease = await held(ann!, { paths: ['x'] });
    await queue(bob!, { paths: ['x'] });
    await expiredFor(pair.server, lease.id, 1);
    expect((await ann!.acquire({ paths: ['x'], waitSeconds: 0.01 })).status).toBe(202);
  });
});

describe('a standstill that no wait has begun', () => {
  const statuses = async (org: TestOrg, ids: string[]) =>
    Promise.all(ids.map(async (id) => (await org.admin.get(`/lease-tickets/${id}`)).body));
  const watchedBy = async (id: string) =>
    (await pair.server.sql<{ by: string }>('SELECT blocked_by AS by FROM lease_waiter WHERE id = $1', [id]))[0]!.by;
  const sweep = (org: TestOrg) => pair.server.signalbox.services.line.sweep(org.id);

  it('of who let go what others waited for behind it is broken up: its youngest ticket ends', async () => {
    const [org, ann, eve, guy] = await crew(3);
    const x = await held(ann!, { paths: ['x'] });
    await held(ann!, { paths: ['z'] });
    const y = await held(guy!, { paths: ['y'] });
    const ex = await queue(eve!, { paths: ['x'] });
    const ez = await queue(eve!, { paths: ['z'] });
    // Passes eve, who waits for ann's own x.
    const axy = await queue(ann!, { paths: ['x', 'y'] });
    await give(ann!, x);
    await until(async () => (await ticketOf(eve!, ex)).status === 'granted');
    await give(guy!, y);
    const { lease } = await ticketOf(eve!, ex);
    await until(async () => (await watchedBy(axy)) === lease.id);
    // Seen for the first time, it may be none any more in the next moment.
    await sweep(org);
    expect((await statuses(org, [axy, ez])).map(({ status }) => status)).toEqual(['waiting', 'waiting']);
    await sweep(org);
    expect(await statuses(org, [axy, ez])).toMatchObject([
      { status: 'ended', reason: 'deadlock' },
      { status: 'waiting' },
    ]);
  });

  const silence = ({ runId }: Runner) =>
    pair.server.sql(
      `UPDATE run SET status = 'stalled', last_beat_at = clock_timestamp() - interval '20 minutes' WHERE id = $1`,
      [runId],
    );

  /** Ann has come to hold what a silent one waits for, and waits for what that one holds. */
  async function acrossASilentRun() {
    const [org, ann, cid, dan] = await crew(3);
    await held(cid!, { paths: ['z'] });
    const before = await held(dan!, { paths: ['y'] });
    const tc = await queue(cid!, { paths: ['y'] });
    await silence(cid!);
    const ta = await queue(ann!, { paths: ['z'] });
    await give(dan!, before);
    return { org, cid: cid!, tickets: [tc, ta], y: await held(ann!, { paths: ['y'] }) };
  }

  it('of who was silent and came back is, too', async () => {
    const { org, cid, tickets } = await acrossASilentRun();
    await cid.caller.post(`/runs/${cid.runId}/heartbeat`, { epoch: 1 });
    for (let pass = 0; pass < 4; pass += 1) await sweep(org);
    expect(await statuses(org, tickets)).toMatchObject([
      { status: 'waiting' },
      { status: 'ended', reason: 'deadlock' },
    ]);
  });

  it('of who is silent again is none: what it holds will expire', async () => {
    const { org, cid, tickets, y } = await acrossASilentRun();
    await cid.caller.post(`/runs/${cid.runId}/heartbeat`, { epoch: 1 });
    await sweep(org);
    expect(await watchedBy(tickets[0]!)).toBe(y.id);
    await silence(cid);
    for (let pass = 0; pass < 3; pass += 1) await sweep(org);
    expect((await statuses(org, tickets)).map(({ status }) => status)).toEqual(['waiting', 'waiting']);
  });

  it('over a lease of which only the lock delay still runs is none', async () => {
    const [org, ann, bob] = await crew(2);
    const lease = await held(ann!, { paths: ['x'] });
    const tickets = [await queue(bob!, { paths: ['x'] })];
    await expiredFor(pair.server, lease.id, 1);
    tickets.push(await queue(ann!, { paths: ['x'] }));
    for (let pass = 0; pass < 3; pass += 1) await sweep(org);
    expect((await statuses(org, tickets)).map(({ status }) => status)).toEqual(['waiting', 'waiting']);
  });

  it('is none when what one of them waits for is given back as the sweep comes to it', async () => {
    const [org, ann, bob] = await crew(2);
    const [a] = [await held(ann!, { paths: ['a'] }), await held(bob!, { paths: ['b'] })];
    const first = await queue(ann!, { paths: ['b'] });
    const is = (status: string) =>
      pair.server.sql('UPDATE lease_waiter SET status = $2 WHERE id = $1', [first, status]);
    // No wait closes a cycle that anybody can see.
    await is('ended');
    const second = await queue(bob!, { paths: ['a'] });
    await is('waiting');
    const look = () => pair.other.signalbox.services.line.sweep(org.id);
    await look();
    await withClient(pair.server.database.url, async (client) => {
      const lock = await holding(client, 'SELECT FROM org_head WHERE org_id = $1 FOR UPDATE', [org.id]);
      const given = give(ann!, a);
      await untilBlocked(pair.server, 'hot_');
      const swept = look();
      await untilBlocked(pair.server, '', 2);
      await lock.free();
      await Promise.all([given, swept]);
    });
    expect(await ticketOf(bob!, second, 5)).toMatchObject({ status: 'granted' });
  });

  it('is none where somebody in it goes on', async () => {
    const [org, ann, bob, cid] = await crew(3);
    await held(ann!, { paths: ['a'] });
    const tickets = [await queue(bob!, { paths: ['a'] }), await queue(cid!, { paths: ['a'] })];
    for (let pass = 0; pass < 3; pass += 1) await sweep(org);
    expect((await statuses(org, tickets)).map(({ status }) => status)).toEqual(['waiting', 'waiting']);
  });
});

describe('deadlocks', () => {
  it('a wait that would close a cycle is refused at once, with the cycle written out', async () => {
    const [, ann, bob, cid] = await crew(3);
    await held(ann!, { paths: ['a'] });
    const b = await held(bob!, { paths: ['b'] });
    await held(cid!, { paths: ['c'] });
    await queue(ann!, { paths: ['b'] });
    await queue(bob!, { paths: ['c'] });
    const started = Date.now();
    const refused = await cid!.acquire({ patterns: ['{a,x}'], waitSeconds: 30 });
    expect(Date.now() - started).toBeLessThan(5000);
    expect(refused).toMatchObject({
      status: 409,
      body: {
        code: 'lease_deadlock',
        cycle: [
          { runId: cid!.runId, witness: 'a', waitsFor: { runId: ann!.runId }, over: 'lease' },
          { runId: ann!.runId, witness: 'b', waitsFor: { runId: bob!.runId } },
          { runId: bob!.runId, witness: 'c', waitsFor: { runId: cid!.runId } },
        ],
      },
    });
    expect(await waiters(cid!)).toBe(0);
    // Not a cycle once somebody lets go.
    await give(bob!, b);
    await until(async () => (await waiters(ann!)) === 0);
    expect((await cid!.acquire({ paths: ['a'], waitSeconds: 0.01 })).status).toBe(202);
  });

  it('also between two repos, when both begin to wait at the same moment on two servers', async () => {
    const [org, ann, bob] = await crew(2);
    await held(ann!, { repo: 'acme/one', paths: ['a'] });
    await held(bob!, { repo: 'acme/two', paths: ['b'] });
    const replies = await withClient(pair.server.database.url, async (client) => {
      // With the head taken, both decide before either can write.
      await client.query('BEGIN');
      await client.query('SELECT 1 FROM org_head WHERE org_id = $1 FOR UPDATE', [org.id]);
      const asked = Promise.all([
        ann!.acquire({ repo: 'acme/two', paths: ['b'], waitSeconds: 0.1 }),
        through(pair.other, bob!).acquire({ repo: 'acme/one', paths: ['a'], waitSeconds: 0.1 }),
      ]);
      await untilBlocked(pair.server, 'hot_write', 2);
      await client.query('COMMIT');
      return asked;
    });
    expect(replies.map(({ status }) => status).toSorted((x, y) => x - y)).toEqual([202, 409]);
    expect(replies.find(({ status }) => status === 409)!.body.code).toBe('lease_deadlock');
  });

  it('also when a run that held nothing as its wait began holds something by the time it is written', async () => {
    const [org, ann, bob] = await crew(2);
    await held(bob!, { repo: 'acme/one', paths: ['x'] });
    const key = randomUUID();
    const reply = await withClient(pair.server.database.url, async (client) => {
      // Whoever keeps an answer under this key waits for whoever else does.
      await client.query('BEGIN');
      await client.query(KEPT, [org.id, ann!.caller.keyId, key]);
      const asked = ann!.acquire({ repo: 'acme/one', paths: ['x'], waitSeconds: 0.1 }, { 'idempotency-key': key });
      await untilBlocked(pair.server, 'hot_write');
      await held(through(pair.other, ann!), { repo: 'acme/two', paths: ['y'] });
      await queue(through(pair.other, bob!), { repo: 'acme/two', paths: ['y'] });
      await client.query('ROLLBACK');
      return asked;
    });
    expect(reply).toMatchObject({ status: 409, body: { code: 'lease_deadlock' } });
  });

  it('also with a run that is silent now: it may be heard of again', async () => {
    const [, ann, bob] = await crew(2);
    await held(ann!, { paths: ['a'] });
    await held(bob!, { paths: ['b'] });
    await queue(ann!, { paths: ['b'] });
    await pair.server.sql(`UPDATE run SET status = 'stalled' WHERE id = $1`, [ann!.runId]);
    expect((await bob!.acquire({ paths: ['a'], waitSeconds: 5 })).body.code).toBe('lease_deadlock');
  });

  it('two that hold a path shared cannot both wait to have it for themselves; one can, before others who wait', async () => {
    const [, ann, bob, cid] = await crew(3);
    const a = await held(ann!, { paths: ['x'], mode: 'shared' });
    const b = await held(bob!, { paths: ['x'], mode: 'shared' });
    const c = await queue(cid!, { paths: ['x'] });
    const upgrade = await queue(ann!, { paths: ['x'] });
    expect((await bob!.acquire({ paths: ['x'], waitSeconds: 5 })).body.code).toBe('lease_deadlock');
    await give(bob!, b);
    expect(await ticketOf(ann!, upgrade, 10)).toMatchObject({ status: 'granted' });
    expect((await ticketOf(cid!, c)).status).toBe('waiting');
    expect((await ann!.caller.get(`/leases/${a.id}`)).body.state).toBe('over');
  });

  it('also over a place in line, whoever holds what the line is for', async () => {
    const [, ann, bob, cid] = await crew(3);
    await held(cid!, { paths: ['x'] });
    await queue(ann!, { paths: ['x'] });
    await held(bob!, { paths: ['y'] });
    await queue(bob!, { patterns: ['x*'] });
    expect((await ann!.acquire({ paths: ['y'], waitSeconds: 5 })).body).toMatchObject({
      code: 'lease_deadlock',
      cycle: [
        { runId: ann!.runId, witness: 'y', waitsFor: { runId: bob!.runId }, over: 'lease' },
        { runId: bob!.runId, witness: 'x', waitsFor: { runId: ann!.runId }, over: 'ticket' },
      ],
    });
  });

  it('not with whoever passes it: a run stands behind nobody for what it holds', async () => {
    const [, ann, bob, cid] = await crew(3);
    await held(ann!, { paths: ['x'], mode: 'shared' });
    await held(bob!, { paths: ['x'], mode: 'shared' });
    await held(ann!, { paths: ['y'] });
    await queue(cid!, { paths: ['x'] });
    await queue(ann!, { paths: ['x'] });
    expect((await cid!.acquire({ paths: ['y'], waitSeconds: 0.01 })).status).toBe(202);
  });

  it('a run joins its own ticket when it asks for the same again, and cannot wait behind itself', async () => {
    const [, ann, bob] = await crew(2);
    await held(ann!, { paths: ['a', 'b'] });
    const id = await queue(bob!, { paths: ['a', 'b'] });
    expect(await queue(bob!, { paths: ['b', 'a'] })).toBe(id);
    expect(await bob!.acquire({ paths: ['b'], waitSeconds: 5 })).toMatchObject({
      status: 409,
      body: { code: 'lease_wait_on_self', ticketId: id, witness: 'b' },
    });
  });

  it.each([
    ['shared', 'exclusive'],
    ['exclusive', 'shared'],
  ] as const)('who waits for it %s does not join that for it %s', async (waitedFor, wanted) => {
    const [, ann, bob] = await crew(2);
    await held(ann!, { paths: ['a'] });
    const id = await queue(bob!, { paths: ['a'], mode: waitedFor });
    expect(await bob!.acquire({ paths: ['a'], mode: wanted, waitSeconds: 5 })).toMatchObject({
      status: 409,
      body: { code: 'lease_wait_on_self', ticketId: id, witness: 'a' },
    });
  });
});
