import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { withClient } from '../../support/database.ts';
import { holding, untilBlocked } from '../../support/locks.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { newRunner, type Runner, through } from '../leases/support.ts';
import { openFeed, upgrade } from './support.ts';

// A machine that does much else is slow, not wrong.
vi.setConfig({ testTimeout: 120_000 });

let server: TestServer;
let second: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  second = await startTestServer({ database: server.database });
});
afterAll(async () => {
  await second?.close();
  await server?.close();
});

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const seqs = (messages: readonly { seq: number }[]) => messages.map(({ seq }) => seq);
const lastSeq = async (org: TestOrg) => {
  const [head] = await server.sql<{ seq: number }>('SELECT seq::int FROM org_head WHERE org_id = $1', [org.id]);
  return head!.seq;
};

/** A runner, here and through the second server. */
async function twoWriters(org: TestOrg): Promise<[Runner, Runner]> {
  const here = await newRunner(org);
  return [here, through(second, here)];
}

describe('a live feed', () => {
  it('carries the log from where it is asked to, then each event as it is committed on any server', async () => {
    const org = await server.newOrg();
    for (let i = 0; i < 5; i += 1) await org.team();
    const start = await lastSeq(org);
    const near = ['after', 'cursor'].map((name) => openFeed(second, org.admin.secret, `${name}=${start - 2}`));
    const feeds = [openFeed(server, org.admin.secret), ...near];
    await Promise.all(feeds.map((feed) => feed.until(start)));
    await second.caller(org.admin.secret).post('/teams', { name: 'one more' });
    await Promise.all(feeds.map((feed) => feed.until(start + 1)));
    expect(seqs(feeds[0]!.messages)).toEqual(range(1, start + 1));
    for (const feed of near) expect(seqs(feed.messages)).toEqual(range(start - 1, start + 1));
    expect(feeds[0]!.messages).toEqual(await org.events());
    for (const { socket } of feeds) socket.terminate();
  });

  it('skips nothing and repeats nothing over many disconnects, while two servers write hundreds of events', async () => {
    const org = await server.newOrg();
    const writers = await twoWriters(org);
    const write = async (writer: Runner, name: string) => {
      for (let i = 0; i < 40; i += 1) {
        await Promise.all([
          writer.acquire({ paths: [`${name}/${i}`] }),
          writer.admit({ paths: [`${name}/admitted/${i}`] }),
          i % 4 === 0 ? org.admin.post('/teams', { name: `${name} ${i}` }) : undefined,
        ]);
      }
    };
    const steady = openFeed(second, org.admin.secret);
    const written = Promise.all([write(writers[0], 'a'), write(writers[1], 'b')]);
    const seen: number[] = [];
    const readOnce = async (from: TestServer, orUntil: Promise<unknown>[] = []) => {
      const after = seen.at(-1) ?? 0;
      const feed = openFeed(from, org.admin.secret, `after=${after}`);
      await Promise.race([feed.until(after + 1), ...orUntil]);
      // Cut at any point, in the middle of a page too: what was not taken comes again, what was taken does not.
      feed.socket.terminate();
      seen.push(...seqs(feed.messages));
    };
    const reading = { on: true };
    const readers = (async () => {
      for (let turn = 0; reading.on; turn += 1) await readOnce(turn % 2 ? server : second, [written]);
    })();
    await written;
    reading.on = false;
    await readers;
    expect(seen.length).toBeGreaterThan(0);
    while (seen.length < (await lastSeq(org))) await readOnce(server);
    const last = await lastSeq(org);
    expect(last).toBeGreaterThan(250);
    await steady.until(last);
    expect(seqs(steady.messages)).toEqual(range(1, last));
    expect(seen).toEqual(range(1, last));
    expect(new Set(steady.messages.map(({ kind }) => kind))).toContain('lease.granted');
    steady.socket.terminate();
  });

  it('reaches readers whose server heard no signal of the commit', async () => {
    const deaf = await startTestServer({ database: server.database, start: false });
    const org = await server.newOrg();
    const feed = openFeed(deaf, org.admin.secret);
    await feed.until(await lastSeq(org));
    await org.team('told late');
    await feed.until(await lastSeq(org));
    feed.socket.terminate();
    await deaf.close();
  });

  it('does not wait for a reader that takes nothing, and has everything for it when it reads again', async () => {
    const org = await server.newOrg();
    const [here] = await twoWriters(org);
    const slow = openFeed(server, org.admin.secret);
    const quick = openFeed(server, org.admin.secret);
    await slow.until(1);
    slow.socket.pause();
    // Each event holds the paths of its lease: 700 kB.
    const paths = range(1, 500).map((n) => `${'long/'.repeat(280)}${n}`);
    for (let i = 0; i < 24; i += 1) {
      const { status, body } = await here.acquire({ paths });
      expect(status).toBe(201);
      await here.caller.post(`/leases/${body.lease.id}/release`, { fence: body.lease.fence });
    }
    const last = await lastSeq(org);
    await quick.until(last);
    const buffered = [...server.signalbox.app.websocketServer.clients].map(({ bufferedAmount }) => bufferedAmount);
    expect(Math.max(...buffered), 'what a reader does not take waits in the log').toBeLessThan(10_000_000);
    expect(slow.messages.length).toBeLessThan(quick.messages.length);
    slow.socket.resume();
    await slow.until(last);
    expect(seqs(slow.messages)).toEqual(range(1, last));
    for (const { socket } of [slow, quick]) socket.terminate();
  });
});

describe('a live feed ends', () => {
  it('with 4401 when its key is revoked, on whichever server it runs', async () => {
    const org = await server.newOrg();
    const key = await org.key('viewer');
    const feeds = [openFeed(server, key.secret), openFeed(second, key.secret)];
    await Promise.all(feeds.map((feed) => feed.until(1)));
    await org.admin.delete(`/api-keys/${key.keyId}`);
    const last = await lastSeq(org);
    const ends = await Promise.all(feeds.map(({ closed }) => closed));
    expect(ends.map(({ code }) => code)).toEqual([4401, 4401]);
    for (const feed of feeds) expect(feed.messages.filter(({ seq }) => seq >= last)).toEqual([]);
  });

  it('without what came with the end of its key, in whatever moment it reads', async () => {
    const org = await server.newOrg();
    const key = await org.key('viewer');
    const { log } = server.signalbox.services;
    const reader = { orgId: org.id, keyId: key.keyId, role: 'viewer' as const, memberId: null, loopId: null };
    await withClient(server.database.url, async (client) => {
      const events = await holding(client, 'LOCK TABLE event IN ACCESS EXCLUSIVE MODE');
      // Its key was valid when it began.
      const reading = log.after(reader, 0, 10);
      reading.catch(() => undefined);
      await untilBlocked(server, 'pg_column_size');
      await server.sql('UPDATE api_key SET revoked_at = clock_timestamp() WHERE id = $1', [key.keyId]);
      await events.free();
      await expect(reading).rejects.toMatchObject({ status: 401 });
    });
  });

  it('with 4401 when its key expires', async () => {
    const org = await server.newOrg();
    const key = await org.key('viewer');
    const feed = openFeed(server, key.secret);
    await feed.until(1);
    await server.sql('UPDATE api_key SET expires_at = clock_timestamp() WHERE id = $1', [key.keyId]);
    expect((await feed.closed).code).toBe(4401);
  });

  it('and lets go of what it held when the reader is gone', async () => {
    const org = await server.newOrg();
    const feeds = range(1, 5).map(() => openFeed(server, org.admin.secret));
    await Promise.all(feeds.map((feed) => feed.until(1)));
    const { clients } = server.signalbox.app.websocketServer;
    const open = clients.size;
    for (const { socket } of feeds) socket.terminate();
    await expect.poll(() => clients.size, { timeout: 20_000 }).toBe(open - 5);
  });

  it('with 1001 when the server goes away, which does not wait for its readers', async () => {
    const third = await startTestServer({ database: server.database });
    const org = await server.newOrg();
    const feed = openFeed(third, org.admin.secret);
    await feed.until(1);
    await third.close();
    expect((await feed.closed).code).toBe(1001);
  });
});

describe('an upgrade is refused', () => {
  const url = (query = '') => `${server.url}/api/v1/events${query}`;

  it('without a key, or with one that is none, with 401 and a problem', async () => {
    for (const headers of [{}, { authorization: 'Bearer sbx_nothing' }] as Record<string, string>[]) {
      const { status, body } = await upgrade(url(), headers);
      expect([status, (JSON.parse(body) as { code: string }).code]).toEqual([401, 'unauthenticated']);
    }
  });

  it.each(['after=x', 'after=-1', 'after=1.5', 'cursor=x', 'cursor=1&after=1', 'limit=0'])(
    'for ?%s, with 422 and the field',
    async (query) => {
      const { admin } = await server.newOrg();
      const { status, body } = await upgrade(url(`?${query}`), { authorization: `Bearer ${admin.secret}` });
      const { code, errors } = JSON.parse(body) as { code: string; errors: { path: string }[] };
      expect([status, code, errors[0]!.path]).toEqual([422, 'invalid_request', `query.${query.split('=')[0]}`]);
    },
  );

  it('where there is no live feed, with 400 and a problem', async () => {
    const { admin } = await server.newOrg();
    const { status, body } = await upgrade(`${server.url}/api/v1/org`, { authorization: `Bearer ${admin.secret}` });
    expect([status, (JSON.parse(body) as { code: string }).code]).toEqual([400, 'no_websocket']);
  });
});
