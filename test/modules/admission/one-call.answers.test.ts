import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Fate } from '../../support/breaking-proxy.ts';
import type { Reply } from '../../support/server.ts';
import { firstBroken } from '../activity/chain.ts';
import { newRunner, type Runner, through } from '../leases/support.ts';
import { publish, shortWay } from './short-way.ts';

const { way, calls, known } = shortWay();

const keyed = (key: string) => ({ 'idempotency-key': key });

/** What can be asked for under a key, and is decided in one call: each changes something, and tells of times. */
const REQUESTS: Readonly<Record<string, (ann: Runner, key: string) => Promise<Reply>>> = {
  acquire: (ann, key) => ann.acquire({ paths: ['a'], ttlSeconds: 60, purpose: '~"\\\n ~+60~ \u{1F6A6}' }, keyed(key)),
  admission: (ann, key) => ann.admit({ paths: ['a'], lease: { ttlSeconds: 90 } }, keyed(key)),
  decision: (ann, key) =>
    ann.caller.post(
      '/decisions',
      { action: 'path.edit', subject: { repo: 'acme/shop', path: 'a' }, runId: ann.runId },
      keyed(key),
    ),
};

describe('with an Idempotency-Key, in one call', () => {
  it.each(Object.entries(REQUESTS))('%s: done once, and answered alike by every server', async (_name, request) => {
    const { org, ann } = await known();
    const first = await request(ann, 'once');
    expect(await calls()).toEqual([1]);
    const events = await org.events();
    // Were the times of the answer made anew, they would be others by now.
    await sleep(20);
    for (const server of [way.server, way.other]) {
      const again = await request(through(server, ann), 'once');
      expect(again.status).toBe(first.status);
      expect(again.body.lease).toEqual(first.body.lease);
      expect(again.body.decision).toEqual(first.body.decision);
      expect(again.body.id).toBe(first.body.id);
    }
    expect(await calls()).toEqual([]);
    expect(await org.events()).toEqual(events);
    expect(firstBroken((await org.admin.get('/events?limit=500')).body.items)).toBeNull();
  });

  it('a lease is extended and given back once', async () => {
    const { org, ann } = await known();
    const { lease } = (await ann.acquire({ paths: ['a'], ttlSeconds: 60 })).body;
    await calls();
    // The server takes the database's clock to be a little behind.
    await sleep(100);
    for (const [act, kind] of [
      ['renew', 'lease.renewed'],
      ['release', 'lease.released'],
    ]) {
      const ask = (runner: Runner) =>
        runner.caller.post(`/leases/${lease.id}/${act}`, { fence: lease.fence }, keyed(act!));
      const first = await ask(ann);
      expect(await calls()).toEqual([1]);
      expect(first.status).toBe(200);
      for (const server of [way.server, way.other])
        expect(await ask(through(server, ann))).toMatchObject({ status: 200, body: first.body });
      expect((await org.events()).filter((event) => event.kind === kind)).toHaveLength(1);
    }
    expect(await calls()).toEqual([]);
  });

  it('many at once with one key: one does it, all are told the same', async () => {
    const { org, ann } = await known();
    const both = [way.server, way.other].map((server) => through(server, ann));
    const replies = await Promise.all(
      Array.from({ length: 12 }, (_, n) => both[n % 2]!.acquire({ paths: ['a'] }, keyed('same'))),
    );
    expect(replies.map(({ status }) => status)).toEqual(replies.map(() => 201));
    expect(new Set(replies.map(({ body }) => JSON.stringify(body))).size).toBe(1);
    expect((await org.events()).filter(({ kind }) => kind === 'lease.granted')).toHaveLength(2);
  });

  it('many keys in one call keep an answer each', async () => {
    const { ann } = await known();
    const ask = (n: number) =>
      n % 2 === 0 ? ann.acquire({ paths: [`p${n}`] }, keyed(`k${n}`)) : ann.admit({ paths: [`p${n}`] }, keyed(`k${n}`));
    const numbers = Array.from({ length: 10 }, (_, n) => n);
    const first = await Promise.all(numbers.map(ask));
    expect((await calls()).some((taken) => taken !== null && taken > 1)).toBe(true);
    const again = await Promise.all(numbers.map(ask));
    expect(again.map(({ body }) => body.lease)).toEqual(first.map(({ body }) => body.lease));
  });

  it('used for something else here or on another server: 422, and nothing is done', async () => {
    const { org, ann } = await known();
    await through(way.other, ann).acquire({ paths: ['a'] }, keyed('k'));
    const before = await org.events();
    // This server has not seen the key; the database has.
    expect(await ann.acquire({ paths: ['b'] }, keyed('k'))).toMatchObject({
      status: 422,
      body: { code: 'idempotency_mismatch' },
    });
    expect(await calls()).toEqual([null]);
    expect(await ann.admit({ paths: ['c'] }, keyed('k'))).toMatchObject({ status: 422 });
    expect(await org.events()).toEqual(before);
    const ben = await newRunner(org);
    expect(await ben.acquire({ paths: ['b'] }, keyed('k'))).toMatchObject({ status: 201 });
  });

  it('a denied admission is kept as well', async () => {
    const { org, ann } = await known();
    await publish(way.server, org, { id: 'no', effect: 'deny', actions: ['path.edit'], where: { path: 'no' } });
    await ann.admit({ paths: ['yes'] });
    await calls();
    const first = await ann.admit({ paths: ['no'] }, keyed('k'));
    expect(await calls()).toEqual([1]);
    expect(first.body).toMatchObject({ outcome: 'deny' });
    await publish(way.server, org, { id: 'no', effect: 'deny', actions: ['path.edit'], where: { path: 'other' } });
    expect((await ann.admit({ paths: ['no'] }, keyed('k'))).body.decision).toEqual(first.body.decision);
  });

  it.each<Fate>(['lose-request', 'lose-answer'])('%s: done once, and a retry is told what came of it', async (fate) => {
    const { org, ann } = await known();
    way.proxy.fate = fate;
    const first = await ann.acquire({ paths: ['a'] }, keyed('k'));
    expect(first.status).toBe(201);
    const again = await through(way.other, ann).acquire({ paths: ['a'] }, keyed('k'));
    expect(again).toMatchObject({ status: 201, body: first.body });
    expect((await org.events()).filter(({ kind }) => kind === 'lease.granted')).toHaveLength(2);
  });
});
