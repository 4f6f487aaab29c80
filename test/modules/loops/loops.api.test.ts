import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../support/server.ts';

/** As it stands in the articles that this project started from. */
const DAILY_TRIAGE = `name: daily-triage
trigger: cron("0 9 * * MON-FRI")
isolation: worktree
steps:
  - discover: { run: scan_ci_failures + open_issues + recent_commits, write_to: state/triage.md }
  - act: { for_each: finding in state/triage.md, spawn: implementer(finding), isolation: worktree }
  - verify: { agent: reviewer, check: tests_pass AND lint_clean AND diff_reasonable }
  - ship: { if: verified, run: open_pr + link_issue + notify_slack }
guardrails: { max_iterations: 3, budget: $5/run, halt_on: no_progress(2) }
`;
const YAML = { 'content-type': 'application/yaml' };

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

const withoutRequestId = (body: Record<string, unknown>) => ({ ...body, requestId: null });

describe('registering a loop', () => {
  it('takes a definition from the wild as YAML', async () => {
    const org = await server.newOrg();
    const ann = await org.member();
    const made = await ann.post('/loops?repo=acme/shop', DAILY_TRIAGE, YAML);
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({
      name: 'daily-triage',
      repo: 'acme/shop',
      version: 1,
      digest: expect.stringMatching(/^[0-9a-f]{64}$/),
      owner: { kind: 'member', id: ann.memberId },
      teamId: null,
      labels: {},
      scope: null,
      trigger: { kind: 'cron', expression: '0 9 * * MON-FRI' },
      guardrails: { maxIterations: 3, budgets: [{ usd: 5, per: 'run' }], haltOn: [{ kind: 'no_progress', rounds: 2 }] },
      warnings: [],
      definition: { isolation: 'worktree', repo: 'acme/shop' },
    });
    expect(made.body.definition.steps).toHaveLength(4);
    const { warnings, ...loop } = made.body;
    expect(warnings).toEqual([]);
    expect((await org.admin.get(`/loops/${made.body.id}`)).body).toEqual(loop);
  });

  it('answers 200 for the same definition in any form, and 201 with a new version for another', async () => {
    const org = await server.newOrg();
    const ann = await org.member();
    const first = await ann.post('/loops', { name: 'x', repo: 'acme/shop', labels: { a: '1' } });
    const same = await ann.post('/loops?repo=acme/shop', 'labels: {a: "1"}\nname: x # the same\n', YAML);
    expect(same.status).toBe(200);
    expect(same.body).toEqual(first.body);
    const next = await ann.post('/loops', { name: 'x', repo: 'acme/shop', labels: { a: '2' } });
    expect(next.status).toBe(201);
    expect(next.body).toMatchObject({
      id: first.body.id,
      version: 2,
      labels: { a: '2' },
      createdAt: first.body.createdAt,
    });
    const versions = await server.sql('SELECT version, digest FROM loop_version WHERE loop_id = $1 ORDER BY version', [
      first.body.id,
    ]);
    expect(versions).toEqual([
      { version: 1, digest: first.body.digest },
      { version: 2, digest: next.body.digest },
    ]);
    const told = (await org.events()).filter((event) => event.subject.kind === 'loop');
    expect(told.map((event) => event.kind)).toEqual(['loop.registered', 'loop.changed']);
  });

  it('makes one loop of many concurrent registrations on two servers, and numbers versions without a gap', async () => {
    const org = await server.newOrg();
    const there = second.caller(org.admin.secret);
    const replies = await Promise.all(
      Array.from({ length: 16 }, (_, i) =>
        (i % 2 === 0 ? org.admin : there).post('/loops', {
          name: 'x',
          repo: 'acme/shop',
          description: `variant ${i % 4}`,
        }),
      ),
    );
    expect(new Set(replies.map((reply) => reply.body.id)).size).toBe(1);
    expect(replies.every((reply) => [200, 201].includes(reply.status))).toBe(true);
    const made = replies.filter((reply) => reply.status === 201).map((reply) => reply.body.version as number);
    expect(made.toSorted((a, b) => a - b)).toEqual(made.map((_, i) => i + 1));
    const told = (await org.events()).filter((event) => event.subject.kind === 'loop');
    expect(told.map((event) => event.data['version'])).toEqual(made.map((_, i) => i + 1));
  });

  it('tells an owner apart from another, and a repo from another', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await org.member(), await org.member()];
    const ids = new Set<string>();
    for (const who of [ann, bob]) {
      for (const repo of ['acme/shop', 'acme/api']) ids.add((await who.post('/loops', { name: 'x', repo })).body.id);
    }
    expect(ids.size).toBe(4);
    const names = async (query: string) => (await org.admin.get(`/loops?${query}`)).body.items;
    expect(await names('repo=acme/shop')).toHaveLength(2);
    expect(await names(`owner=${ann.memberId}`)).toHaveLength(2);
    expect(await names(`owner=${ann.memberId}&repo=acme/api`)).toHaveLength(1);
    const page = (await org.admin.get('/loops?limit=3')).body;
    const rest = (await org.admin.get(`/loops?limit=3&cursor=${page.nextCursor}`)).body;
    expect(new Set([...page.items, ...rest.items].map((loop: { id: string }) => loop.id))).toEqual(ids);
    const another = await org.key('member', { memberId: ann.memberId });
    expect((await another.post('/loops', { name: 'x', repo: 'acme/shop' })).status).toBe(200);
  });

  it('refuses a bad document with every mistake, its path and its line, and registers nothing', async () => {
    const org = await server.newOrg();
    const bad = await org.admin.post(
      '/loops',
      'name: x\nguardrails:\n  max_iterations: many\nscope: ["a/**b"]\n',
      YAML,
    );
    expect(bad).toMatchObject({ status: 422, body: { code: 'loop_invalid' } });
    expect(bad.body.errors).toEqual([
      { path: 'guardrails.max_iterations', line: 3, reason: expect.any(String) },
      { path: 'scope[0]', line: 4, reason: expect.any(String) },
    ]);
    const cases: [unknown, string][] = [
      [{ name: 'x' }, 'repo'],
      [{ repo: 'acme/shop' }, 'name'],
      [{ name: 'x', repo: '../shop' }, 'repo'],
      [[], ''],
      ['just text', ''],
    ];
    for (const [body, path] of cases) {
      const reply = await org.admin.post('/loops', JSON.stringify(body), { 'content-type': 'application/json' });
      expect(reply, JSON.stringify(body)).toMatchObject({ status: 422, body: { code: 'loop_invalid' } });
      expect(reply.body.errors[0].path).toBe(path);
    }
    expect((await org.admin.post('/loops', 'name: [', YAML)).body.code).toBe('loop_invalid');
    expect((await org.admin.post('/loops', 'name: "a\\0b"\nrepo: acme/shop', YAML)).body.code).toBe('loop_invalid');
    expect((await org.admin.post('/loops')).body.code).toBe('loop_invalid');
    expect((await org.admin.post('/loops?repo=nope', { name: 'x' })).status).toBe(422);
    expect((await org.admin.get('/loops')).body.items).toEqual([]);
    expect((await org.admin.get('/repos')).body.items).toEqual([]);
  });

  it('gives a loop to a team that exists and that the caller is in', async () => {
    const org = await server.newOrg();
    const team = await org.team('payments');
    const [inside, outside] = [await org.member({ teams: [team] }), await org.member()];
    const definition = { name: 'x', repo: 'acme/shop', team: 'payments' };
    expect((await inside.post('/loops', definition)).body).toMatchObject({ teamId: team });
    expect((await org.admin.post('/loops', { ...definition, team })).body).toMatchObject({ teamId: team });
    expect(await outside.post('/loops', definition)).toMatchObject({ status: 403, body: { code: 'not_in_team' } });
    const foreign = await (await server.newOrg()).team('theirs');
    for (const unknown of ['theirs', foreign]) {
      expect(await inside.post('/loops', { ...definition, team: unknown })).toMatchObject({
        status: 422,
        body: { code: 'loop_invalid', errors: [{ path: 'team' }] },
      });
    }
    expect((await inside.post('/loops', { name: 'x', repo: 'acme/shop' })).body).toMatchObject({
      teamId: null,
      version: 2,
    });
  });

  it('lets a key that is bound to a loop register that loop again, for its owner, and no other', async () => {
    const org = await server.newOrg();
    const team = await org.team('payments');
    const ann = await org.member({ teams: [team] });
    const made = await ann.post('/loops', { name: 'x', repo: 'acme/shop', team: 'payments' });
    const key = await org.key('loop', { loopId: made.body.id });
    const again = await key.post('/loops', { name: 'x', repo: 'acme/shop', team: 'payments', description: 'new' });
    expect(again).toMatchObject({ status: 201, body: { id: made.body.id, version: 2, owner: made.body.owner } });
    for (const other of [
      { name: 'y', repo: 'acme/shop' },
      { name: 'x', repo: 'acme/api' },
    ]) {
      expect(await key.post('/loops', other)).toMatchObject({ status: 403, body: { code: 'not_your_loop' } });
    }
    expect((await org.admin.get('/repos?name=acme/api')).body.items).toEqual([]);
  });

  it('replays by Idempotency-Key', async () => {
    const org = await server.newOrg();
    const send = (description: string) =>
      org.admin.post('/loops', { name: 'x', repo: 'acme/shop', description }, { 'idempotency-key': 'k' });
    const first = await send('a');
    const replayed = await send('a');
    expect([replayed.status, replayed.body]).toEqual([201, first.body]);
    expect((await send('b')).body.code).toBe('idempotency_mismatch');
  });
});

describe('reading loops', () => {
  it("answers another org's id like one that does not exist", async () => {
    const org = await server.newOrg();
    const other = await server.newOrg();
    const { body: loop } = await org.admin.post('/loops', { name: 'x', repo: 'acme/shop' });
    const hidden = await other.admin.get(`/loops/${loop.id}`);
    const unknown = await other.admin.get(`/loops/${randomUUID()}`);
    expect(hidden.status).toBe(404);
    expect(withoutRequestId(hidden.body)).toEqual(withoutRequestId(unknown.body));
    expect((await other.admin.get('/loops?repo=acme/shop')).body.items).toEqual([]);
  });

  it('is for every role, registering is not', async () => {
    const org = await server.newOrg();
    const { body: loop } = await org.admin.post('/loops', { name: 'x', repo: 'acme/shop' });
    for (const role of ['member', 'loop', 'sre', 'viewer'] as const) {
      const key = await org.key(role);
      expect((await key.get(`/loops/${loop.id}`)).status).toBe(200);
      const status = (await key.post('/loops', { name: role, repo: 'acme/shop' })).status;
      expect([role, status]).toEqual([role, role === 'member' || role === 'loop' ? 201 : 403]);
    }
  });

  it('is described in the OpenAPI document', async () => {
    const { body } = await (await server.newOrg()).admin.get('//docs/json');
    expect(Object.keys(body.paths)).toEqual(
      expect.arrayContaining([
        '/api/v1/loops',
        '/api/v1/loops/{id}/runs',
        '/api/v1/runs/{id}/heartbeat',
        '/api/v1/halts',
      ]),
    );
  });
});
