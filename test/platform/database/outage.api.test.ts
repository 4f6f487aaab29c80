import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { newRunner, type Runner } from '../../modules/leases/support.ts';
import { createTestDatabase, onTestServer, type TestDatabase } from '../../support/database.ts';
import { type Reply, startTestServer, type TestServer } from '../../support/server.ts';

// A machine that does much else is slow, not wrong.
vi.setConfig({ testTimeout: 120_000 });

/** A way to the database that can be cut and restored. */
class Cable {
  readonly #target: URL;
  readonly #sockets = new Set<Socket>();
  #server: Server | null = null;
  port = 0;

  constructor(target: string) {
    this.#target = new URL(target);
  }

  async plug(): Promise<void> {
    const server = createServer((near) => {
      const far = connect(Number(this.#target.port), this.#target.hostname);
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on('error', () => undefined);
        socket.on('close', () => {
          this.#sockets.delete(socket);
          near.destroy();
          far.destroy();
        });
      }
      near.pipe(far).pipe(near);
    });
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve));
    this.port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  async cut(): Promise<void> {
    const closed = new Promise((resolve) => this.#server!.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

let database: TestDatabase;
let cable: Cable;
let server: TestServer;
let runner: Runner;
beforeAll(async () => {
  database = await createTestDatabase();
  cable = new Cable(database.url);
  await cable.plug();
  const url = new URL(database.url);
  url.hostname = '127.0.0.1';
  url.port = String(cable.port);
  server = await startTestServer({ database: { ...database, url: url.href } });
  runner = await newRunner(await server.newOrg());
});
afterAll(async () => {
  await server?.close();
  await cable?.cut();
  await database?.drop();
});

/** One of each way to the database: Prisma, the hot path, the lookup of a key that is not known yet. */
const requests = (): Promise<Reply>[] => [
  runner.caller.get('/org'),
  runner.caller.post('/loops', { name: 'other', repo: 'acme/shop' }),
  runner.acquire({ paths: ['a'] }),
  runner.admit({ paths: ['b'] }),
  runner.caller.post('/leases/verify', { repo: 'acme/shop', paths: ['a'], leases: [] }),
  server.caller(`sbx_${'a'.repeat(43)}`).get('/org'),
];

function expectUnavailable({ status, body, headers }: Reply): void {
  expect([status, body.code, headers.get('retry-after')]).toEqual([503, 'unavailable', '1']);
  expect(body.detail).not.toMatch(/127\.0\.0\.1|ECONN|:\d{4}|[Pp]risma/);
}

describe('while the database is away', () => {
  it('every request is told so with 503 and when to come back; afterwards all goes on', async () => {
    await cable.cut();
    try {
      for (const reply of await Promise.all(requests())) expectUnavailable(reply);
      expect((await server.caller('').get('//healthz')).status).toBe(200);
      expect((await server.caller('').get('//readyz')).status).toBe(503);
    } finally {
      await cable.plug();
    }
    await expect.poll(async () => (await server.caller('').get('//readyz')).status, { timeout: 20_000 }).toBe(200);
    const statuses = (await Promise.all(requests())).map(({ status }) => status);
    expect(statuses).toEqual([200, 201, 201, 200, 200, 401]);
  });

  it('a database that takes no writes is told as one that is away', async () => {
    const readOnly = (setting: string) =>
      onTestServer(async (client) => {
        await client.query(`ALTER DATABASE ${database.name} ${setting}`);
        await client.query('SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1', [
          database.name,
        ]);
      });
    const probe = async () => {
      const answer = await fetch(`${server.url}/readyz`);
      return [answer.status, ((await answer.json()) as { status: string }).status];
    };
    await readOnly('SET default_transaction_read_only = on');
    try {
      await expect.poll(probe, { timeout: 20_000 }).toEqual([503, 'database read-only']);
      for (const reply of await Promise.all(requests().slice(1, 4))) expectUnavailable(reply);
    } finally {
      await readOnly('RESET default_transaction_read_only');
    }
    await expect.poll(probe, { timeout: 20_000 }).toEqual([200, 'ready']);
  });

  it('requests that are cut in the middle end as done or as 503, never as something else', async () => {
    const replies: Reply[] = [];
    for (let turn = 0; turn < 5; turn += 1) {
      const under = Array.from({ length: 10 }, (_, i) => [
        runner.acquire({ paths: [`cut/${turn}/${i}`] }, { 'idempotency-key': `cut-${turn}-${i}` }),
        runner.caller.get('/org'),
        runner.caller.post('/loops', { name: `cut-${turn}-${i}`, repo: 'acme/shop' }),
      ]).flat();
      await Promise.race(under);
      await cable.cut();
      await cable.plug();
      replies.push(...(await Promise.all(under)));
    }
    for (const reply of replies) if (reply.status >= 300) expectUnavailable(reply);
    // Whoever was told 503 asks again with the same key, and holds the lease once.
    for (let turn = 0; turn < 5; turn += 1) {
      for (let i = 0; i < 10; i += 1) {
        const headers = { 'idempotency-key': `cut-${turn}-${i}` };
        expect((await runner.acquire({ paths: [`cut/${turn}/${i}`] }, headers)).status).toBe(201);
      }
    }
    const rows = await server.sql<{ n: number }>(
      `SELECT count(*)::int AS n FROM lease WHERE paths[1] LIKE 'cut/%' AND ended_at IS NULL`,
    );
    expect(rows[0]!.n).toBe(50);
  });
});
