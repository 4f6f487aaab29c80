import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { candidatesStatements, parseClaims } from '../../../src/modules/leases/index.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { held, queue, ticketOf, until } from './line.ts';
import { give, newRunner, type Runner } from './support.ts';

/** Requests for as many paths as there may be in one, each as deep as a path may lie, and no directory shared. */
const DEEP = Array.from({ length: 31 }, (_, at) => `directory-number-${at}-xx`).join('/');
const wide = (n: number) => Array.from({ length: 500 }, (_, at) => `t${n}-${at}/${DEEP}`);

let server: TestServer;
let org: TestOrg;
let runners: Runner[];
beforeAll(async () => {
  server = await startTestServer({ start: 'signals' });
});
afterAll(() => server?.close());
beforeEach(async () => {
  org = await server.newOrg();
  runners = [];
  for (let n = 0; n < 10; n += 1) runners.push(await newRunner(org));
});

it('many at once are all granted', async () => {
  const replies = await Promise.all(runners.map((by, n) => by.acquire({ paths: wide(n) })));
  expect(replies.map(({ status }) => status)).toEqual(runners.map(() => 201));
});

it('one is refused for a pattern that lies over one of its paths, however many patterns there are beside', async () => {
  const [ann, bob] = runners as [Runner, Runner];
  const patterns = Array.from({ length: 100 }, (_, n) => `elsewhere-${n}/**`);
  await held(ann, { patterns: [...patterns, 't1-499/directory-number-0-xx/**'] });
  const refused = await bob.acquire({ paths: wide(1) });
  expect(refused).toMatchObject({ status: 409, body: { code: 'lease_conflict' } });
  expect(refused.body.conflicts).toMatchObject([{ witness: `t1-499/${DEEP}` }]);
  expect(refused.body.free).toHaveLength(499);
  expect((await bob.acquire({ paths: wide(2) })).status).toBe(201);
});

it('many wait, are all shown what is in their way, and are granted together without anybody looking again', async () => {
  const [ann] = runners as [Runner];
  const lease = await held(ann, { patterns: ['**'] });
  const others = runners.slice(1);
  const ids: string[] = [];
  for (const [n, by] of others.entries()) ids.push(await queue(by, { paths: wide(n) }));
  const seen = await Promise.all(others.map((by, n) => ticketOf(by, ids[n]!)));
  for (const { status, conflicts } of seen) {
    expect(status).toBe('waiting');
    expect(conflicts[0].leaseId).toBe(lease.id);
  }
  await give(ann, lease);
  await until(async () => {
    const granted = await server.sql(`SELECT FROM lease_waiter WHERE org_id = $1 AND status = 'granted'`, [org.id]);
    return granted.length === others.length;
  });
});

it('are looked up in a few thousand places, and where there would be more, among all patterns of the repo', () => {
  const wanted = (paths: string[]) => [{ repoId: 'r', matchers: parseClaims(paths, []) }];
  const { values = [] } = candidatesStatements('o', wanted(wide(1))).waiter;
  expect((values[3] as string[]).length).toBeLessThan(3000);
  expect(values[5]).toEqual(['r']);
  const ordinary = candidatesStatements('o', wanted(['src/a/b.ts', 'src/a/c.ts'])).lease.values!;
  // The two paths, and what patterns over them may begin with: nothing, src/ and src/a/.
  expect([(ordinary[3] as string[]).toSorted(), ordinary[5]]).toEqual([
    ['', 'src/', 'src/a/', 'src/a/b.ts', 'src/a/c.ts'],
    [],
  ]);
});
