import { describe, expect, it } from 'vitest';
import { held, queue, ticketOf, until, waitingLine } from './line.ts';
import { give, REPO } from './support.ts';

const { pair, crew } = waitingLine();

const revoke = (lease: { id: string }) => `/leases/${lease.id}/revoke`;

describe('what was taken back from a run', () => {
  it.each(['lease', 'admission'])(
    'it does not wait for either, as a %s: its ticket ends, and others have their turn',
    async (kind) => {
      const [org, ann, ben, cid] = await crew(3);
      const taken = await held(ann!, { paths: ['p'] });
      await held(ben!, { paths: ['q'] });
      const wish = { paths: ['p', 'q'] };
      const waiting =
        kind === 'lease'
          ? queue(ann!, wish)
          : ann!.admit({ ...wish, waitSeconds: 20 }).then(({ body }) => body.outcome);
      await until(async () => (await org.admin.get('/lease-tickets')).body.items.length === 1);
      expect((await org.admin.post(revoke(taken), { reason: 'give it to cid' })).status).toBe(200);
      await until(async () => (await cid!.acquire({ paths: ['p'] })).status === 201);
      if (kind === 'lease')
        expect(await ticketOf(ann!, await waiting)).toMatchObject({ status: 'ended', reason: 'lease_revoked' });
      else expect(await waiting).toBe('deny');
    },
  );

  it('is seen by the sweep, too, where the server that took it back has died', async () => {
    const [org, ann, ben, cid] = await crew(3);
    const taken = await held(ann!, { paths: ['p'] });
    await held(ben!, { paths: ['q'] });
    const ticket = await queue(ann!, { paths: ['p', 'q'] });
    await pair.server.sql(
      `UPDATE lease SET ended_at = clock_timestamp(), end_reason = 'revoked', revoke_reason = 'x' WHERE id = $1`,
      [taken.id],
    );
    expect((await cid!.acquire({ paths: ['p'] })).status).toBe(409);
    await pair.other.signalbox.services.line.sweep(org.id);
    expect(await ticketOf(ann!, ticket)).toMatchObject({ status: 'ended', reason: 'lease_revoked' });
    expect((await cid!.acquire({ paths: ['p'] })).status).toBe(201);
  });

  it('leaves alone what it waits for elsewhere', async () => {
    const [org, ann, ben] = await crew(2);
    const taken = await held(ann!, { paths: ['p'] });
    const other = await held(ben!, { paths: ['q'] });
    const ticket = await queue(ann!, { paths: ['q'] });
    await org.admin.post(revoke(taken), { reason: 'x' });
    await pair.server.signalbox.services.line.sweep(org.id);
    expect(await ticketOf(ann!, ticket)).toMatchObject({ status: 'waiting' });
    expect((await give(ben!, other)).status).toBe(200);
    expect(await ticketOf(ann!, ticket, 5)).toMatchObject({ status: 'granted', lease: { repo: REPO } });
  });
});
