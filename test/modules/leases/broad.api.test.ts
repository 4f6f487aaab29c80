import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  areTooMany,
  ClaimTable,
  candidatesStatements,
  type HeldLeaseRow,
  TooBroad,
} from '../../../src/modules/leases/index.ts';
import { compilePattern } from '../../../src/patterns/index.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { expiredFor, finish, newRunner, REPO, type Runner } from './support.ts';

/** Requests that overlap, or may overlap, more than can be looked at under the repo's lock. */
let server: TestServer;
let org: TestOrg;
let [ann, bob]: Runner[] = [];
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(() => server?.close());
beforeEach(async () => {
  org = await server.newOrg();
  [ann, bob] = [await newRunner(org), await newRunner(org)];
  expect((await ann.acquire({ paths: ['first.md'] })).status).toBe(201);
});

/** Rows as grants write them, at once. */
async function hold(runner: Runner, count: number, path: (n: string) => string): Promise<void> {
  await server.sql(
    `WITH one AS (
       INSERT INTO lease (org_id, id, repo_id, run_id, loop_id, fence, mode, paths, patterns, ttl_seconds, granted_at, expires_at)
       SELECT $1, gen_random_uuid(), p.id, $2, $3, -n, 'exclusive', ARRAY[replace($4, '#', n::text)], '{}', 900, clock_timestamp(),
         clock_timestamp() + interval '1 hour'
       FROM generate_series(1, $5::int) n, repo p WHERE p.org_id = $1 AND p.name = $6
       RETURNING org_id, repo_id, id, paths[1] AS path)
     INSERT INTO lease_key (org_id, repo_id, lease_id, ordinal, kind, key, tail)
     SELECT org_id, repo_id, id, 0, 'literal', path, substring(path from '\\.[^.]*$') FROM one`,
    [org.id, runner.runId, runner.loopId, path('#'), count, REPO],
  );
}

describe('a pattern over more leases than a batch looks at', () => {
  it('is refused by what it overlaps', async () => {
    await hold(ann!, 6000, (n) => `docs/${n}.md`);
    const refused = await bob!.acquire({ patterns: ['**/*.md'] });
    expect(refused).toMatchObject({ status: 409, body: { code: 'lease_conflict', free: [], moreConflicts: true } });
    expect(refused.body.conflicts).toHaveLength(50);
    expect((await bob!.acquire({ paths: ['docs/1.md'] })).body.moreConflicts).toBe(false);
    expect((await bob!.admit({ paths: ['x.ts'] })).body.outcome).toBe('allow');
  });

  it('is refused by any of them, also those behind the last that it looks at', async () => {
    await hold(ann!, 6000, (n) => `docs/${n}.md`);
    // Which of them a batch reads nobody knows: of each forty, some would be among those that it does not.
    const patterns = Array.from({ length: 40 }, (_, n) => `docs/**/${150 * n + 1}.md`);
    const refused = await bob!.acquire({ patterns });
    expect(refused).toMatchObject({ status: 409, body: { code: 'lease_conflict', free: [] } });
    expect(refused.body.conflicts).toHaveLength(40);
  });

  it('is granted where nothing really overlaps, and excludes what comes after', async () => {
    await hold(ann!, 6000, (n) => `docs/${n}.md`);
    const granted = await bob!.acquire({ patterns: ['docs/**/x*.md', 'docs/[a-z]*'] });
    expect(granted).toMatchObject({ status: 201, body: { lease: { patterns: ['docs/**/x*.md', 'docs/[a-z]*'] } } });
    expect((await ann!.acquire({ paths: ['docs/deep/x1.md'] })).body.conflicts).toMatchObject([
      { leaseId: granted.body.lease.id },
    ]);
    // Asked again, the run holds it already; wider, its own leases are in nobody's way.
    expect((await bob!.acquire({ patterns: ['docs/[a-z]*'] })).body.lease.id).toBe(granted.body.lease.id);
    expect((await ann!.acquire({ patterns: ['docs/[0-9]*'] })).status).toBe(201);
  });

  it('ends what it is granted over, as any grant does: should the clock go back, both would be live', async () => {
    await hold(ann!, 6000, (n) => `docs/${n}.md`);
    const old = (await ann!.acquire({ paths: ['docs/xyz.md'], ttlSeconds: 60 })).body.lease;
    await expiredFor(server, old.id, 20);
    expect((await bob!.acquire({ patterns: ['docs/**/x*.md'] })).status).toBe(201);
    expect(
      (await org.events()).filter(({ subject, kind }) => subject.id === old.id && kind === 'lease.ended'),
    ).toHaveLength(1);
    // As if the clock had been set back by a minute.
    await expiredFor(server, old.id, -40);
    const { id, fence } = old;
    const { body } = await ann!.caller.post('/leases/verify', {
      repo: REPO,
      paths: ['docs/xyz.md'],
      leases: [{ id, fence }],
    });
    expect(body.stale).toMatchObject([{ id, reason: 'ended' }]);
    expect((await ann!.caller.post(`/leases/${id}/renew`, { fence })).status).toBe(409);
  });

  it('costs no connection, where some of it is known to be held', async () => {
    await hold(ann!, 6000, (n) => `docs/${n}.md`);
    expect((await ann!.acquire({ paths: ['known.md'] })).status).toBe(201);
    const removed = vi.fn();
    server.pools.hot.on('remove', removed);
    const refused = await bob!.acquire({ paths: ['known.md'], patterns: ['docs/**/*.md'] });
    server.pools.hot.off('remove', removed);
    expect(refused).toMatchObject({ status: 409, body: { code: 'lease_conflict' } });
    expect(removed).not.toHaveBeenCalled();
  });

  it('keeps no more than one connection from others, however many are asked for at once', async () => {
    await hold(ann!, 6000, (n) => `docs/${n}.md`);
    const { hot } = server.pools;
    const taken: number[] = [];
    const borrowed = () => taken.push(hot.totalCount - hot.idleCount);
    hot.on('acquire', borrowed);
    const wide = Array.from({ length: 20 }, (_, n) => bob!.acquire({ patterns: [`docs/**/x${n}*.md`] }));
    expect((await Promise.all(wide)).map(({ status }) => status)).toEqual(wide.map(() => 201));
    hot.off('acquire', borrowed);
    expect(taken).not.toEqual([]);
    // Besides it, one for each way to decide.
    expect(Math.max(...taken)).toBeLessThanOrEqual(4);
  });

  it('waits in the line like any other', async () => {
    await hold(ann!, 6000, (n) => `docs/${n}.md`);
    const { ticket } = (await bob!.acquire({ patterns: ['docs/**'], waitSeconds: 0.01 })).body;
    expect(ticket.status).toBe('waiting');
    await finish(ann!);
    expect((await bob!.caller.get(`/lease-tickets/${ticket.id}?waitSeconds=10`)).body).toMatchObject({
      status: 'granted',
    });
  });
});

describe('more patterns than should be compiled while others wait', () => {
  it('are looked up without the lock: what shares nothing is granted, what does is refused', async () => {
    for (let n = 0; n < 5; n += 1) {
      const patterns = Array.from({ length: 450 }, (_, at) => `d${n}/${at}/**`);
      expect((await ann!.acquire({ patterns })).status).toBe(201);
    }
    expect((await bob!.acquire({ patterns: ['?/x.c'] })).status).toBe(201);
    expect((await bob!.acquire({ patterns: ['*/7/y.c'] })).body).toMatchObject({
      code: 'lease_conflict',
      conflicts: [{ held: 'd0/7/**', witness: 'd0/7/y.c' }],
    });
  });
});

describe('patterns that are costly to compare', () => {
  // Each pair takes hundreds of states to see that it shares nothing: they end in different letters.
  const costly = (end: string) => Array.from({ length: 60 }, (_, n) => `**/${'*a?'.repeat(9)}*${n}${end}`);

  it('are not compared under the lock', () => {
    const claims = (end: string) =>
      costly(end).map((text) => {
        const read = compilePattern(text);
        if (!read.ok) throw new Error(read.problem.detail);
        return read.pattern;
      });
    const table = new ClaimTable({ caseSensitive: true });
    table.add({ id: 'one', matchers: claims('m') });
    const look = (count: number) => {
      table.begin();
      for (const claim of claims('n').slice(0, count)) expect([...table.overlaps(claim)]).toEqual([]);
    };
    expect(() => look(2)).not.toThrow();
    expect(() => look(60)).toThrow(TooBroad);
  });

  it('are granted all the same, and exclude what they should', async () => {
    expect((await ann!.acquire({ patterns: costly('m') })).status).toBe(201);
    expect((await bob!.acquire({ patterns: costly('n') })).status).toBe(201);
    expect((await ann!.acquire({ paths: [`x/${'ab'.repeat(9)}7n`] })).body.code).toBe('lease_conflict');
  });

  it('are refused where it would take too long to tell what the run holds of them: once looked for, not again and again', async () => {
    // Wherever there is an `x`, all that follows may have begun; and none of them holds any of these paths.
    const threads = Array.from({ length: 150 }, (_, n) => `a/**/*x${'?'.repeat(160 - n)}[yw]`);
    const paths = Array.from({ length: 40 }, (_, n) => `a/${'x'.repeat(4000)}z${n}`);
    expect((await ann!.acquire({ paths: [`a/${'x'.repeat(320)}y`, ...paths], mode: 'shared' })).status).toBe(201);
    const searched = vi.fn();
    server.pools.hot.on('acquire', searched);
    expect(await ann!.acquire({ patterns: [...threads, '**'] })).toMatchObject({
      status: 422,
      body: { code: 'leases_too_intricate' },
    });
    server.pools.hot.off('acquire', searched);
    // The short way or the general one, the search, and the general way again.
    expect(searched.mock.calls.length).toBeLessThanOrEqual(4);
    expect((await ann!.acquire({ patterns: threads.slice(0, 5) })).status).toBe(201);
  });

  it('are refused by what was found in their way, and nothing is called free that was not looked at', async () => {
    // Each at any depth beside the other, and only the last of them shares anything.
    const others = Array.from({ length: 40 }, (_, n) => `**/${'*[bc]/'.repeat(58)}q${n}/x`);
    expect((await ann!.acquire({ patterns: [...others, `**/${'*[bc]/'.repeat(60)}x`] })).status).toBe(201);
    const patterns = Array.from({ length: 100 }, (_, n) => `**/a${n}${'/*[ab]'.repeat(60)}/x`);
    const refused = await bob!.acquire({ patterns });
    expect(refused).toMatchObject({ status: 409, body: { code: 'lease_conflict', free: [], moreConflicts: true } });
    expect((await bob!.acquire({ patterns: patterns.slice(0, 1) })).body.conflicts).toHaveLength(1);
  });
});

describe('more paths than should be read while others wait', () => {
  it('are looked up without the lock, and refused by', async () => {
    const many = (n: number) => Array.from({ length: 500 }, (_, at) => `d/${n}/${at}.ts`);
    // As many grants as that would take long; a lease of 500 paths each.
    await server.sql(
      `WITH one AS (
         INSERT INTO lease (org_id, id, repo_id, run_id, loop_id, fence, mode, paths, patterns, ttl_seconds, granted_at, expires_at)
         SELECT $1, gen_random_uuid(), p.id, $2, $3, -n, 'exclusive', ARRAY(SELECT replace(x, 'd/0/', 'd/' || n || '/') FROM unnest($4::text[]) x),
           '{}', 900, clock_timestamp(), clock_timestamp() + interval '1 hour'
         FROM generate_series(1, 300) n, repo p WHERE p.org_id = $1 AND p.name = $5
         RETURNING org_id, repo_id, id, paths)
       INSERT INTO lease_key (org_id, repo_id, lease_id, ordinal, kind, key, tail)
       SELECT org_id, repo_id, id, n - 1, 'literal', path, '.ts' FROM one CROSS JOIN LATERAL unnest(paths) WITH ORDINALITY AS u (path, n)`,
      [org.id, ann!.runId, ann!.loopId, many(0), REPO],
    );
    const [{ id: repoId }] = (await org.admin.get('/repos')).body.items;
    const all = compilePattern('d/**');
    if (!all.ok) throw new Error(all.problem.detail);
    const { text, values = [] } = candidatesStatements(org.id, [{ repoId, matchers: [all.pattern] }]).lease;
    const read = await server.sql<HeldLeaseRow>(text, [...values]);
    expect([read.length < 300, areTooMany(read), areTooMany(read.slice(0, -1))]).toEqual([true, true, false]);
    const refused = await bob!.acquire({ patterns: ['d/**'] });
    expect(refused).toMatchObject({ status: 409, body: { code: 'lease_conflict', moreConflicts: true } });
    expect((await bob!.acquire({ patterns: ['d/*/x*.ts'] })).status).toBe(201);
    const last = await bob!.acquire({ paths: ['d/300/499.ts'] });
    expect(last.body.conflicts).toMatchObject([{ witness: 'd/300/499.ts' }]);
  });
});

describe('a wait that is costly to look at', () => {
  it('keeps neither its own ticket nor those of others from being read, nor anybody from waiting beside it', async () => {
    const [cid, dan] = [await newRunner(org), await newRunner(org)];
    for (let n = 0; n < 42; n += 1) {
      const paths = Array.from({ length: 500 }, (_, at) => `src/l${n}/f${at}.ts`);
      expect((await bob!.acquire({ paths })).status).toBe(201);
    }
    expect((await cid.acquire({ paths: ['src/z.ts', 'q'] })).status).toBe(201);
    const { ticket: beside } = (await dan.acquire({ paths: ['q'], waitSeconds: 0.001 })).body;
    const waiting = await ann!.acquire({ patterns: ['src/**/z*.ts'], waitSeconds: 0.01 });
    expect(waiting.status).toBe(202);
    const look = (id: string) => org.admin.get(`/lease-tickets/${id}`);
    const seen = await Promise.all([beside.id, waiting.body.ticket.id, beside.id].map(look));
    expect(seen.map(({ status, body }) => [status, body.status])).toEqual(seen.map(() => [200, 'waiting']));
    expect(seen[0]!.body.position).toBe(1);
    expect((await dan.acquire({ paths: ['src/z.ts'], waitSeconds: 0.001 })).status).toBe(202);
  });
});
