import { describe, expect, it } from 'vitest';
import { startTestServer } from '../../support/server.ts';
import { held, queue, ticketOf, until, waitingLine } from './line.ts';
import { give, newRunner, type Runner, through } from './support.ts';

const { crew, pair, waiters } = waitingLine();

describe('waiting for a lease', () => {
  it('holds the request open until the path is free, also when another server frees it', async () => {
    const [org, ann, bob] = await crew(2);
    for (const at of [pair.server, pair.other]) {
      const lease = await held(ann!, { paths: ['a.ts'] });
      const waiting = bob!.acquire({ paths: ['a.ts'], waitSeconds: 30, purpose: 'mine next' });
      await until(async () => (await org.events()).some(({ kind }) => kind === 'lease.queued'));
      expect((await give(through(at, ann!), lease)).status).toBe(200);
      const got = await waiting;
      expect(got).toMatchObject({ status: 201, body: { lease: { paths: ['a.ts'], purpose: 'mine next' } } });
      expect(got.body.lease.fence).toBeGreaterThan(lease.fence);
      await give(bob!, got.body.lease);
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
    await give(ann!, lease);
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
    const third = await startTestServer({ database: pair.server.database });
    const lease = await held(ann!, { paths: ['a.ts'] });
    const held30 = through(third, bob!).acquire({ paths: ['a.ts'], waitSeconds: 30 });
    await until(async () => (await waiters(bob!)) > 0);
    await third.close();
    const reply = await held30;
    expect(reply.status).toBe(202);
    await give(ann!, lease);
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
    await give(ann!, lease);
    const granted = await ticketOf(wide!, first, 10);
    expect(granted).toMatchObject({ status: 'granted' });
    expect(await ticketOf(narrow!, second)).toMatchObject({
      status: 'waiting',
      conflicts: [{ leaseId: granted.lease.id }],
    });
    await give(wide!, granted.lease);
    expect(await ticketOf(narrow!, second, 10)).toMatchObject({ status: 'granted' });
  });

  it('lets shared waiters in together, and keeps an exclusive one before later shared ones', async () => {
    const [, ann, bob, cid, dora] = await crew(4);
    const lease = await held(ann!, { paths: ['a'] });
    const [b, c] = [
      await queue(bob!, { paths: ['a'], mode: 'shared' }),
      await queue(cid!, { paths: ['a'], mode: 'shared' }),
    ];
    await give(ann!, lease);
    const [one, two] = [await ticketOf(bob!, b, 10), await ticketOf(cid!, c, 10)];
    expect([one.status, two.status]).toEqual(['granted', 'granted']);
    const exclusive = await queue(dora!, { paths: ['a'] });
    expect((await ann!.acquire({ paths: ['a'], mode: 'shared' })).body.conflicts).toMatchObject([
      { ticketId: exclusive },
    ]);
    await give(bob!, one.lease);
    expect((await ticketOf(dora!, exclusive)).status).toBe('waiting');
    await give(cid!, two.lease);
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
    await give(runners[0]!, lease);
    let last = lease.fence;
    for (const [at, { runner, id }] of line.entries()) {
      const ticket = await ticketOf(runner, id, 10);
      expect(ticket.status).toBe('granted');
      expect(ticket.lease.fence).toBeGreaterThan(last);
      last = ticket.lease.fence;
      for (const later of line.slice(at + 1)) expect((await ticketOf(later.runner, later.id)).status).toBe('waiting');
      await give(runner, ticket.lease);
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
        give(ann!, lease),
      ]);
      expect(reply.status).toBe(201);
    }
  });

  it('of many who ask at once each gets a turn, in the order of the log', async () => {
    const [org, ann, ...others] = await crew(7);
    const lease = await held(ann!, { paths: ['a'] });
    const turns = others.map(async (runner) => {
      const reply = await through(pair.server, runner).acquire({ paths: ['a'], waitSeconds: 60 });
      expect(reply.status).toBe(201);
      await give(runner, reply.body.lease);
    });
    await until(
      async () => (await org.events()).filter(({ kind }) => kind === 'lease.queued').length === others.length,
    );
    await give(ann!, lease);
    await Promise.all(turns);
    const events = await org.events();
    const queued = events.filter(({ kind }) => kind === 'lease.queued').map(({ subject }) => subject.id);
    const granted = events
      .filter(({ data }) => typeof data['ticketId'] === 'string')
      .map(({ data }) => data['ticketId']);
    expect(granted).toEqual(queued);
  });
});
