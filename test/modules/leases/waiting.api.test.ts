import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sweepStalled } from '../../../src/modules/loops/index.ts';
import { withClient } from '../../support/database.ts';
import { untilBlocked } from '../../support/locks.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { newRunner, type Runner, runnerOf } from './support.ts';

let server: TestServer;
let other: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  other = await startTestServer({ database: server.database });
});
afterAll(async () => {
  await other?.close();
  await server?.close();
});

const via = (runner: Runner, at: TestServer) =>
  runnerOf(
    { ...runner.caller, ...at.caller(runner.caller.secret), memberId: runner.caller.memberId },
    runner.loopId,
    runner.runId,
  );

/** Asks for a lease and leaves with a ticket, at once. */
async function queue(runner: Runner, body: Record<string, unknown>, headers?: Record<string, string>): Promise<string> {
  const reply = await runner.acquire({ waitSeconds: 0.001, ...body }, headers);
  expect(reply.status).toBe(202);
  return reply.body.ticket.id as string;
}

const ticketOf = async (runner: Runner, id: string, waitSeconds = 0) =>
  (await runner.caller.get(`/lease-tickets/${id}?waitSeconds=${waitSeconds}`)).body;
const release = (runner: Runner, lease: { id: string; fence: number }) =>
  runner.caller.post(`/leases/${lease.id}/release`, { fence: lease.fence });
const finish = (runner: Runner) =>
  runner.caller.post(`/runs/${runner.runId}/finish`, { epoch: 1, outcome: { status: 'succeeded' } });

async function held(runner: Runner, body: Record<string, unknown>): Promise<{ id: string; fence: number }> {
  const reply = await runner.acquire(body);
  expect(reply.status).toBe(201);
  return reply.body.lease as { id: string; fence: number };
}

async function crew(count: number): Promise<[TestOrg, ...Runner[]]> {
  const org = await server.newOrg();
  return [org, ...(await Promise.all(Array.from({ length: count }, () => newRunner(org))))];
}

describe('waiting for a lease', () => {
  it('holds the request open until the path is free, also when another server frees it', async () => {
    const [org, ann, bob] = await crew(2);
    for (const at of [server, other]) {
      const lease = await held(ann!, { paths: ['a.ts'] });
      const waiting = bob!.acquire({ paths: ['a.ts'], waitSeconds: 30, purpose: 'mine next' });
      await until(async () => (await org.events()).some(({ kind }) => kind === 'lease.queued'));
      expect((await release(via(ann!, at), lease)).status).toBe(200);
      const got = await waiting;
      expect(got).toMatchObject({ status: 201, body: { lease: { paths: ['a.ts'], purpose: 'mine next' } } });
      expect(got.body.lease.fence).toBeGreaterThan(lease.fence);
      await release(bob!, got.body.lease);
    }
  });

  it('answers 202 with a ticket after its time; the ticket is granted later, and told in the log', async () => {
    const [org, ann, bob] = await crew(2);
    const lease = await held(ann!, { paths: ['a.ts'] });
    const reply = await bob!.acquire({ paths: ['a.ts', 'b.ts'], waitSeconds: 0.05 });
    expect(reply).toMatchObject({
      status: 202,
      body: {
        ticket: {
          status: 'waiting',
          position: 1,
          lease: null,
          paths: ['a.ts', 'b.ts'],
          conflicts: [{ leaseId: lease.id }],
        },
      },
    });
    const { id } = reply.body.ticket;
    expect(reply.headers.get('location')).toBe(`/api/v1/lease-tickets/${id}`);
    const seen = ticketOf(bob!, id, 30);
    await release(ann!, lease);
    expect(await seen).toMatchObject({
      id,
      status: 'granted',
      position: null,
      lease: { paths: ['a.ts', 'b.ts'], state: 'live' },
    });
    const events = (await org.events()).filter(({ kind }) => kind.startsWith('lease.'));
    expect(
      events.map(({ kind, subject, data }) => [kind, subject.kind === 'ticket' ? subject.id : data['ticketId']]),
    ).toEqual([
      ['lease.granted', null],
      ['lease.queued', id],
      ['lease.released', undefined],
      ['lease.granted', id],
    ]);
  });

  it('survives a restart of the server: another one grants it', async () => {
    const [, ann, bob] = await crew(2);
    const third = await startTestServer({ database: server.database });
    const lease = await held(ann!, { paths: ['a.ts'] });
    const held30 = via(bob!, third).acquire({ paths: ['a.ts'], waitSeconds: 30 });
    await until(async () => (await waiters(bob!)) > 0);
    await third.close();
    const reply = await held30;
    expect(reply.status).toBe(202);
    await release(ann!, lease);
    expect(await ticketOf(bob!, reply.body.ticket.id, 10)).toMatchObject({ status: 'granted' });
  });

  it('is granted when the lease in its way runs out, after the lock delay, without anybody asking', async () => {
    // A database of its own, and no housekeeping: nobody looks but because of the alarm.
    const alone = await startTestServer({ start: false });
    try {
      const org = await alone.newOrg();
      await org.admin.patch('/org/settings', { lockDelaySeconds: 1 });
      const [ann, bob] = [await newRunner(org), await newRunner(org)];
      const lease = await held(ann, { paths: ['a.ts'], ttlSeconds: 5 });
      await alone.sql(`UPDATE lease SET expires_at = clock_timestamp() + interval '300 ms' WHERE id = $1`, [lease.id]);
      const reply = await bob.acquire({ paths: ['a.ts'], waitSeconds: 25 });
      expect(reply.status).toBe(201);
      const [gap] = await alone.sql<{ ms: number }>(
        `SELECT (extract(epoch FROM n.granted_at - o.expires_at) * 1000)::float8 AS ms FROM lease n, lease o WHERE n.id = $1 AND o.id = $2`,
        [reply.body.lease.id, lease.id],
      );
      expect(gap!.ms).toBeGreaterThanOrEqual(1000);
    } finally {
      await alone.close();
    }
  });

  it('serves overlapping requests in order, lets disjoint ones pass, and does not starve a wide pattern', async () => {
    const [, ann, wide, narrow, far] = await crew(4);
    const lease = await held(ann!, { paths: ['src/a.ts'] });
    const first = await queue(wide!, { patterns: ['src/**'] });
    // Free, but the wide pattern asked first.
    expect(await narrow!.acquire({ paths: ['src/b.ts'] })).toMatchObject({
      status: 409,
      body: {
        code: 'lease_conflict',
        conflicts: [
          { leaseId: null, ticketId: first, witness: 'src/b.ts', held: 'src/**', queueLength: 1, expiresAt: null },
        ],
      },
    });
    const second = await queue(narrow!, { paths: ['src/b.ts'] });
    expect((await far!.acquire({ paths: ['docs/b.md'] })).status).toBe(201);
    expect(await ticketOf(narrow!, second)).toMatchObject({ position: 2, conflicts: [{ ticketId: first }] });
    await release(ann!, lease);
    const granted = await ticketOf(wide!, first, 10);
    expect(granted).toMatchObject({ status: 'granted' });
    expect(await ticketOf(narrow!, second)).toMatchObject({
      status: 'waiting',
      conflicts: [{ leaseId: granted.lease.id }],
    });
    await release(wide!, granted.lease);
    expect(await ticketOf(narrow!, second, 10)).toMatchObject({ status: 'granted' });
  });

  it('lets shared waiters in together, and keeps an exclusive one before later shared ones', async () => {
    const [, ann, bob, cid, dora] = await crew(4);
    const lease = await held(ann!, { paths: ['a'] });
    const [b, c] = [
      await queue(bob!, { paths: ['a'], mode: 'shared' }),
      await queue(cid!, { paths: ['a'], mode: 'shared' }),
    ];
    await release(ann!, lease);
    const [one, two] = [await ticketOf(bob!, b, 10), await ticketOf(cid!, c, 10)];
    expect([one.status, two.status]).toEqual(['granted', 'granted']);
    const exclusive = await queue(dora!, { paths: ['a'] });
    expect((await ann!.acquire({ paths: ['a'], mode: 'shared' })).body.conflicts).toMatchObject([
      { ticketId: exclusive },
    ]);
    await release(bob!, one.lease);
    expect((await ticketOf(dora!, exclusive)).status).toBe('waiting');
    await release(cid!, two.lease);
    expect((await ticketOf(dora!, exclusive, 10)).status).toBe('granted');
  });

  it('a line is served one by one, in order', async () => {
    const [, ...runners] = await crew(6);
    const lease = await held(runners[0]!, { resources: ['port:5432'] });
    const line: { runner: Runner; id: string }[] = [];
    for (let n = 0; n < 5; n += 1) {
      const runner = runners[1 + n]!;
      line.push({ runner, id: await queue(runner, { resources: ['port:5432'] }) });
    }
    await release(runners[0]!, lease);
    let last = lease.fence;
    for (const [at, { runner, id }] of line.entries()) {
      const ticket = await ticketOf(runner, id, 10);
      expect(ticket.status).toBe('granted');
      expect(ticket.lease.fence).toBeGreaterThan(last);
      last = ticket.lease.fence;
      for (const later of line.slice(at + 1)) expect((await ticketOf(later.runner, later.id)).status).toBe('waiting');
      await release(runner, ticket.lease);
    }
  });
});

describe('in one batch', () => {
  it('a lease that is released right after somebody begins to wait for it still lets them in', async () => {
    for (let round = 0; round < 5; round += 1) {
      const [, ann, bob] = await crew(2);
      const lease = await held(ann!, { paths: ['a'] });
      // Both gather while the batch before them commits.
      const [, reply] = await Promise.all([
        ann!.acquire({ paths: ['z'] }),
        bob!.acquire({ paths: ['a'], waitSeconds: 20 }),
        release(ann!, lease),
      ]);
      expect(reply.status).toBe(201);
    }
  });

  it('of many who ask at once each gets a turn, in the order of the log', async () => {
    const [org, ann, ...others] = await crew(7);
    const lease = await held(ann!, { paths: ['a'] });
    const turns = others.map(async (runner) => {
      const reply = await via(runner, server).acquire({ paths: ['a'], waitSeconds: 60 });
      expect(reply.status).toBe(201);
      await release(runner, reply.body.lease);
    });
    await until(
      async () => (await org.events()).filter(({ kind }) => kind === 'lease.queued').length === others.length,
    );
    await release(ann!, lease);
    await Promise.all(turns);
    const events = await org.events();
    const queued = events.filter(({ kind }) => kind === 'lease.queued').map(({ subject }) => subject.id);
    const granted = events
      .filter(({ data }) => typeof data['ticketId'] === 'string')
      .map(({ data }) => data['ticketId']);
    expect(granted).toEqual(queued);
  });
});

describe('a wait that ends otherwise', () => {
  it('cancelling leaves the line, and lets those behind go on', async () => {
    const [org, ann, wide, narrow, eve] = await crew(4);
    const lease = await held(ann!, { paths: ['src/a.ts'] });
    const first = await queue(wide!, { patterns: ['src/**'] });
    const second = await queue(narrow!, { paths: ['src/b.ts'] });
    expect(await eve!.caller.delete(`/lease-tickets/${first}`)).toMatchObject({
      status: 403,
      body: { code: 'not_your_run' },
    });
    expect(await wide!.caller.delete(`/lease-tickets/${first}`)).toMatchObject({
      status: 200,
      body: { id: first, status: 'cancelled', reason: 'cancelled' },
    });
    expect(await ticketOf(narrow!, second, 10)).toMatchObject({ status: 'granted' });
    for (const id of [first, second]) {
      const runner = id === first ? wide! : narrow!;
      expect(await runner.caller.delete(`/lease-tickets/${id}`)).toMatchObject({
        status: 409,
        body: { code: 'ticket_settled' },
      });
    }
    await release(ann!, lease);
    expect((await ticketOf(wide!, first)).status).toBe('cancelled');
    expect((await org.events()).filter(({ kind }) => kind === 'lease.wait_ended')).toMatchObject([
      { data: { reason: 'cancelled' } },
    ]);
  });

  it('a client that hangs up gives up its place, unless a key leads back to it', async () => {
    const [, ann, bob, cid] = await crew(3);
    const lease = await held(ann!, { paths: ['a'] });
    const key = randomUUID();
    const hangUp = new AbortController();
    const ask = (runner: Runner, headers: Record<string, string>) =>
      fetch(`${server.url}/api/v1/leases`, {
        method: 'POST',
        signal: hangUp.signal,
        headers: { authorization: `Bearer ${runner.caller.secret}`, 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ repo: 'acme/shop', runId: runner.runId, paths: ['a'], waitSeconds: 30 }),
      }).catch(() => undefined);
    const asked = [ask(bob!, {}), ask(cid!, { 'idempotency-key': key })];
    await until(async () => (await waiters(bob!)) + (await waiters(cid!)) === 2);
    hangUp.abort();
    await Promise.all(asked);
    await until(async () => (await waiters(bob!)) === 0);
    expect(await waiters(cid!)).toBe(1);
    await release(ann!, lease);
    // Asked again under its key, it gets what came of the first request.
    const replies = await Promise.all(
      Array.from({ length: 2 }, () => cid!.acquire({ paths: ['a'], waitSeconds: 30 }, { 'idempotency-key': key })),
    );
    expect(replies.map(({ status }) => status)).toEqual([201, 201]);
    expect(replies[0]!.body).toEqual(replies[1]!.body);
    expect(await server.sql(`SELECT 1 FROM lease WHERE run_id = $1`, [cid!.runId])).toHaveLength(1);
  });

  it('a run that has finished gets nothing, and is in nobody’s way', async () => {
    const [, ann, bob, cid] = await crew(3);
    const lease = await held(ann!, { paths: ['a'] });
    const [b, c] = [await queue(bob!, { paths: ['a', 'b'] }), await queue(cid!, { paths: ['b'] })];
    expect((await finish(bob!)).status).toBe(200);
    expect(await ticketOf(bob!, b)).toMatchObject({ status: 'ended', reason: 'run_ended' });
    expect(await ticketOf(cid!, c, 10)).toMatchObject({ status: 'granted' });
    await release(ann!, lease);
    expect(await server.sql('SELECT 1 FROM lease WHERE run_id = $1', [bob!.runId])).toEqual([]);
  });

  it('a run that finishes its leases lets the next one in', async () => {
    const [, ann, bob] = await crew(2);
    await held(ann!, { paths: ['a'] });
    const id = await queue(bob!, { paths: ['a'] });
    await finish(ann!);
    expect(await ticketOf(bob!, id, 10)).toMatchObject({ status: 'granted' });
  });

  it('a silent run is passed over, and has its place back once it is heard of', async () => {
    const [org, ann, bob, cid] = await crew(3);
    const lease = await held(ann!, { paths: ['a'] });
    const [b, c] = [await queue(bob!, { paths: ['a'] }), await queue(cid!, { paths: ['a'] })];
    await server.sql(`UPDATE run SET last_beat_at = clock_timestamp() - interval '1 hour' WHERE id = $1`, [bob!.runId]);
    await sweepStalled(server.signalbox.services.db, org.id);
    await release(ann!, lease);
    const got = await ticketOf(cid!, c, 10);
    expect(got.status).toBe('granted');
    expect(await server.sql('SELECT status FROM lease_waiter WHERE id = $1', [b])).toEqual([{ status: 'waiting' }]);
    // Asking about the ticket is a beat.
    expect((await ticketOf(bob!, b)).status).toBe('waiting');
    await release(cid!, got.lease);
    await server.signalbox.services.line.sweep(org.id);
    expect(await ticketOf(bob!, b, 10)).toMatchObject({ status: 'granted' });
  });

  it('a ticket whose key was revoked ends without a lease', async () => {
    const [org, ann, bob] = await crew(2);
    const lease = await held(ann!, { paths: ['a'] });
    const id = await queue(bob!, { paths: ['a'] });
    const [key] = await server.sql<{ id: string }>(
      `SELECT principal ->> 'keyId' AS id FROM lease_waiter WHERE id = $1`,
      [id],
    );
    expect((await org.admin.delete(`/api-keys/${key!.id}`)).status).toBe(200);
    await release(ann!, lease);
    await until(async () => (await waiters(bob!)) === 0);
    expect((await org.admin.get(`/lease-tickets/${id}`)).body).toMatchObject({
      status: 'ended',
      reason: 'key_revoked',
    });
  });

  it('while a halt is over it, nothing is granted; once it is lifted, it is', async () => {
    const [org, ann, bob] = await crew(2);
    const lease = await held(ann!, { paths: ['a'] });
    const id = await queue(bob!, { paths: ['a'] });
    const halt = await org.admin.post('/halts', { scope: { kind: 'loop', id: bob!.loopId }, reason: 'stop' });
    await release(ann!, lease);
    await server.signalbox.services.line.sweep(org.id);
    expect((await ticketOf(bob!, id)).status).toBe('waiting');
    await org.admin.delete(`/halts/${halt.body.id}`);
    await server.signalbox.services.line.sweep(org.id);
    expect((await ticketOf(bob!, id, 10)).status).toBe('granted');
  });
});

describe('the sweep', () => {
  it('grants what nobody was woken for: a server may die between a release and the look', async () => {
    const [org, ann, bob] = await crew(2);
    await held(ann!, { paths: ['a'] });
    const id = await queue(bob!, { paths: ['a'] });
    // Ended behind everybody's back, as by a server that died right after its commit.
    await server.sql(`UPDATE lease SET ended_at = clock_timestamp(), end_reason = 'released' WHERE run_id = $1`, [
      ann!.runId,
    ]);
    await other.signalbox.services.line.sweep(org.id);
    expect((await ticketOf(bob!, id, 10)).status).toBe('granted');
  });

  it('ends tickets whose run is silent for a day, and forgets settled ones after two', async () => {
    const [org, ann, bob, cid] = await crew(3);
    await held(ann!, { paths: ['a'] });
    const [b, c] = [await queue(bob!, { paths: ['a'] }), await queue(cid!, { paths: ['a'] })];
    await cid!.caller.delete(`/lease-tickets/${c}`);
    await server.sql(`UPDATE lease_waiter SET settled_at = settled_at - interval '49 hours' WHERE id = $1`, [c]);
    await server.sql(
      `UPDATE run SET status = 'stalled', last_beat_at = last_beat_at - interval '25 hours' WHERE id = $1`,
      [bob!.runId],
    );
    await server.signalbox.services.line.sweep(org.id);
    expect((await org.admin.get(`/lease-tickets/${b}`)).body).toMatchObject({ status: 'ended', reason: 'abandoned' });
    expect((await org.admin.get(`/lease-tickets/${c}`)).status).toBe(404);
    expect((await org.admin.get('/lease-tickets')).body.items).toEqual([]);
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
    await release(bob!, b);
    await until(async () => (await waiters(ann!)) === 0);
    expect((await cid!.acquire({ paths: ['a'], waitSeconds: 0.01 })).status).toBe(202);
  });

  it('also between two repos, when both begin to wait at the same moment on two servers', async () => {
    const [org, ann, bob] = await crew(2);
    await held(ann!, { repo: 'acme/one', paths: ['a'] });
    await held(bob!, { repo: 'acme/two', paths: ['b'] });
    const replies = await withClient(server.database.url, async (client) => {
      // With the head taken, both decide before either can write.
      await client.query('BEGIN');
      await client.query('SELECT 1 FROM org_head WHERE org_id = $1 FOR UPDATE', [org.id]);
      const asked = Promise.all([
        ann!.acquire({ repo: 'acme/two', paths: ['b'], waitSeconds: 0.1 }),
        via(bob!, other).acquire({ repo: 'acme/one', paths: ['a'], waitSeconds: 0.1 }),
      ]);
      await untilBlocked(server, 'hot_write', 2);
      await client.query('COMMIT');
      return asked;
    });
    expect(replies.map(({ status }) => status).toSorted((x, y) => x - y)).toEqual([202, 409]);
    expect(replies.find(({ status }) => status === 409)!.body.code).toBe('lease_deadlock');
  });

  it('two that hold a path shared cannot both wait to have it for themselves; one can, before others who wait', async () => {
    const [, ann, bob, cid] = await crew(3);
    const a = await held(ann!, { paths: ['x'], mode: 'shared' });
    const b = await held(bob!, { paths: ['x'], mode: 'shared' });
    const c = await queue(cid!, { paths: ['x'] });
    const upgrade = await queue(ann!, { paths: ['x'] });
    expect((await bob!.acquire({ paths: ['x'], waitSeconds: 5 })).body.code).toBe('lease_deadlock');
    await release(bob!, b);
    expect(await ticketOf(ann!, upgrade, 10)).toMatchObject({ status: 'granted' });
    expect((await ticketOf(cid!, c)).status).toBe('waiting');
    expect((await ann!.caller.get(`/leases/${a.id}`)).body.state).toBe('over');
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
});

describe('an admission that waits', () => {
  it('is decided when its turn comes, with its lease, in its place in the line', async () => {
    const [org, ann, bob, cid] = await crew(3);
    const lease = await held(ann!, { paths: ['a'] });
    const admitted = bob!.admit({ paths: ['a'], waitSeconds: 30 });
    await until(async () => (await waiters(bob!)) === 1);
    const behind = await queue(cid!, { paths: ['a'] });
    expect((await org.events()).filter(({ kind }) => kind === 'decision.recorded')).toEqual([]);
    await release(ann!, lease);
    const reply = await admitted;
    expect(reply).toMatchObject({ status: 200, body: { outcome: 'allow', lease: { paths: ['a'] } } });
    expect((await org.events()).filter(({ kind }) => kind === 'decision.recorded')).toHaveLength(1);
    expect((await ticketOf(cid!, behind)).conflicts).toMatchObject([{ leaseId: reply.body.lease.id }]);
  });

  it('answers wait after its time and keeps nothing, not even its place', async () => {
    const [org, ann, bob, cid] = await crew(3);
    const lease = await held(ann!, { paths: ['a'] });
    const reply = await bob!.admit({ paths: ['a'], waitSeconds: 0.2 });
    expect(reply).toMatchObject({ status: 200, body: { outcome: 'wait', conflicts: [{ leaseId: lease.id }] } });
    expect(await waiters(bob!)).toBe(0);
    expect((await org.events()).filter(({ kind }) => kind === 'decision.recorded')).toEqual([]);
    await release(ann!, lease);
    expect((await cid!.acquire({ paths: ['a'] })).status).toBe(201);
  });

  it('that joined a request for the lease itself leaves that in the line when it gives up', async () => {
    const [, ann, bob] = await crew(2);
    const lease = await held(ann!, { paths: ['a'] });
    const id = await queue(bob!, { paths: ['a'] });
    expect((await bob!.admit({ paths: ['a'], waitSeconds: 0.1 })).body.outcome).toBe('wait');
    expect((await ticketOf(bob!, id)).status).toBe('waiting');
    const admitted = bob!.admit({ paths: ['a'], waitSeconds: 20 });
    await release(ann!, lease);
    expect((await admitted).body).toMatchObject({ outcome: 'allow' });
    expect((await ticketOf(bob!, id)).lease.id).toBe((await admitted).body.lease.id);
  });

  it('whose server died holds nobody up for long', async () => {
    const [, ann, bob, cid] = await crew(3);
    const lease = await held(ann!, { paths: ['a'] });
    const admitted = bob!.admit({ paths: ['a'], waitSeconds: 3 });
    await until(async () => (await waiters(bob!)) === 1);
    // As if nobody had been heard of since.
    await server.sql(
      `UPDATE lease_waiter SET held_until = clock_timestamp() - interval '2 minutes' WHERE run_id = $1`,
      [bob!.runId],
    );
    await release(ann!, lease);
    expect((await cid!.acquire({ paths: ['a'] })).status).toBe(201);
    expect((await admitted).body.outcome).toBe('wait');
  });

  it('is refused where it would close a cycle', async () => {
    const [, ann, bob] = await crew(2);
    await held(ann!, { paths: ['a'] });
    await held(bob!, { paths: ['b'] });
    await queue(ann!, { paths: ['b'] });
    expect(await bob!.admit({ paths: ['a'], waitSeconds: 5 })).toMatchObject({
      status: 409,
      body: { code: 'lease_deadlock' },
    });
  });
});

async function waiters(runner: Runner): Promise<number> {
  return (await server.sql(`SELECT 1 FROM lease_waiter WHERE run_id = $1 AND status = 'waiting'`, [runner.runId]))
    .length;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('it did not come to that');
}
