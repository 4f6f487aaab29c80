import { afterAll, afterEach, beforeAll, beforeEach, expect, type MockInstance, vi } from 'vitest';
import { type Committed, OneCall } from '../../../src/modules/admission/hot/one-call/one-call.ts';
import { type BreakingProxy, startBreakingProxy } from '../../support/breaking-proxy.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { startTestServer, type TestOrg, type TestServer, type TestServerOptions } from '../../support/server.ts';
import { newRunner, type Runner } from '../leases/support.ts';

export interface Known {
  readonly org: TestOrg;
  readonly ann: Runner;
}

/** Two servers on one database: `server`, whose calls of `hot_once` are counted and can be cut off, and `other`. */
export interface ShortWay {
  readonly database: TestDatabase;
  readonly proxy: BreakingProxy;
  readonly server: TestServer;
  readonly other: TestServer;
}

/** Sets them up for the tests of a file; `server` with these. */
export function shortWay(given: Pick<TestServerOptions, 'logger'> = {}) {
  const way = {} as { -readonly [part in keyof ShortWay]: ShortWay[part] };
  let attempts: MockInstance<OneCall['attempt']>;

  beforeAll(async () => {
    way.database = await createTestDatabase();
    const url = new URL(way.database.url);
    way.proxy = await startBreakingProxy({ host: url.hostname, port: Number(url.port) });
    way.proxy.at = 'hot_once\0';
    url.host = `127.0.0.1:${way.proxy.port}`;
    way.server = await startTestServer({ ...given, database: way.database, hotUrl: url.href, start: false });
    way.other = await startTestServer({ database: way.database, start: false });
  });
  afterAll(async () => {
    await way.other?.close();
    await way.server?.close();
    await way.proxy?.close();
    await way.database?.drop();
  });
  beforeEach(() => {
    attempts = vi.spyOn(OneCall.prototype, 'attempt');
  });
  afterEach(() => attempts.mockRestore());

  /** What became of the calls since: how many requests each one took, null where it wrote nothing. */
  async function calls(): Promise<(number | null)[]> {
    const made = await Promise.all(attempts.mock.results.map(({ value }) => value as Promise<Committed | null>));
    attempts.mockClear();
    return made.map((committed) => committed?.taken.length ?? null);
  }

  /** An org and a run that the server knows already, from a request decided the general way. */
  async function known(options: Parameters<typeof newRunner>[1] = {}): Promise<Known> {
    const org = await way.server.newOrg();
    const ann = await newRunner(org, options);
    expect(await ann.admit({ paths: ['first'] })).toMatchObject({ status: 200 });
    expect(await calls()).toEqual([]);
    return { org, ann };
  }

  return { way: way as ShortWay, calls, known };
}

export async function publish(elsewhere: TestServer, org: TestOrg, rule: Record<string, unknown>): Promise<void> {
  const admin = elsewhere.caller(org.admin.secret);
  const document = { name: 'house', defaults: { 'path.edit': 'allow' }, rules: [{ reason: 'because', ...rule }] };
  expect(await admin.put('/policies/house/draft', document)).toMatchObject({ status: 200 });
  expect((await admin.post('/policies/house/publish', {})).status).toBeLessThan(300);
}

/** Its time runs out: nothing is written, so that nothing tells servers that remember it, and their clocks may be behind. */
export async function expireKey(server: TestServer, keyId: string): Promise<void> {
  await server.sql(
    `WITH untold AS MATERIALIZED (SELECT set_config('session_replication_role', 'replica', true))
     UPDATE api_key SET expires_at = clock_timestamp() FROM untold WHERE id = $1`,
    [keyId],
  );
}
