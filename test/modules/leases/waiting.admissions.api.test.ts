import { setMaxListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { held, queue, ticketOf, until, waitingLine } from './line.ts';
import { give, moreRuns } from './support.ts';

const { crew, pair, waiters } = waitingLine();

async function joined(runId: string): Promise<number> {
  return (await pair.server.sql('SELECT FROM lease_waiter WHERE run_id = $1 AND joined', [runId])).length;
}

describe('an admission that waits', () => {
  it('is decided when its turn comes, with its lease, in its place in the line', async () => {
    const [org, ann, bob, cid] = await crew(3);
    const lease = await held(ann!, { paths: ['a'] });
    const admitted = bob!.admit({ paths: ['a'], waitSeconds: 30 });
    await until(async () => (await waiters(bob!)) === 1);
    const behind = await queue(cid!, { paths: ['a'] });
    expect((await org.events()).filter(({ kind }) => kind === 'decision.recorded')).toEqual([]);
    await give(ann!, lease);
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
    const events = await org.events();
    expect(events.filter(({ kind }) => kind === 'decision.recorded')).toEqual([]);
    expect(events.filter(({ kind }) => kind === 'lease.wait_ended')).toMatchObject([{ data: { reason: 'timed_out' } }]);
    await give(ann!, lease);
    expect((await cid!.acquire({ paths: ['a'] })).status).toBe(201);
  });

  it('says whether more is in its way than it tells, and so does a ticket', async () => {
    const [, ann, bob, cid] = await crew(3);
    const share = { paths: ['a'], mode: 'shared' };
    const sharing = [ann!, ...(await moreRuns(pair.server, ann!, 49))];
    await Promise.all(sharing.map((run) => held(run, share)));
    for (const moreConflicts of [false, true]) {
      const { body } = await bob!.admit({ paths: ['a'] });
      expect(body).toMatchObject({ outcome: 'wait', moreConflicts });
      expect(body.conflicts).toHaveLength(50);
      const ticket = await ticketOf(bob!, await queue(bob!, { paths: ['a'] }));
      expect(ticket).toMatchObject({ status: 'waiting', moreConflicts });
      expect(ticket.conflicts).toHaveLength(50);
      expect((await bob!.caller.delete(`/lease-tickets/${ticket.id}`)).body).toMatchObject({ moreConflicts: false });
      await held(cid!, share);
    }
  });

  it('answers wait at once where too many requests are held open already, and keeps nothing either', async () => {
    const [org, ann, bob, cid] = await crew(3);
    await held(ann!, { paths: ['a'] });
    const id = await queue(cid!, { paths: ['a'] });
    const { tickets, watch } = pair.server.signalbox.services;
    const principal = { orgId: org.id, keyId: org.admin.keyId, role: 'admin' as const, memberId: null, loopId: null };
    const done = new AbortController();
    setMaxListeners(0, done.signal);
    const open = Array.from({ length: 2000 }, () => tickets.wait(principal, id, 60_000, done.signal));
    await until(async () => watch.waiting === 2000);
    expect((await bob!.admit({ paths: ['a'], waitSeconds: 30 })).body.outcome).toBe('wait');
    expect(await waiters(bob!)).toBe(0);
    expect((await org.events()).at(-1)).toMatchObject({ kind: 'lease.wait_ended', data: { reason: 'abandoned' } });
    done.abort();
    expect(new Set((await Promise.all(open)).map(({ status }) => status))).toEqual(new Set(['waiting']));
  });

  it('keeps its place as long as it is held open, however long that is', async () => {
    const [, ann, bob] = await crew(2);
    const lease = await held(ann!, { paths: ['a'] });
    const admitted = bob!.admit({ paths: ['a'], waitSeconds: 30 });
    await until(async () => (await waiters(bob!)) === 1);
    const heldFor = async () => {
      const [row] = await pair.server.sql<{ seconds: number }>(
        'SELECT extract(epoch FROM held_until - clock_timestamp())::int AS seconds FROM lease_waiter WHERE run_id = $1',
        [bob!.runId],
      );
      return row!.seconds;
    };
    await pair.server.sql(`UPDATE lease_waiter SET held_until = held_until - interval '40 seconds' WHERE run_id = $1`, [
      bob!.runId,
    ]);
    expect(await heldFor()).toBeLessThan(10);
    await pair.server.signalbox.services.housekeeping.pass();
    expect(await heldFor()).toBeGreaterThan(40);
    await give(ann!, lease);
    expect((await admitted).body.outcome).toBe('allow');
  });

  it('has a place that is nobody’s lease: a request for that is told so', async () => {
    const [, ann, bob] = await crew(2);
    const lease = await held(ann!, { paths: ['a'] });
    const admitted = bob!.admit({ paths: ['a'], waitSeconds: 30 });
    await until(async () => (await waiters(bob!)) === 1);
    expect(await bob!.acquire({ paths: ['a'], waitSeconds: 5 })).toMatchObject({
      status: 409,
      body: { code: 'lease_wait_on_self' },
    });
    await give(ann!, lease);
    expect((await admitted).body.outcome).toBe('allow');
  });

  it('that was joined by another keeps its place for that one', async () => {
    const [, ann, bob, cid] = await crew(3);
    const lease = await held(ann!, { paths: ['x'] });
    const first = bob!.admit({ paths: ['x'], waitSeconds: 1 });
    await until(async () => (await waiters(bob!)) === 1);
    const second = bob!.admit({ paths: ['x'], waitSeconds: 20 });
    await until(async () => (await joined(bob!.runId)) === 1);
    const behind = await queue(cid!, { paths: ['x'] });
    expect((await first).body.outcome).toBe('wait');
    await give(ann!, lease);
    expect((await second).body.outcome).toBe('allow');
    expect((await ticketOf(cid!, behind)).status).toBe('waiting');
  });

  it('that is decided otherwise leaves its place to another that has joined it, for what is allowed', async () => {
    const [org, ann, bob, cid] = await crew(3);
    const lease = await held(ann!, { paths: ['a'] });
    const deletion = bob!.admit({ action: 'path.delete', paths: ['a'], waitSeconds: 20 });
    await until(async () => (await waiters(bob!)) === 1);
    const edit = bob!.admit({ paths: ['a'], waitSeconds: 20 });
    await until(async () => (await joined(bob!.runId)) === 1);
    const behind = await queue(cid!, { paths: ['a'] });
    const policy = 'name: p\ndefaults: { path.edit: allow, path.delete: deny }\nrules: []\n';
    const yaml = { 'content-type': 'application/yaml' };
    expect((await org.admin.put('/policies/p/draft', policy, yaml)).status).toBe(200);
    expect((await org.admin.post('/policies/p/publish', {})).status).toBe(200);
    await give(ann!, lease);
    expect((await deletion).body.outcome).toBe('deny');
    const edited = await edit;
    expect(edited.body).toMatchObject({ outcome: 'allow', lease: { paths: ['a'] } });
    expect((await ticketOf(cid!, behind)).conflicts).toMatchObject([{ leaseId: edited.body.lease.id }]);
  });

  it('that joined a request for the lease itself leaves that in the line when it gives up', async () => {
    const [, ann, bob] = await crew(2);
    const lease = await held(ann!, { paths: ['a'] });
    const id = await queue(bob!, { paths: ['a'] });
    expect((await bob!.admit({ paths: ['a'], waitSeconds: 0.1 })).body.outcome).toBe('wait');
    expect((await ticketOf(bob!, id)).status).toBe('waiting');
    const admitted = bob!.admit({ paths: ['a'], waitSeconds: 20 });
    await give(ann!, lease);
    expect((await admitted).body).toMatchObject({ outcome: 'allow' });
    expect((await ticketOf(bob!, id)).lease.id).toBe((await admitted).body.lease.id);
  });

  it('whose server died holds nobody up for long', async () => {
    const [, ann, bob, cid] = await crew(3);
    const lease = await held(ann!, { paths: ['a'] });
    const admitted = bob!.admit({ paths: ['a'], waitSeconds: 3 });
    await until(async () => (await waiters(bob!)) === 1);
    // As if nobody had been heard of since.
    await pair.server.sql(
      `UPDATE lease_waiter SET held_until = clock_timestamp() - interval '2 minutes' WHERE run_id = $1`,
      [bob!.runId],
    );
    await give(ann!, lease);
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
