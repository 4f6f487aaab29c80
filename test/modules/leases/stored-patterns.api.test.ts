import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { parsePattern } from '../../../src/patterns/index.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { newRunner, REPO, type Runner } from './support.ts';

/** Leases of a time when more was accepted. */
let server: TestServer;
let org: TestOrg;
let ann: Runner;
let bob: Runner;
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(() => server?.close());
beforeEach(async () => {
  org = await server.newOrg();
  [ann, bob] = [await newRunner(org), await newRunner(org)];
});

/** As a grant wrote it: the pattern lies below `src/`. */
async function hold(runner: Runner, pattern: string): Promise<void> {
  await server.sql(
    `WITH one AS (
       INSERT INTO lease (org_id, id, repo_id, run_id, loop_id, fence, mode, paths, patterns, ttl_seconds, granted_at, expires_at)
       SELECT $1, gen_random_uuid(), p.id, $2, $3, -1, 'exclusive', '{}', ARRAY[$4], 900, clock_timestamp(),
         clock_timestamp() + interval '1 hour'
       FROM repo p WHERE p.org_id = $1 AND p.name = $5
       RETURNING org_id, repo_id, id)
     INSERT INTO lease_key (org_id, repo_id, lease_id, ordinal, kind, key, tail)
     SELECT org_id, repo_id, id, 0, 'pattern', 'src/', NULL FROM one`,
    [org.id, runner.runId, runner.loopId, pattern, REPO],
  );
}

it('a pattern with more marks than are accepted now holds what it held, and keeps nobody from what lies beside it', async () => {
  const marks = (count: number) => '\u0327'.repeat(count);
  const pattern = `src/{a${marks(20)},b}${marks(11)}/*`;
  expect(parsePattern(pattern)).toMatchObject({ problem: { code: 'pattern_too_many_marks' } });
  await hold(ann, pattern);
  const within = `src/b${marks(11)}/x`;
  expect(await bob.acquire({ paths: [within] })).toMatchObject({ status: 409, body: { code: 'lease_conflict' } });
  expect(await bob.acquire({ patterns: ['src/b*/x'] })).toMatchObject({
    status: 409,
    body: { code: 'lease_conflict' },
  });
  expect((await bob.acquire({ paths: ['src/b/x'] })).status).toBe(201);
  expect((await bob.admit({ paths: ['src/c'] })).body.outcome).toBe('allow');
  expect((await ann.acquire({ paths: [within] })).status).toBe(201);
});

it('a pattern that no longer compiles keeps others from all below its beginning, and nobody from the rest', async () => {
  await hold(ann, 'src/a**');
  expect(await bob.acquire({ paths: ['src/c/x'] })).toMatchObject({ status: 409, body: { code: 'lease_conflict' } });
  expect((await bob.admit({ paths: ['src/c/x'] })).body.outcome).not.toBe('allow');
  expect((await bob.acquire({ patterns: ['*/x', 'docs/**'], paths: ['README.md'] })).status).toBe(409);
  expect((await bob.acquire({ patterns: ['docs/**'], paths: ['README.md'] })).status).toBe(201);
});
