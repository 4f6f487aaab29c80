import { describe, expect, it, vi } from 'vitest';
import { withClient } from '../../support/database.ts';
import { holding, untilBlocked } from '../../support/locks.ts';
import { held, queue, ticketOf, until, waitingLine } from './line.ts';
import { endedUnseen, give, through } from './support.ts';

const { crew, pair, waiters } = waitingLine();

const silence = (runId: string) =>
  pair.server.sql(`UPDATE run SET last_beat_at = last_beat_at - interval '2 hours', status = 'stalled' WHERE id = $1`, [
    runId,
  ]);
const ticketIdOf = async (runId: string) =>
  (await pair.server.sql<{ id: string }>('SELECT id FROM lease_waiter WHERE run_id = $1', [runId]))[0]!.id;

describe('a process that a resume replaces while it waits', () => {
  it.each(['acquire', 'admit'] as const)(
    '%s, held open: gets nothing, is told why, and is in nobody’s way',
    async (ask) => {
      const [, ann, bob, cid] = await crew(3);
      const lease = await held(ann!, { paths: ['a'] });
      const asking = bob![ask]({ paths: ['a'], waitSeconds: 20, epoch: 1 });
      await until(async () => (await waiters(bob!)) === 1);
      const behind = await queue(cid!, { paths: ['a'] });
      expect((await bob!.caller.post(`/runs/${bob!.runId}/resume`)).body.epoch).toBe(2);
      expect(await asking).toMatchObject({ status: 409, body: { code: 'epoch_stale' } });
      await give(ann!, lease);
      expect(await ticketOf(cid!, behind, 5)).toMatchObject({ status: 'granted' });
    },
  );

  it('its ticket ends, also one that the resume did not see', async () => {
    const [org, ann, bob] = await crew(2);
    const lease = await held(ann!, { paths: ['a'] });
    const seen = await queue(bob!, { paths: ['a'], epoch: 1 });
    await bob!.caller.post(`/runs/${bob!.runId}/resume`);
    expect(await ticketOf(bob!, seen)).toMatchObject({ status: 'ended', reason: 'epoch_stale' });
    const unseen = await queue(bob!, { paths: ['a'], epoch: 2 });
    // As if it had got in line in a repo that the resume had not locked.
    await pair.server.sql('UPDATE lease_waiter SET epoch = 1 WHERE id = $1', [unseen]);
    await give(ann!, lease);
    expect(await ticketOf(bob!, unseen, 5)).toMatchObject({ status: 'ended', reason: 'epoch_stale', lease: null });
    const ends = (await org.events()).filter(({ kind }) => kind === 'lease.wait_ended');
    const end = { repo: 'acme/shop', runId: bob!.runId, reason: 'epoch_stale' };
    expect(ends.map(({ data }) => data)).toEqual([end, end]);
  });

  it('the one that has replaced it gets in line anew; one that says no epoch waits on', async () => {
    const [, ann, bob, cid] = await crew(3);
    const lease = await held(ann!, { paths: ['a'] });
    const old = await queue(bob!, { paths: ['a'], epoch: 1 });
    await pair.server.sql('UPDATE run SET epoch = 2 WHERE id = $1', [bob!.runId]);
    const own = await queue(bob!, { paths: ['a'], epoch: 2 });
    expect(own).not.toBe(old);
    const any = await queue(cid!, { paths: ['a'], epoch: 1 });
    expect(await queue(cid!, { paths: ['a'] })).toBe(any);
    await cid!.caller.post(`/runs/${cid!.runId}/resume`);
    await give(ann!, lease);
    const { lease: given } = await ticketOf(bob!, own, 5);
    await give(bob!, given);
    expect(await ticketOf(cid!, any, 5)).toMatchObject({ status: 'granted' });
  });

  it('in a repo in which the resume did not see it yet: it is in nobody’s way for longer than until the next sweep', async () => {
    const [, ann, bob, cid] = await crew(3);
    await held(ann!, { paths: ['a'], ttlSeconds: 86_400 });
    const lease = await held(ann!, { paths: ['b'] });
    const ticket = await withClient(pair.server.database.url, async (client) => {
      await client.query('BEGIN');
      await client.query('SELECT FROM run WHERE id = $1 FOR UPDATE', [bob!.runId]);
      const resumed = bob!.caller.post(`/runs/${bob!.runId}/resume`);
      await untilBlocked(pair.server, 'FROM run');
      const id = await queue(bob!, { paths: ['a', 'b'], epoch: 1 });
      await client.query('COMMIT');
      expect((await resumed).body.epoch).toBe(2);
      return id;
    });
    const behind = await queue(cid!, { paths: ['b'] });
    await give(ann!, lease);
    await pair.server.signalbox.services.housekeeping.pass();
    expect(await ticketOf(bob!, ticket)).toMatchObject({ status: 'ended', reason: 'epoch_stale' });
    expect(await ticketOf(cid!, behind, 5)).toMatchObject({ status: 'granted' });
  });
});

describe('whoever merely looks at a ticket', () => {
  it('does not keep its run alive: the next one is served', async () => {
    const [org, ann, bob, cid] = await crew(3);
    const lease = await held(ann!, { paths: ['a'] });
    const [id, behind] = [await queue(bob!, { paths: ['a'] }), await queue(cid!, { paths: ['a'] })];
    await silence(bob!.runId);
    const looking = (await org.key('viewer')).get(`/lease-tickets/${id}?waitSeconds=2`);
    await until(async () => pair.server.signalbox.services.watch.waiting > 0);
    await pair.server.signalbox.services.tickets.keepHeld(org.id);
    await give(ann!, lease);
    // Found silent, it is passed over with the next look.
    await pair.server.signalbox.services.line.sweep(org.id);
    expect(await ticketOf(cid!, behind, 5)).toMatchObject({ status: 'granted' });
    expect((await looking).body).toMatchObject({ status: 'waiting' });
  });

  it('does not keep the place of an admission; who may have the lease keeps a ticket for it', async () => {
    const [org, ann, bob, cid] = await crew(3);
    await held(ann!, { paths: ['a'] });
    const admitting = bob!.admit({ paths: ['a'], waitSeconds: 3 });
    await until(async () => (await waiters(bob!)) === 1);
    const place = await ticketIdOf(bob!.runId);
    const ticket = await queue(cid!, { paths: ['a'] });
    await pair.server.sql(
      `UPDATE lease_waiter SET held_until = clock_timestamp() + interval '1 second' WHERE id = $1`,
      [place],
    );
    await pair.server.sql(`UPDATE run SET last_beat_at = last_beat_at - interval '1 minute' WHERE id = $1`, [
      cid!.runId,
    ]);
    const looks = [
      through(pair.other, bob!).caller.get(`/lease-tickets/${place}?waitSeconds=2`),
      through(pair.other, cid!).caller.get(`/lease-tickets/${ticket}?waitSeconds=2`),
    ];
    await until(async () => pair.other.signalbox.services.watch.waiting === 2);
    await pair.other.signalbox.services.tickets.keepHeld(org.id);
    const [row] = await pair.server.sql(
      `SELECT w.held_until > clock_timestamp() + interval '5 seconds' AS kept, r.last_beat_at > clock_timestamp() - interval '30 seconds' AS beaten
       FROM lease_waiter w, run r WHERE w.id = $1 AND r.id = $2`,
      [place, cid!.runId],
    );
    expect(row).toEqual({ kept: false, beaten: true });
    await Promise.all([...looks, admitting]);
  });

  it('a request for a lease that is held open has no time by which its place ends', async () => {
    const [org, ann, bob] = await crew(2);
    const lease = await held(ann!, { paths: ['a'] });
    const asking = bob!.acquire({ paths: ['a'], waitSeconds: 20 });
    await until(async () => (await waiters(bob!)) === 1);
    await pair.server.signalbox.services.tickets.keepHeld(org.id);
    expect(await pair.server.sql('SELECT held_until FROM lease_waiter WHERE run_id = $1', [bob!.runId])).toEqual([
      { held_until: null },
    ]);
    await give(ann!, lease);
    expect((await asking).status).toBe(201);
  });

  it('a request under the key of one that waits is heard of at once, not when it is answered', async () => {
    const [, ann, bob, cid] = await crew(3);
    const lease = await held(ann!, { paths: ['a'] });
    const ask = () => bob!.acquire({ paths: ['a'], waitSeconds: 20 }, { 'idempotency-key': 'once' });
    const first = ask();
    await until(async () => (await waiters(bob!)) === 1);
    await silence(bob!.runId);
    const again = ask();
    await until(async () => (await bob!.caller.get(`/runs/${bob!.runId}`)).body.status === 'running');
    const behind = await queue(cid!, { paths: ['a'] });
    await give(ann!, lease);
    const given = await first;
    expect(given).toMatchObject({ status: 201, body: { lease: { runId: bob!.runId } } });
    expect((await again).body.lease.id).toBe(given.body.lease.id);
    expect(await ticketOf(cid!, behind)).toMatchObject({ status: 'waiting' });
  });
});

describe('who waits while it may not any more', () => {
  it('by a key that was revoked while it was held open: is told nothing of the ticket', async () => {
    const [org, ann, bob] = await crew(2);
    await held(ann!, { paths: ['a'] });
    const id = await queue(bob!, { paths: ['a'] });
    const looking = bob!.caller.get(`/lease-tickets/${id}?waitSeconds=20`);
    await until(async () => pair.server.signalbox.services.watch.waiting > 0);
    expect((await org.admin.delete(`/api-keys/${bob!.caller.keyId}`)).status).toBe(200);
    expect((await org.admin.delete(`/lease-tickets/${id}`)).status).toBe(200);
    expect(await looking).toMatchObject({ status: 401, body: { code: 'unauthenticated' } });
  });

  it('by a run that is silent, though no sweep has come to it: its lease would keep everybody out', async () => {
    const [org, ann, bob] = await crew(2);
    const lease = await held(ann!, { paths: ['a'] });
    const id = await queue(bob!, { paths: ['a'] });
    await pair.server.sql(`UPDATE run SET last_beat_at = last_beat_at - interval '1 hour' WHERE id = $1`, [bob!.runId]);
    await give(ann!, lease);
    await pair.server.signalbox.services.line.sweep(org.id);
    expect((await org.admin.get(`/lease-tickets/${id}`)).body).toMatchObject({ status: 'waiting', lease: null });
    await bob!.caller.post(`/runs/${bob!.runId}/heartbeat`, { epoch: 1 });
    await pair.server.signalbox.services.line.sweep(org.id);
    expect(await ticketOf(bob!, id)).toMatchObject({ status: 'granted' });
  });
});

describe('who asks again for what it waits for', () => {
  it('gets it for as long as it was asked for at most, and for what was said last', async () => {
    const [, ann, bob] = await crew(2);
    const lease = await held(ann!, { paths: ['a'] });
    const id = await queue(bob!, { paths: ['a'], ttlSeconds: 60, purpose: 'first' });
    expect(await queue(bob!, { paths: ['a'], ttlSeconds: 3600, purpose: 'then' })).toBe(id);
    expect(await queue(bob!, { paths: ['a'], ttlSeconds: 30 })).toBe(id);
    await give(ann!, lease);
    expect((await ticketOf(bob!, id, 5)).lease).toMatchObject({ ttlSeconds: 3600, purpose: 'then' });
  });

  it('is not refused because of the place of a server that is gone', async () => {
    const [, ann, bob] = await crew(2);
    await held(ann!, { paths: ['a', 'b'] });
    const admitting = bob!.admit({ paths: ['a', 'b'], waitSeconds: 2 });
    await until(async () => (await waiters(bob!)) === 1);
    await pair.server.sql(
      `UPDATE lease_waiter SET held_until = clock_timestamp() - interval '20 seconds' WHERE run_id = $1`,
      [bob!.runId],
    );
    const elsewhere = through(pair.other, bob!);
    expect(await elsewhere.admit({ paths: ['a'], waitSeconds: 0.1 })).toMatchObject({ body: { outcome: 'wait' } });
    await admitting;
  });

  it('keeps its place when the admission with which it began has waited long enough, on another server', async () => {
    const [, ann, bob, cid] = await crew(3);
    const lease = await held(ann!, { paths: ['a'] });
    const first = bob!.admit({ paths: ['a'], waitSeconds: 1 });
    await until(async () => (await waiters(bob!)) === 1);
    const second = through(pair.other, bob!).admit({ paths: ['a'], waitSeconds: 15 });
    await until(
      async () =>
        (await pair.server.sql('SELECT FROM lease_waiter WHERE run_id = $1 AND joined', [bob!.runId])).length === 1,
    );
    const behind = await queue(cid!, { paths: ['a'] });
    expect((await first).body.outcome).toBe('wait');
    await give(ann!, lease);
    expect((await second).body.outcome).toBe('allow');
    expect(await ticketOf(cid!, behind)).toMatchObject({ status: 'waiting' });
  });

  it('a place that was joined, and that nobody is heard of in, is given up all the same', async () => {
    const [, ann, bob] = await crew(2);
    await held(ann!, { paths: ['a'] });
    const both = [1, 2].map(() => bob!.admit({ paths: ['a'], waitSeconds: 0.5 }));
    await Promise.all(both);
    const [row] = await pair.server.sql<{ seconds: number | null }>(
      `SELECT extract(epoch FROM max(held_until) - clock_timestamp())::int AS seconds FROM lease_waiter WHERE run_id = $1 AND status = 'waiting'`,
      [bob!.runId],
    );
    expect(row!.seconds ?? 0).toBeLessThanOrEqual(15);
  });
});

describe('a ticket that a sweep takes for abandoned', () => {
  it('is kept if its run is heard of before the sweep has the lock', async () => {
    const [org, ann, bob] = await crew(2);
    await held(ann!, { paths: ['a'] });
    const ticket = await queue(bob!, { paths: ['a'] });
    await pair.server.sql(
      `UPDATE run SET status = 'stalled', last_beat_at = clock_timestamp() - interval '2 days' WHERE id = $1`,
      [bob!.runId],
    );
    await withClient(pair.server.database.url, async (client) => {
      const lock = await holding(client, 'SELECT FROM repo WHERE org_id = $1 FOR UPDATE', [org.id]);
      const swept = pair.server.signalbox.services.line.sweep(org.id);
      await untilBlocked(pair.server, 'FROM repo');
      expect(await ticketOf(through(pair.other, bob!), ticket)).toMatchObject({ status: 'waiting' });
      await lock.free();
      await swept;
    });
    expect(await ticketOf(bob!, ticket)).toMatchObject({ status: 'waiting' });
  });
});

describe('a ticket that is cancelled', () => {
  it('of an admission: it does not get in line again by itself', async () => {
    const [, ann, bob] = await crew(2);
    await held(ann!, { paths: ['a'] });
    const admitting = bob!.admit({ paths: ['a'], waitSeconds: 20 });
    await until(async () => (await waiters(bob!)) === 1);
    expect((await bob!.caller.delete(`/lease-tickets/${await ticketIdOf(bob!.runId)}`)).status).toBe(200);
    expect((await admitting).body).toMatchObject({ outcome: 'wait' });
    expect(await waiters(bob!)).toBe(0);
  });

  it('by an admin, whosever it is; by nobody else’s member', async () => {
    const [org, ann, bob] = await crew(2);
    await held(ann!, { paths: ['a'] });
    const id = await queue(bob!, { paths: ['a'] });
    expect(await ann!.caller.delete(`/lease-tickets/${id}`)).toMatchObject({ status: 403 });
    expect(await org.admin.delete(`/lease-tickets/${id}`)).toMatchObject({
      status: 200,
      body: { status: 'cancelled' },
    });
  });

  it('in the batch that grants it: is told of the lease', async () => {
    const [org, ann, bob] = await crew(2);
    const lease = await held(ann!, { paths: ['a'] });
    const id = await queue(bob!, { paths: ['a'] });
    const { line, hot } = pair.server.signalbox.services;
    await endedUnseen(pair.server, lease);
    const reply = await withClient(pair.server.database.url, async (client) => {
      const row = await holding(client, 'SELECT FROM repo WHERE org_id = $1 FOR UPDATE', [org.id]);
      const first = ann!.acquire({ patterns: ['z/*'] });
      await untilBlocked(pair.server, 'FROM repo');
      // These two gather behind it.
      const submitted = vi.spyOn(hot, 'submit');
      line.freed(org.id, [lease.id]);
      await until(async () => submitted.mock.calls.length === 1);
      const cancelling = bob!.caller.delete(`/lease-tickets/${id}`);
      await until(async () => submitted.mock.calls.length === 2);
      submitted.mockRestore();
      await row.free();
      await first;
      return cancelling;
    });
    const { lease: given } = await ticketOf(bob!, id);
    expect(reply).toMatchObject({
      status: 409,
      body: { code: 'ticket_settled', ticketStatus: 'granted', leaseId: given.id },
    });
  });
});

describe('a wait that ends with an error', () => {
  it('leaves no ticket that nobody was told of; under a key it can be asked for again', async () => {
    const [, ann, bob, cid] = await crew(3);
    await held(ann!, { paths: ['a'] });
    const key = { 'idempotency-key': 'k' };
    const replies = await withClient(pair.server.database.url, async (client) => {
      await client.query('BEGIN');
      const asking = [
        bob!.acquire({ paths: ['a'], waitSeconds: 0.5 }),
        cid!.acquire({ paths: ['a'], waitSeconds: 0.5 }, key),
      ];
      await until(async () => (await waiters(bob!)) + (await waiters(cid!)) === 2);
      // To show a ticket, what is in its way is read; to end it, nothing of that.
      await client.query('LOCK TABLE lease_key IN ACCESS EXCLUSIVE MODE');
      const answers = await Promise.all(asking);
      await client.query('ROLLBACK');
      return answers;
    });
    expect(replies).toMatchObject([{ status: 503 }, { status: 503 }]);
    expect([await waiters(bob!), await waiters(cid!)]).toEqual([0, 1]);
    const again = await cid!.acquire({ paths: ['a'], waitSeconds: 0.5 }, key);
    expect(again).toMatchObject({ status: 202, body: { ticket: { id: await ticketIdOf(cid!.runId) } } });
  });
});
