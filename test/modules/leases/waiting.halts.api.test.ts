import { describe, expect, it } from 'vitest';
import { held, queue, ticketOf, waitingLine } from './line.ts';
import { give, newRunner } from './support.ts';

const { crew } = waitingLine();

describe('a halt of who waits', () => {
  it.each(['loop', 'team'])('of a %s: those behind are served before, new ones too', async (kind) => {
    const [org, ann, cid, dan] = await crew(3);
    const team = await org.team();
    const bob = await newRunner(org, { teams: [team] });
    const lease = await held(ann!, { paths: ['a'] });
    const halted = await queue(bob, { paths: ['a'] });
    const behind = await queue(cid!, { paths: ['a'] });
    const halt = await org.admin.post('/halts', {
      scope: { kind, id: kind === 'loop' ? bob.loopId : team },
      reason: 'because',
    });
    expect(halt.status).toBe(201);
    await give(ann!, lease);
    const next = await ticketOf(cid!, behind, 5);
    expect(next.status).toBe('granted');
    await give(cid!, next.lease);
    const { lease: theirs } = (await dan!.acquire({ paths: ['a'] })).body;
    // Lifted, it stands in its place again, and has its turn as soon as there is one.
    expect((await org.admin.delete(`/halts/${halt.body.id}`)).status).toBe(200);
    expect(await cid!.acquire({ paths: ['a'] })).toMatchObject({ status: 409 });
    await give(dan!, theirs);
    expect(await ticketOf(bob, halted, 5)).toMatchObject({ status: 'granted' });
  });

  it('set where nobody is in the way any more: whoever stands behind is served at once; and once lifted, it is', async () => {
    const [org, ann, bob, cid] = await crew(3);
    const lease = await held(ann!, { paths: ['a', 'b'] });
    const both = await queue(bob!, { paths: ['a', 'b'] });
    // Behind the one that is halted, and the lease.
    const behind = await queue(cid!, { paths: ['b'] });
    const halt = (await org.admin.post('/halts', { scope: { kind: 'loop', id: bob!.loopId }, reason: 'because' })).body;
    await give(ann!, lease);
    const served = await ticketOf(cid!, behind, 5);
    expect(served.status).toBe('granted');
    await give(cid!, served.lease);
    expect(await ticketOf(bob!, both)).toMatchObject({ status: 'waiting', position: 1 });
    await org.admin.delete(`/halts/${halt.id}`);
    expect(await ticketOf(bob!, both, 5)).toMatchObject({ status: 'granted' });
  });

  it('set while those behind only watch it: they are looked at', async () => {
    const [org, ann, bob, cid] = await crew(3);
    const lease = await held(ann!, { paths: ['a'] });
    await queue(bob!, { paths: ['a', 'b'] });
    const behind = await queue(cid!, { paths: ['b'] });
    expect(await ticketOf(cid!, behind)).toMatchObject({ status: 'waiting' });
    await org.admin.post('/halts', { scope: { kind: 'loop', id: bob!.loopId }, reason: 'because' });
    expect(await ticketOf(cid!, behind, 5)).toMatchObject({ status: 'granted' });
    await give(ann!, lease);
  });
});
