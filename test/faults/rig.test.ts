import { once } from 'node:events';
import { Agent, createServer } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openClock } from '../../faults/rig/clock.ts';
import { type CommitCut, REPLY_CUTS, startCommitCutter, startReplyCutter } from '../../faults/rig/cutters.ts';
import { type Folder, temporaryFolder } from '../../faults/rig/folder.ts';
import { send } from '../../faults/rig/http.ts';
import { Keeper } from '../../faults/rig/keeper.ts';
import { startPostgres, withClient } from '../../faults/rig/postgres.ts';
import { migrate } from '../../src/platform/database/migrate.ts';

const quiet = { info: () => {}, warn: () => {} };

let folder: Folder;
const keeper = new Keeper();
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(async () => {
  keeper.close();
  await folder?.remove();
});

/** What every statement of the servers does with the time: by itself, prepared, and inside functions of the database. */
const ASKS = `SELECT clock_timestamp() AS by_itself, now() AS began, enter_org('00000000-0000-0000-0000-000000000001', NULL) AS in_function`;

describe.each(['preload', 'shadow'] as const)("PostgreSQL's clock, set back by %s", (kind) => {
  it('is set back for sessions and prepared statements that are there already, and stays so over a restart at once', async ({
    skip,
  }) => {
    const own = await temporaryFolder();
    const strongest = await openClock(own.path);
    // Without a C compiler there is only the weaker one.
    const clock = strongest.kind === kind ? strongest : kind === 'preload' ? skip() : await openClock(own.path, kind);
    expect(clock.kind).toBe(kind);
    const postgres = await startPostgres(own.path, clock, keeper);
    try {
      await clock.install(postgres);
      await migrate({ url: postgres.url, log: quiet });
      const behindMs = async (read: () => Promise<Date[]>) => {
        const times = await read();
        return times.map((time) => Math.round((Date.now() - time.getTime()) / 1000));
      };
      await withClient(postgres.url, async (client) => {
        const ask = async () =>
          Object.values((await client.query<Record<string, Date>>({ name: 'ask', text: ASKS })).rows[0]!);
        expect(await behindMs(ask)).toEqual([0, 0, 0]);
        await clock.setBack(postgres, 60_000);
        expect(await behindMs(ask)).toEqual([60, 60, 60]);
        await clock.setBack(postgres, 30_000);
        expect(await behindMs(ask)).toEqual([90, 90, 90]);
      });
      await postgres.restartAtOnce();
      await withClient(postgres.url, async (client) => {
        const ask = async () => Object.values((await client.query<Record<string, Date>>(ASKS)).rows[0]!);
        expect(await behindMs(ask)).toEqual([90, 90, 90]);
      });
    } finally {
      await postgres.stop();
      await own.remove();
    }
  }, 60_000);
});

describe('a cut reply', () => {
  it.each(REPLY_CUTS)('%s: the client knows that it has no answer, and the next request has one', async (cut) => {
    const received: string[] = [];
    const server = createServer((request, response) => {
      request.on('error', () => {});
      request.resume().on('end', () => {
        received.push(request.url!);
        response.setHeader('content-type', 'application/json').end(JSON.stringify({ long: 'x'.repeat(5000) }));
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const cutter = await startReplyCutter(() => port);
    const agent = new Agent({ keepAlive: true });
    const post = (path: string) =>
      send(agent, { port: cutter.port, method: 'POST', path, secret: 's', body: { a: 1 }, timeoutMs: 5000 });
    expect((await post('/one'))?.status).toBe(200);
    cutter.cutNext(cut);
    expect(await post('/two')).toBeNull();
    expect((await post('/three'))?.status).toBe(200);
    expect(cutter.cut(cut)).toBe(1);
    const arrived = received.includes('/api/v1/two');
    expect(arrived).toBe(cut !== 'request');
    agent.destroy();
    await cutter.close();
    server.closeAllConnections();
    server.close();
  });
});

/** As bytes go to PostgreSQL: a query; a prepared call, with its text the first time; and what only looks like one. */
const SENT = {
  commit: 'Q\0\0\0\x0bCOMMIT\0',
  call: 'B\0\0\0\x20\0hot_once\0\0\0',
  'call of another name': 'P\0\0\0\x40hot_once_2\0SELECT hot_once_2($1)\0B\0\0\0\x20\0hot_once_2\0\0\0',
  batch: 'B\0\0\0\x20\0hot_write\0\0\0Q\0\0\0\x0bCOMMIT\0',
  text: 'P\0\0\0\x40another\0SELECT hot_once($1), ROLLBACK\0',
} as const;

describe('a cut commit', () => {
  const of = (cut: CommitCut, sent: keyof typeof SENT) => ({ cut, sent });
  it.each([
    of('lose-commit', 'commit'),
    of('lose-answer', 'commit'),
    of('lose-call', 'call'),
    of('lose-call-answer', 'call'),
    of('lose-call', 'call of another name'),
    of('lose-call-answer', 'call of another name'),
    of('lose-batch', 'batch'),
    of('lose-batch-answer', 'batch'),
    of('lose-commit', 'batch'),
  ])('$cut: of what is sent, the next $sent alone, and it arrives or not', async ({ cut, sent }) => {
    let received = '';
    const server = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (chunk: Buffer) => {
        received += chunk.toString('latin1');
        socket.write('done');
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const cutter = await startCommitCutter((server.address() as AddressInfo).port);
    /** Whether there was an answer. */
    const ask = (text: string) =>
      new Promise<boolean>((resolve) => {
        const socket = connect(cutter.port, '127.0.0.1', () => socket.write(text, 'latin1'));
        socket.once('data', () => resolve(socket.end() !== null));
        socket.once('error', () => resolve(false));
      });
    cutter.cutNext(cut);
    const others: readonly string[] = {
      commit: [SENT.call, SENT['call of another name'], SENT.text],
      call: [SENT.commit, SENT.batch, SENT.text],
      'call of another name': [SENT.commit, SENT.batch, SENT.text],
      batch: [SENT.call, SENT.text, ...(cut === 'lose-commit' ? [] : [SENT.commit])],
      text: [],
    }[sent];
    for (const other of others) expect(await ask(other)).toBe(true);
    expect(cutter.cut()).toBe(0);
    received = '';
    expect(await ask(SENT[sent])).toBe(false);
    expect(cutter.cut(cut)).toBe(1);
    expect(received).toBe(cut.endsWith('answer') ? SENT[sent] : '');
    expect(await ask(SENT[sent])).toBe(true);
    await cutter.close();
    server.close();
  });
});
