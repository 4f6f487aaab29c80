import { randomUUID } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import type { TestOrg } from '../../support/server.ts';
import { held, queue, ticketOf, until, waitingLine } from './line.ts';
import { endedUnseen, finish, give, moreRuns, type Runner, through } from './support.ts';

const { crew, pair, waiters } = waitingLine();

const JOINED = 'SELECT FROM lease_waiter WHERE run_id = $1 AND joined';

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
    await give(ann!, lease);
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
      fetch(`${pair.server.url}/api/v1/leases`, {
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
    await give(ann!, lease);
    // Asked again under its key, it gets what came of the first request.
    const replies = await Promise.all(
      Array.from({ length: 2 }, () => cid!.acquire({ paths: ['a'], waitSeconds: 30 }, { 'idempotency-key': key })),
    );
    expect(replies.map(({ status }) => status)).toEqual([201, 201]);
    expect(replies[0]!.body).toEqual(replies[1]!.body);
    expect(await pair.server.sql(`SELECT 1 FROM lease WHERE run_id = $1`, [cid!.runId])).toHaveLength(1);
  });

  it('a client that hangs up does not take the place from those who were given the same ticket', async () => {
    const [, ann, bob] = await crew(2);
    const lease = await held(ann!, { paths: ['a'] });
    const hangUp = new AbortController();
    const cut = fetch(`${pair.server.url}/api/v1/leases`, {
      method: 'POST',
      signal: hangUp.signal,
      headers: { authorization: `Bearer ${bob!.caller.secret}`, 'content-type': 'application/json' },
      body: JSON.stringify({ repo: 'acme/shop', runId: bob!.runId, paths: ['a'], waitSeconds: 30 }),
    }).catch(() => undefined);
    await until(async () => (await waiters(bob!)) === 1);
    const again = through(pair.other, bob!).acquire({ paths: ['a'], waitSeconds: 20 });
    await until(async () => (await pair.server.sql(JOINED, [bob!.runId])).length === 1);
    const cancelled = vi.spyOn(pair.server.signalbox.services.hot, 'submit');
    hangUp.abort();
    await cut;
    await until(async () => cancelled.mock.calls.some(([{ kind }]) => kind === 'cancel'));
    await Promise.all(cancelled.mock.results.map(({ value }) => value as Promise<unknown>));
    cancelled.mockRestore();
    await give(ann!, lease);
    expect((await again).status).toBe(201);
  });

  it('a run that has finished gets nothing, and is in nobody’s way', async () => {
    const [, ann, bob, cid] = await crew(3);
    const lease = await held(ann!, { paths: ['a'] });
    const [b, c] = [await queue(bob!, { paths: ['a', 'b'] }), await queue(cid!, { paths: ['b'] })];
    expect((await finish(bob!)).status).toBe(200);
    expect(await ticketOf(bob!, b)).toMatchObject({ status: 'ended', reason: 'run_ended' });
    expect(await ticketOf(cid!, c, 10)).toMatchObject({ status: 'granted' });
    await give(ann!, lease);
    expect(await pair.server.sql('SELECT 1 FROM lease WHERE run_id = $1', [bob!.runId])).toEqual([]);
  });

  it('a ticket of a run that has come to hold all of it ends by that, and the log says so', async () => {
    const [org, ann, bob] = await crew(2);
    const lease = await held(ann!, { paths: ['a'] });
    const id = await queue(bob!, { paths: ['a'] });
    const { line } = pair.server.signalbox.services;
    await endedUnseen(pair.server, lease);
    const own = await held(bob!, { paths: ['a'] });
    await line.sweep(org.id);
    expect(await ticketOf(bob!, id)).toMatchObject({ status: 'granted', lease: { id: own.id } });
    const told = (await org.events()).filter(({ subject }) => subject.id === id).map(({ kind, data }) => [kind, data]);
    expect(told).toMatchObject([
      ['lease.queued', {}],
      ['lease.wait_ended', { reason: 'held', leaseId: own.id }],
    ]);
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
    await pair.server.sql(`UPDATE run SET last_beat_at = clock_timestamp() - interval '1 hour' WHERE id = $1`, [
      bob!.runId,
    ]);
    await pair.server.signalbox.services.housekeeping.pass();
    await give(ann!, lease);
    const got = await ticketOf(cid!, c, 10);
    expect(got.status).toBe('granted');
    expect(await pair.server.sql('SELECT status FROM lease_waiter WHERE id = $1', [b])).toEqual([
      { status: 'waiting' },
    ]);
    // Asking about the ticket is a beat.
    expect((await ticketOf(bob!, b)).status).toBe('waiting');
    await give(cid!, got.lease);
    await pair.server.signalbox.services.line.sweep(org.id);
    expect(await ticketOf(bob!, b, 10)).toMatchObject({ status: 'granted' });
  });

  it('a ticket whose key was revoked ends without a lease', async () => {
    const [org, ann, bob] = await crew(2);
    const lease = await held(ann!, { paths: ['a'] });
    const id = await queue(bob!, { paths: ['a'] });
    const [key] = await pair.server.sql<{ id: string }>(
      `SELECT principal ->> 'keyId' AS id FROM lease_waiter WHERE id = $1`,
      [id],
    );
    expect((await org.admin.delete(`/api-keys/${key!.id}`)).status).toBe(200);
    await give(ann!, lease);
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
    await give(ann!, lease);
    await pair.server.signalbox.services.line.sweep(org.id);
    expect((await ticketOf(bob!, id)).status).toBe('waiting');
    await org.admin.delete(`/halts/${halt.body.id}`);
    await pair.server.signalbox.services.line.sweep(org.id);
    expect((await ticketOf(bob!, id, 10)).status).toBe('granted');
  });
});

describe('the sweep', () => {
  it('grants what nobody was woken for: a server may die between a release and the look', async () => {
    const [org, ann, bob] = await crew(2);
    const lease = await held(ann!, { paths: ['a'] });
    const id = await queue(bob!, { paths: ['a'] });
    await endedUnseen(pair.server, lease);
    await pair.other.signalbox.services.line.sweep(org.id);
    expect((await ticketOf(bob!, id, 10)).status).toBe('granted');
  });

  it('comes to those behind many whose runs are silent', async () => {
    const [org, ann, bob] = await crew(2);
    const lease = await held(bob!, { paths: ['x'] });
    const runners = await moreRuns(pair.server, ann!, 210);
    await Promise.all(runners.map((runner) => queue(runner, { paths: ['x'] })));
    const id = await queue(ann!, { paths: ['x'] });
    await pair.server.sql(
      `UPDATE run SET status = 'stalled', last_beat_at = clock_timestamp() - interval '20 minutes' WHERE id = ANY ($1::uuid[])`,
      [runners.map(({ runId }) => runId)],
    );
    await give(bob!, lease);
    await pair.server.signalbox.services.line.sweep(org.id);
    expect((await ticketOf(ann!, id)).status).toBe('granted');
  });

  it('comes to those behind many that nobody can let in', async () => {
    const [org, ann, bob, cid, dan] = await crew(4);
    const lease = await held(ann!, { patterns: ['d/**'] });
    await Promise.all(Array.from({ length: 201 }, (_, n) => queue(bob!, { paths: [`d/${n}`] })));
    await org.admin.post('/halts', { scope: { kind: 'loop', id: bob!.loopId }, reason: 'stop' });
    await give(ann!, lease);
    const before = await held(dan!, { paths: ['a'] });
    const id = await queue(cid!, { paths: ['a'] });
    await endedUnseen(pair.server, before);
    await pair.server.signalbox.services.line.sweep(org.id);
    expect((await ticketOf(cid!, id, 10)).status).toBe('granted');
  });

  it.each([
    ['was revoked', (org: TestOrg, keyId: string) => org.admin.delete(`/api-keys/${keyId}`)],
    [
      'has expired',
      (_org: TestOrg, keyId: string) =>
        pair.server.sql('UPDATE api_key SET expires_at = clock_timestamp() WHERE id = $1', [keyId]),
    ],
  ])('ends the ticket of a key that %s while its way is not free: it holds up nobody else', async (_how, change) => {
    const [org, ann, bob, cid] = await crew(3);
    await held(ann!, { paths: ['a'] });
    const id = await queue(bob!, { paths: ['a', 'b'] });
    await change(org, bob!.caller.keyId);
    await pair.server.signalbox.services.line.sweep(org.id);
    expect((await org.admin.get(`/lease-tickets/${id}`)).body).toMatchObject({
      status: 'ended',
      reason: 'key_revoked',
    });
    expect((await cid!.acquire({ paths: ['b'] })).status).toBe(201);
  });

  it('ends tickets whose run is silent for a day, and forgets settled ones after two', async () => {
    const [org, ann, bob, cid] = await crew(3);
    await held(ann!, { paths: ['a'] });
    const [b, c] = [await queue(bob!, { paths: ['a'] }), await queue(cid!, { paths: ['a'] })];
    await cid!.caller.delete(`/lease-tickets/${c}`);
    await pair.server.sql(`UPDATE lease_waiter SET settled_at = settled_at - interval '49 hours' WHERE id = $1`, [c]);
    await pair.server.sql(
      `UPDATE run SET status = 'stalled', last_beat_at = last_beat_at - interval '25 hours' WHERE id = $1`,
      [bob!.runId],
    );
    await pair.server.signalbox.services.line.sweep(org.id);
    expect((await org.admin.get(`/lease-tickets/${b}`)).body).toMatchObject({ status: 'ended', reason: 'abandoned' });
    expect((await org.admin.get(`/lease-tickets/${c}`)).status).toBe(404);
    expect((await org.admin.get('/lease-tickets')).body.items).toEqual([]);
  });
});
