import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type Clock, systemClock } from '../../../src/platform/clock.ts';
import { type Caller, startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { upgrade } from '../activity/support.ts';
import { held, queue } from './line.ts';
import { give, newRunner, type Runner, type Told, through } from './support.ts';

/** What is told every twenty seconds is told at once. */
const clock: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms === 20_000 ? 10 : ms, signal) };

let server: TestServer;
let other: TestServer;
let org: TestOrg;
let [ann, ben]: Runner[] = [];
let lease: Told;
let ticket: string;
beforeAll(async () => {
  server = await startTestServer({ start: 'signals' });
  other = await startTestServer({ start: 'signals', database: server.database, clock });
});
afterAll(async () => {
  await other?.close();
  await server?.close();
});
beforeEach(async () => {
  org = await server.newOrg();
  [ann, ben] = [await newRunner(org), await newRunner(org)];
  lease = await held(ann, { paths: ['a'] });
  ticket = await queue(ben, { paths: ['a'] });
});

const addressOf = ({ url }: TestServer, id: string) => `${url}/api/v1/lease-tickets/${id}`;
const headersOf = ({ secret }: Pick<Caller, 'secret'>) => ({ authorization: `Bearer ${secret}` });

interface Message {
  readonly id: string;
  readonly status: string;
  readonly lease: unknown;
}

/** What a follower is told, up to the server's goodbye. */
function follow(at: TestServer, who: Pick<Caller, 'secret'>, id: string) {
  const socket = new WebSocket(addressOf(at, id).replace('http', 'ws'), { headers: headersOf(who) });
  const messages: Message[] = [];
  socket.on('message', (data: Buffer) => messages.push(JSON.parse(data.toString()) as Message));
  const closed = once(socket, 'close').then(([code]) => code as number);
  const told = async (count: number) => {
    while (messages.length < count) await once(socket, 'message');
  };
  return { socket, messages, closed, told };
}

describe('a ticket that is followed over WebSocket', () => {
  it('tells its run’s own key of the lease, wherever its way was freed', async () => {
    const key = await org.key('loop', { loopId: ben!.loopId });
    const feed = follow(other, key, ticket);
    await feed.told(1);
    expect(feed.messages).toMatchObject([{ id: ticket, status: 'waiting', position: 1, lease: null }]);
    expect((await give(ann!, lease)).status).toBe(200);
    expect(await feed.closed).toBe(1000);
    const { body } = await ben!.caller.get(`/lease-tickets/${ticket}`);
    expect(feed.messages.at(-1)).toEqual(body);
    expect(body).toMatchObject({ status: 'granted', lease: { paths: ['a'], state: 'live' } });
  });

  it('tells that it was given up, and of what is settled already once', async () => {
    const feed = follow(server, ben!.caller, ticket);
    await feed.told(1);
    await through(other, ben!).caller.delete(`/lease-tickets/${ticket}`);
    expect(await feed.closed).toBe(1000);
    const late = follow(server, ben!.caller, ticket);
    expect(await late.closed).toBe(1000);
    expect(feed.messages.map(({ status }) => status)).toEqual(['waiting', 'cancelled']);
    expect(late.messages.map(({ status }) => status)).toEqual(['cancelled']);
  });

  it('tells every now and then how it stands, and nothing more to a key that was revoked', async () => {
    const key = await org.key('viewer');
    const feed = follow(other, key, ticket);
    await feed.told(3);
    expect(new Set(feed.messages.map(({ status }) => status))).toEqual(new Set(['waiting']));
    await org.admin.delete(`/api-keys/${key.keyId}`);
    expect(await feed.closed).toBe(4401);
  });

  it('is refused before the upgrade: without a key, and for what is no ticket of the org', async () => {
    const stranger = (await server.newOrg()).admin;
    expect((await upgrade(addressOf(server, ticket), {})).status).toBe(401);
    for (const [who, id] of [
      [stranger, ticket],
      [ben!.caller, ben!.runId],
    ] as const)
      expect((await upgrade(addressOf(server, id), headersOf(who))).status).toBe(404);
    expect((await upgrade(addressOf(server, 'x'), headersOf(ben!.caller))).status).toBe(422);
  });

  it('is left by whoever hangs up, and by the server when it stops', async () => {
    const ending = await startTestServer({ start: 'signals', database: server.database });
    const left = follow(ending, ben!.caller, ticket);
    const stays = follow(ending, ben!.caller, ticket);
    await Promise.all([left.told(1), stays.told(1)]);
    const { watch } = ending.signalbox.services;
    while (watch.waiting < 2) await systemClock.sleep(5);
    left.socket.close();
    await left.closed;
    while (watch.waiting > 1) await systemClock.sleep(5);
    await ending.close();
    expect(await stays.closed).toBe(1001);
  });
});
