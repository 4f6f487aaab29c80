import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withClient } from '../../support/database.ts';
import { untilBlocked } from '../../support/locks.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { type LeaseRow, violations } from './ledger.ts';
import { until } from './line.ts';
import { finish, newRunner, type Runner, type Told, through } from './support.ts';

let servers: TestServer[];
beforeAll(async () => {
  const first = await startTestServer({ start: false });
  servers = [
    first,
    await startTestServer({ database: first.database, start: false }),
    await startTestServer({ database: first.database, start: false }),
  ];
});
afterAll(async () => {
  for (const server of servers?.toReversed() ?? []) await server.close();
});

const TEXTS = ['src/a.ts', 'src/b.ts', 'src/api/x.ts', 'docs/a.md', 'README.md'];
const PATTERNS = ['src/**', 'src/*.ts', '**/*.md', 'src/{a,b}.ts', 'docs/'];

type Step =
  | {
      readonly kind: 'acquire' | 'admit';
      readonly who: number;
      readonly server: number;
      readonly path: number;
      readonly pattern: number | null;
      readonly shared: boolean;
    }
  | { readonly kind: 'release' | 'renew'; readonly who: number; readonly server: number }
  | { readonly kind: 'expire'; readonly who: number; readonly seconds: number }
  | { readonly kind: 'finish'; readonly who: number; readonly server: number };

const who = fc.nat({ max: 5 });
const server = fc.nat({ max: 2 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom('acquire' as const, 'admit' as const),
      who,
      server,
      path: fc.nat({ max: TEXTS.length - 1 }),
      pattern: fc.option(fc.nat({ max: PATTERNS.length - 1 })),
      shared: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('release' as const, 'renew' as const), who, server }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('expire' as const), who, seconds: fc.constantFrom(1, 30) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('finish' as const), who, server }) },
);

/** Runs all steps at once, so that three servers' batches race; returns what clients were told they hold. */
async function play(org: TestOrg, runners: readonly Runner[], steps: readonly Step[]): Promise<Told[]> {
  const told: Told[] = [];
  const held = new Map<number, Told>();
  await Promise.all(
    steps.map(async (one) => {
      const mine = held.get(one.who);
      const at = runners[one.who]!;
      const runner = 'server' in one ? through(servers[one.server]!, at) : at;
      switch (one.kind) {
        case 'acquire':
        case 'admit': {
          const paths = [TEXTS[one.path]!];
          const patterns = one.pattern === null ? [] : [PATTERNS[one.pattern]!];
          const mode = one.shared ? 'shared' : 'exclusive';
          const reply =
            one.kind === 'acquire'
              ? await runner.acquire({ paths, patterns, mode, ttlSeconds: 60 })
              : await runner.admit({ paths, lease: { mode, ttlSeconds: 60 } });
          expect([200, 201, 409]).toContain(reply.status);
          const lease = reply.body.lease as Told | undefined;
          if (lease !== undefined) {
            told.push({ id: lease.id, fence: lease.fence });
            held.set(one.who, lease);
          }
          return;
        }
        case 'release':
        case 'renew': {
          if (mine === undefined) return;
          const reply = await runner.caller.post(`/leases/${mine.id}/${one.kind}`, { fence: mine.fence });
          expect([200, 409]).toContain(reply.status);
          return;
        }
        case 'expire':
          // As if its time had passed, under the lock that grants take.
          await servers[0]!.sql(
            `WITH r AS (SELECT id FROM repo WHERE org_id = $1 ORDER BY id FOR UPDATE)
             UPDATE lease SET expires_at = clock_timestamp() - make_interval(secs => $3), granted_at = least(granted_at, clock_timestamp() - make_interval(secs => $3 + 1))
             WHERE org_id = $1 AND run_id = $2 AND ended_at IS NULL AND EXISTS (SELECT FROM r)`,
            [org.id, runner.runId, one.seconds],
          );
          return;
        case 'finish':
          await finish(runner);
      }
    }),
  );
  return told;
}

describe('three servers at once on one repo', () => {
  it('never hold one path twice, lose no acknowledged grant, give each fence once, and leave no gap in the log', async () => {
    const runs = Number(process.env['RACE_RUNS'] ?? 6);
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (steps) => {
        const org = await servers[0]!.newOrg();
        const runners = await Promise.all(Array.from({ length: 6 }, () => newRunner(org)));
        const told = await play(org, runners, steps);
        const rows = await servers[0]!.sql<LeaseRow>(`SELECT * FROM lease WHERE org_id = $1 ORDER BY fence`, [org.id]);
        expect(violations(rows)).toEqual([]);
        const byId = new Map(rows.map((row) => [row.id, Number(row.fence)]));
        for (const { id, fence } of told) expect(byId.get(id)).toBe(fence);
        const events = await servers[0]!.sql<{ seq: string; kind: string; subject: { id: string } }>(
          `SELECT seq, kind, subject FROM event WHERE org_id = $1 ORDER BY seq`,
          [org.id],
        );
        expect(events.map(({ seq }) => Number(seq))).toEqual(events.map((_, index) => index + 1));
        const grants = events
          .filter(({ kind }) => kind === 'lease.granted')
          .map(({ seq, subject }) => [subject.id, Number(seq)]);
        expect(grants).toEqual(rows.map(({ id, fence }) => [id, Number(fence)]));
        const keys = await servers[0]!.sql(
          `SELECT DISTINCT k.lease_id FROM lease_key k JOIN lease l ON l.id = k.lease_id WHERE k.org_id = $1 AND l.ended_at IS NOT NULL`,
          [org.id],
        );
        expect(keys).toEqual([]);
      }),
      { numRuns: runs, endOnFailure: true },
    );
  }, 120_000);

  it('gives a contested path to exactly one of many', async () => {
    const org = await servers[0]!.newOrg();
    const runners = await Promise.all(Array.from({ length: 9 }, () => newRunner(org)));
    for (let round = 0; round < 5; round += 1) {
      const replies = await Promise.all(
        runners.map((runner, index) =>
          through(servers[index % 3]!, runner).acquire({ paths: [`contested-${round}.ts`] }),
        ),
      );
      expect(replies.filter(({ status }) => status === 201)).toHaveLength(1);
      expect(replies.filter(({ status }) => status === 409)).toHaveLength(8);
    }
  });

  it('grants nothing to a run that has finished: whatever its lease says, the run was live when it was granted', async () => {
    const org = await servers[0]!.newOrg();
    const runners = await Promise.all(Array.from({ length: 8 }, () => newRunner(org)));
    await Promise.all(
      runners.flatMap((runner, index) => {
        const other = through(servers[1 + (index % 2)]!, runner);
        return [...Array.from({ length: 4 }, (_, n) => other.acquire({ paths: [`f-${index}-${n}`] })), finish(runner)];
      }),
    );
    const late = await servers[0]!.sql(
      `SELECT g.seq FROM event g JOIN event f ON f.org_id = g.org_id AND f.kind = 'run.finished' AND f.subject ->> 'id' = g.data ->> 'runId'
       WHERE g.org_id = $1 AND g.kind = 'lease.granted' AND g.seq > f.seq`,
      [org.id],
    );
    expect(late).toEqual([]);
    // A grant may slip in just before the finish and leave its row open: it is over all the same, for everybody at once.
    const paths = runners.flatMap((_, index) => Array.from({ length: 4 }, (__, n) => `f-${index}-${n}`));
    expect((await org.admin.get('/leases?limit=500')).body.items).toEqual([]);
    await servers[0]!.signalbox.services.housekeeping.pass();
    expect(await servers[0]!.sql(`SELECT id FROM lease WHERE org_id = $1 AND ended_at IS NULL`, [org.id])).toEqual([]);
    expect((await (await newRunner(org)).acquire({ paths })).status).toBe(201);
  });
});

describe('a run that finishes while its grant is being written', () => {
  it('gets nothing: the batch decides again', async () => {
    const org = await servers[0]!.newOrg();
    const runner = await newRunner(org);
    await withClient(servers[0]!.database.url, async (client) => {
      await client.query('BEGIN');
      await client.query('SELECT 1 FROM org_head WHERE org_id = $1 FOR UPDATE', [org.id]);
      const asked = runner.acquire({ paths: ['a'] });
      await untilBlocked(servers[0]!, 'hot_write');
      await client.query(`UPDATE run SET status = 'finished', ended_at = clock_timestamp() WHERE id = $1`, [
        runner.runId,
      ]);
      await client.query('COMMIT');
      expect(await asked).toMatchObject({ status: 409, body: { code: 'run_finished' } });
    });
    expect(await servers[0]!.sql('SELECT 1 FROM lease WHERE org_id = $1', [org.id])).toEqual([]);
  });
});

describe('strict order', () => {
  const DECIDED_SINCE_THE_HALT = `SELECT FROM event e WHERE e.org_id = $1 AND e.kind = 'decision.recorded'
    AND e.seq > (SELECT max(h.seq) FROM event h WHERE h.org_id = $1 AND h.kind = 'halt.set') LIMIT 1`;

  it('no decision commits under an old policy after publish has, nor past a halt, on any server', async () => {
    const org = await servers[0]!.newOrg();
    const runners = await Promise.all(Array.from({ length: 6 }, () => newRunner(org)));
    const stop = new AbortController();
    const drivers = runners.map(async (at, index) => {
      const runner = through(servers[index % 3]!, at);
      for (let n = 0; !stop.signal.aborted; n += 1)
        expect((await runner.admit({ paths: [`d${index}/${n}`], lease: n % 2 === 0 })).status).toBe(200);
    });
    const policy = (n: number) =>
      `name: p\ndefaults: { path.edit: allow }\nrules:\n  - { id: v${n}, effect: allow, actions: [path.edit] }\n`;
    for (let n = 1; n <= 5; n += 1) {
      await org.admin.put('/policies/p/draft', policy(n), { 'content-type': 'application/yaml' });
      const published = await org.admin.post('/policies/p/publish', {});
      expect([200, 201]).toContain(published.status);
      const { body: halt } = await org.admin.post('/halts', { scope: { kind: 'org' }, reason: `halt ${n}` });
      await until(async () => (await servers[0]!.sql(DECIDED_SINCE_THE_HALT, [org.id])).length > 0);
      await org.admin.delete(`/halts/${halt.id}`);
    }
    stop.abort();
    await Promise.all(drivers);
    const events = await servers[0]!.sql<{ kind: string; data: { policyVersion?: number; outcome?: string } }>(
      `SELECT kind, data FROM event WHERE org_id = $1 ORDER BY seq`,
      [org.id],
    );
    let version = 0;
    let halted = false;
    const counted = { decisions: 0, underHalt: 0 };
    for (const { kind, data } of events) {
      if (kind === 'policy.published') version += 1;
      if (kind === 'halt.set') halted = true;
      if (kind === 'halt.lifted') halted = false;
      if (kind !== 'decision.recorded') continue;
      counted.decisions += 1;
      if (halted) counted.underHalt += 1;
      expect(data.policyVersion).toBe(version);
      expect(data.outcome).toBe(halted ? 'deny' : 'allow');
    }
    expect(version).toBe(5);
    expect(counted.decisions).toBeGreaterThan(20);
    expect(counted.underHalt).toBeGreaterThanOrEqual(5);
  }, 60_000);
});
