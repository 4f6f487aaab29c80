import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../support/clock.ts';
import { withClient } from '../../support/database.ts';
import { holding, untilBlocked } from '../../support/locks.ts';
import { startTestServer } from '../../support/server.ts';
import { held, queue, ticketOf, until, waitingLine } from './line.ts';
import { expiredFor, give, REPO, through } from './support.ts';

const { crew, pair, waiters } = waitingLine();

const statusOf = async (runId: string) =>
  (await pair.server.sql<{ status: string }>('SELECT status FROM run WHERE id = $1', [runId]))[0]!.status;

describe('those whose turn it is', () => {
  it('are all looked at when what they wait for is given back, however many', async () => {
    const [, ann, bob, cid] = await crew(3);
    const lease = await held(ann!, { patterns: ['d/**'] });
    await Promise.all(Array.from({ length: 205 }, (_, n) => queue(n % 2 === 0 ? bob! : cid!, { paths: [`d/${n}`] })));
    await give(ann!, lease);
    await until(async () => (await waiters(bob!)) + (await waiters(cid!)) === 0);
  });

  it('are looked at when a lease expires that somebody before them got from the line', async () => {
    const [, ann, bob, cid] = await crew(3);
    const lease = await held(ann!, { paths: ['a'] });
    const [b, c] = [await queue(bob!, { paths: ['a'] }), await queue(cid!, { paths: ['a'] })];
    const clock = new ManualClock();
    const giving = await startTestServer({ database: pair.server.database, start: false, clock });
    try {
      await give(through(giving, ann!), lease);
      await until(async () => (await ticketOf(bob!, b)).status === 'granted');
      const { lease: given } = await ticketOf(bob!, b);
      expect(await ticketOf(cid!, c)).toMatchObject({ status: 'waiting', conflicts: [{ leaseId: given.id }] });
      await expiredFor(pair.server, given.id, 60);
      await until(async () => {
        await clock.advance(1_000_000);
        return (await ticketOf(cid!, c)).status === 'granted';
      });
    } finally {
      await giving.close();
    }
  });

  it('are not passed by who would share with them, and wants it alone by now', async () => {
    const [, ann, ben, cid] = await crew(3);
    await held(ann!, { paths: ['a'], mode: 'shared' });
    await queue(ben!, { paths: ['a'] });
    const ticketId = await queue(cid!, { paths: ['a'], mode: 'shared' });
    expect(await ann!.acquire({ paths: ['a'] })).toMatchObject({
      status: 409,
      body: { code: 'lease_conflict', conflicts: [{ ticketId, leaseId: null }] },
    });
  });

  it('are let in by a sweep behind the place of an admission that nobody is heard of in', async () => {
    const [org, ann, bob, cid] = await crew(3);
    await held(ann!, { paths: ['a'] });
    const admitting = bob!.admit({ paths: ['a', 'b'], waitSeconds: 20 });
    await until(async () => (await waiters(bob!)) === 1);
    const id = await queue(cid!, { paths: ['b'] });
    const [place] = await pair.server.sql<{ id: string }>(
      `UPDATE lease_waiter SET held_until = clock_timestamp() - interval '20 seconds' WHERE run_id = $1 RETURNING id`,
      [bob!.runId],
    );
    await pair.server.signalbox.services.line.sweep(org.id);
    expect(await ticketOf(cid!, id)).toMatchObject({ status: 'granted' });
    expect((await bob!.caller.delete(`/lease-tickets/${place!.id}`)).status).toBe(200);
    expect((await admitting).body.outcome).toBe('wait');
  });
});

describe('a run that begins to wait', () => {
  it('does not, where it has ended by the time that this is written', async () => {
    const [org, ann, bob] = await crew(2);
    await held(ann!, { paths: ['a'] });
    const reply = await withClient(pair.server.database.url, async (client) => {
      await holding(client, 'SELECT FROM org_head WHERE org_id = $1 FOR UPDATE', [org.id]);
      const asking = bob!.acquire({ paths: ['a'], waitSeconds: 0.001 });
      await untilBlocked(pair.server, 'hot_write');
      await client.query(`UPDATE run SET status = 'finished' WHERE id = $1`, [bob!.runId]);
      await client.query('COMMIT');
      return asking;
    });
    expect(reply).toMatchObject({ status: 409, body: { code: 'run_finished' } });
    expect(await waiters(bob!)).toBe(0);
  });

  it('is heard of by that, also with an admission', async () => {
    const [org, ann, bob] = await crew(2);
    const lease = await held(ann!, { paths: ['a'] });
    await pair.server.sql(
      `UPDATE run SET status = 'stalled', last_beat_at = last_beat_at - interval '1 hour' WHERE id = $1`,
      [bob!.runId],
    );
    const admitting = bob!.admit({ paths: ['a'], waitSeconds: 20 });
    await until(async () => (await waiters(bob!)) === 1);
    expect(await statusOf(bob!.runId)).toBe('running');
    expect((await org.events()).slice(-2).map(({ kind }) => kind)).toEqual(['run.revived', 'lease.queued']);
    await give(ann!, lease);
    expect((await admitting).body.outcome).toBe('allow');
  });
});

describe('a repo in which somebody waits', () => {
  it('keeps its case sensitivity, by which their place is found, also when nothing is held there', async () => {
    const [org, ann, bob] = await crew(2);
    const lease = await held(ann!, { paths: ['a'] });
    const id = await queue(bob!, { paths: ['a'] });
    await org.admin.post('/halts', { scope: { kind: 'loop', id: bob!.loopId }, reason: 'stop' });
    await give(ann!, lease);
    const [repo] = (await org.admin.get(`/repos?name=${REPO}`)).body.items;
    const change = () => org.admin.patch(`/repos/${repo.id}`, { caseSensitive: !repo.caseSensitive });
    expect(await change()).toMatchObject({ status: 409, body: { code: 'repo_in_use' } });
    expect((await org.admin.delete(`/lease-tickets/${id}`)).status).toBe(200);
    expect((await change()).status).toBe(200);
  });
});
