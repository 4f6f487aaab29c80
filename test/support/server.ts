import { Agent } from 'node:http';
import type { AddressInfo } from 'node:net';
import pg from 'pg';
import supertest from 'supertest';
import { buildApp, type Signalbox } from '../../src/app.ts';
import { type Clock, systemClock } from '../../src/platform/clock.ts';
import { createPools, type Pools } from '../../src/platform/database/pools.ts';
import { createLogger, type Logger } from '../../src/platform/logger.ts';
import type { Role } from '../../src/platform/principal.ts';
import { PROBLEM_CODES } from '../../src/platform/problem-codes.ts';
import { disabledTelemetry, type Telemetry } from '../../src/platform/telemetry/index.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';

export const ROOT_KEY = 'root-key-of-the-tests-0123456789abcdef';

export interface Reply {
  readonly status: number;
  // oxlint-disable-next-line typescript/no-explicit-any -- what a server answers is for the test to look into
  readonly body: any;
  readonly headers: Headers;
}

/** What one caller sends; `path` is below /api/v1 unless it starts with `//`. */
export interface Caller {
  readonly secret: string;
  readonly keyId: string;
  readonly memberId: string | null;
  get(path: string): Promise<Reply>;
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
  put(path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
  patch(path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
  delete(path: string): Promise<Reply>;
}

export interface TestOrg {
  readonly id: string;
  readonly slug: string;
  /** The first admin key, bound to no member. */
  readonly admin: Caller;
  /** A new member with a key of the role; put into the teams given. */
  member(input?: { role?: Role; teams?: string[] }): Promise<Caller & { readonly memberId: string }>;
  /** A new key bound to no member, and to a loop if one is given. */
  key(role: Role, bindings?: { loopId?: string; memberId?: string }): Promise<Caller>;
  /** A new team's id. */
  team(name?: string): Promise<string>;
  /** Every event of the org so far, in order. */
  events(): Promise<
    { seq: number; at: string; kind: string; subject: { kind: string; id: string }; data: Record<string, unknown> }[]
  >;
}

export interface TestServer {
  /** `http://127.0.0.1:port` */
  readonly url: string;
  readonly signalbox: Signalbox;
  readonly pools: Pools;
  readonly database: TestDatabase;
  newOrg(slug?: string): Promise<TestOrg>;
  caller(secret: string): Caller;
  /** As the database's superuser: to look at rows, or to move their times, past row-level security. */
  sql<R extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<R[]>;
  close(): Promise<void>;
}

export interface TestServerOptions {
  /** One more server on the database of another one, which then also drops it. */
  readonly database?: TestDatabase;
  readonly clock?: Clock;
  /** None by default. The caller's to end. */
  readonly telemetry?: Telemetry;
  /** Silent by default. */
  readonly logger?: Logger;
  /**
   * Starts notifications and housekeeping, too. Default true. `'signals'`: servers hear of each other's commits, but nothing
   * comes by a timer: what only a sweep would do is seen to be missing.
   */
  readonly start?: boolean | 'signals';
  /** Another way to the same database for the hot path, such as through a proxy that breaks. */
  readonly hotUrl?: string;
  /** Less than usual, so that a search which would take seconds is given up at once. */
  readonly searchStepsMax?: number;
}

/** The real server on a real socket with a migrated database of its own. One for a test file, in its `beforeAll`. */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const database = options.database ?? (await createTestDatabase());
  const logger = options.logger ?? createLogger({ level: 'fatal' });
  const pools = poolsOf(database.url, options.hotUrl);
  const clock = options.clock ?? systemClock;
  const signalbox = await buildApp({
    pools,
    logger,
    clock,
    telemetry: options.telemetry ?? disabledTelemetry(),
    version: '0.0.0-test',
    rootKey: ROOT_KEY,
    searchStepsMax: options.searchStepsMax,
  });
  if (options.start === 'signals') await signalbox.services.signal.start();
  else if (options.start !== false) await signalbox.start();
  await signalbox.app.listen({ port: 0, host: '127.0.0.1' });
  const url = `http://127.0.0.1:${(signalbox.app.server.address() as AddressInfo).port}`;
  const superuser = superuserPool(database.url);
  return {
    url,
    signalbox,
    pools,
    database,
    newOrg: (slug = `org-${(orgs += 1)}-${process.pid}`) => newOrg(url, slug),
    caller: (secret) => callerOf(url, { secret, keyId: '', memberId: null }),
    sql: async (text, values = []) => (await superuser.query(text, values)).rows,
    close: async () => {
      await signalbox.close();
      await Promise.all([pools.end(), superuser.end()]);
      if (options.database === undefined) await database.drop();
    },
  };
}

/** Kept, as whoever looks again and again would otherwise connect again and again; and let go where the database goes away. */
function superuserPool(connectionString: string): pg.Pool {
  const pool = new pg.Pool({ connectionString, max: 4, allowExitOnIdle: true });
  pool.on('error', () => {});
  return pool;
}

/** Of a way to the database that breaks: a test waits for it. */
const HOT_SILENCE_MS = 1500;

function poolsOf(url: string, hotUrl: string | undefined): Pools {
  const pools = createPools(url, () => undefined);
  if (hotUrl === undefined) return pools;
  const { hot, end } = createPools(hotUrl, () => undefined, { ordinary: 1, hot: 8 }, HOT_SILENCE_MS);
  return { ...pools, hot, end: async () => void (await Promise.all([pools.end(), end()])) };
}

let orgs = 0;
let names = 0;

type Identity = Pick<Caller, 'secret' | 'keyId' | 'memberId'>;

function callerOf<I extends Identity>(url: string, identity: I): Caller & I {
  const send =
    (method: string) =>
    (path: string, body?: unknown, headers: Record<string, string> = {}) =>
      request(url, { method, path, body, headers: { authorization: `Bearer ${identity.secret}`, ...headers } });
  return {
    ...identity,
    get: (path) => send('GET')(path),
    post: send('POST'),
    put: send('PUT'),
    patch: send('PATCH'),
    delete: (path) => send('DELETE')(path),
  };
}

/** As clients have it: a connection is not made anew for each request. */
const connections = new Agent({ keepAlive: true });

/** Sends text as it is (its type is the caller's to name) and anything else as JSON. */
async function request(
  url: string,
  { method, path, body, headers }: { method: string; path: string; body: unknown; headers: Record<string, string> },
): Promise<Reply> {
  const agent = supertest(url);
  const target = path.startsWith('//') ? path.slice(1) : `/api/v1${path}`;
  const call = agent[method.toLowerCase() as 'get' | 'post'](target)
    .agent(connections)
    .set({ ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers })
    .ok(() => true)
    .buffer(true)
    .parse(readText as never);
  const response = await (body === undefined
    ? call
    : call.send(typeof body === 'string' ? body : JSON.stringify(body)));
  const answer = response.body as string;
  const type = response.headers['content-type'] ?? '';
  const told: unknown = /\bjson\b/.test(type) ? JSON.parse(answer) : answer;
  if (/\bproblem\b/.test(type)) demandKnown(response.status, told as { code: string });
  return {
    status: response.status,
    body: told,
    headers: new Headers(response.headers),
  };
}

/** Whatever a test is about: a problem has a code that the contract has for its status. */
function demandKnown(status: number, { code }: { code: string }): void {
  const codes: object = PROBLEM_CODES[status as 400] ?? {};
  if (!Object.hasOwn(codes, code) && code !== 'bad_request')
    throw new Error(`${status} ${code} is not in the table of problem codes`);
}

/** The body as it came; what it means, its content type says. */
function readText(response: NodeJS.ReadableStream, done: (error: Error | null, body: string) => void): void {
  const chunks: Buffer[] = [];
  response.on('data', (chunk: Buffer) => chunks.push(Buffer.from(chunk)));
  response.on('end', () => done(null, Buffer.concat(chunks).toString('utf8')));
  response.on('error', (error) => done(error, ''));
}

async function newOrg(url: string, slug: string): Promise<TestOrg> {
  const root = callerOf(url, { secret: ROOT_KEY, keyId: '', memberId: null });
  const { org, apiKey } = created(await root.post('/orgs', { slug, name: slug }));
  const admin = callerOf(url, { secret: apiKey.secret, keyId: apiKey.id, memberId: null });
  const key = async (role: Role, bindings: { loopId?: string; memberId?: string } = {}) => {
    const made = created(await admin.post('/api-keys', { name: `key ${(names += 1)}`, role, ...bindings }));
    return callerOf(url, { secret: made.secret, keyId: made.id, memberId: made.memberId });
  };
  return {
    id: org.id,
    slug,
    admin,
    key,
    member: async ({ role = 'member', teams = [] } = {}) => {
      const number = (names += 1);
      const body = { name: `Member ${number}`, email: `member${number}@example.com`, teams };
      const { id: memberId } = created(await admin.post('/members', body));
      return { ...(await key(role, { memberId })), memberId };
    },
    team: async (name = `team ${(names += 1)}`) => created(await admin.post('/teams', { name })).id,
    events: async () => (await admin.get('/events?limit=500')).body.items,
  };
}

function created(reply: Reply): Reply['body'] {
  if (reply.status !== 201) throw new Error(`expected 201, got ${reply.status}: ${JSON.stringify(reply.body)}`);
  return reply.body;
}
