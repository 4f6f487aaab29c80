import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { newRunner, REPO } from '../leases/support.ts';
import { HOUSE, publishPolicy } from './house.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(async () => {
  await server?.close();
});

const decisions = async (org: TestOrg) =>
  server.sql(`SELECT * FROM decision WHERE org_id = $1 ORDER BY at, id`, [org.id]);

describe('an admission', () => {
  it('without any policy is allowed, recorded as ungoverned, and comes with an exclusive lease', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const { status, body } = await ann.admit({ paths: ['src/a.ts', 'src/b.ts'], purpose: 'fix' });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      outcome: 'allow',
      decision: { outcome: 'allow', ungoverned: true, policyVersion: 0 },
      lease: { mode: 'exclusive', paths: ['src/a.ts', 'src/b.ts'], ttlSeconds: 900, purpose: 'fix' },
      context: { active: [], recent: [], upcoming: [], protected: [] },
    });
    const [row] = await decisions(org);
    expect(row).toMatchObject({ id: body.decision.id, outcome: 'allow', ungoverned: true, run_id: ann.runId });
    const kinds = (await org.events()).map(({ kind }) => kind).slice(-2);
    expect(kinds).toEqual(['decision.recorded', 'lease.granted']);
  });

  it('rides on the lease that the run holds: one lease for many edits of a file', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const first = await ann.admit({ paths: ['src/a.ts'] });
    const again = await ann.admit({ paths: ['src/a.ts'] });
    expect(again.body.lease).toMatchObject({ id: first.body.lease.id, fence: first.body.lease.fence });
    expect(await decisions(org)).toHaveLength(2);
  });

  it('answers wait when another run holds a path, says who and what is free, and keeps nothing', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    await ann.admit({ paths: ['src/a.ts'], purpose: 'renaming' });
    const before = await org.events();
    const waiting = await bob.admit({ paths: ['src/b.ts', 'src/a.ts'] });
    expect(waiting).toMatchObject({
      status: 200,
      body: {
        outcome: 'wait',
        decision: { id: null },
        conflicts: [{ witness: 'src/a.ts', purpose: 'renaming', holder: { run: { id: ann.runId } } }],
        free: ['src/b.ts'],
        context: { active: [{ paths: ['src/a.ts'] }] },
      },
    });
    expect(waiting.body.lease).toBeUndefined();
    expect(await org.events()).toEqual(before);
    expect(await decisions(org)).toHaveLength(1);
  });

  it('takes the lease that is asked for, or none', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    expect((await ann.admit({ paths: ['a'], lease: false })).body.lease).toBeUndefined();
    expect((await ann.admit({ paths: ['a'], lease: { mode: 'shared', ttlSeconds: 60 } })).body.lease).toMatchObject({
      mode: 'shared',
      ttlSeconds: 60,
    });
    const command = await ann.admit({ action: 'command.run', command: 'npm test' });
    expect(command.body).toMatchObject({ outcome: 'allow' });
    expect(command.body.lease).toBeUndefined();
  });

  it('is decided by the strictest path, with all rules that matched', async () => {
    const org = await server.newOrg();
    await publishPolicy(org, 'house', HOUSE);
    const ann = await newRunner(org);
    const denied = await ann.admit({ paths: ['src/a.ts', 'secrets/key', 'services/payments/pay.ts'] });
    expect(denied.body).toMatchObject({
      outcome: 'deny',
      decision: { outcome: 'deny', ungoverned: false, policyVersion: 1 },
    });
    expect(denied.body.lease).toBeUndefined();
    const ids = denied.body.decision.rules.map(({ id }: { id: string }) => id);
    expect(ids).toEqual(expect.arrayContaining(['no-secrets', 'payments-need-a-human']));
    expect(denied.body.decision.rules.find(({ id }: { id: string }) => id === 'no-secrets')).toMatchObject({
      policy: 'house',
      effect: 'deny',
      reason: 'Secrets live elsewhere.',
      paths: ['secrets/key'],
    });
    expect((await org.admin.get(`/leases?repo=${REPO}`)).body.items).toEqual([]);
  });

  it('records what a shadow rule would have done, and does not do it', async () => {
    const org = await server.newOrg();
    await publishPolicy(org, 'house', HOUSE);
    const ann = await newRunner(org);
    expect((await ann.admit({ paths: ['docs/x.md'] })).body.outcome).toBe('allow');
    const [row] = await decisions(org);
    expect(row).toMatchObject({ outcome: 'allow', shadow: { outcome: 'deny', rules: [{ id: 'watch-docs' }] } });
  });

  it('is denied when a required field is missing, and names it', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const { body } = await ann.admit({ action: 'deploy', subject: { service: 'web' } });
    expect(body).toMatchObject({
      outcome: 'deny',
      decision: { rules: [{ id: 'missing:environment', effect: 'deny' }] },
    });
  });

  it('refuses what is not asked right, and writes nothing', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const before = await org.events();
    expect(await ann.admit({ paths: [] })).toMatchObject({ status: 422, body: { code: 'paths_required' } });
    expect(await ann.admit({ paths: ['../x'] })).toMatchObject({ status: 422, body: { code: 'path_dot_segment' } });
    expect(await ann.admit({ paths: ['x'], action: 'path.paint' })).toMatchObject({
      status: 422,
      body: { code: 'invalid_request' },
    });
    expect(await ann.admit({ paths: ['x'], waitSeconds: -1 })).toMatchObject({
      status: 422,
      body: { code: 'wait_out_of_range' },
    });
    expect(await ann.admit({ paths: ['x'], lease: { ttlSeconds: 1 } })).toMatchObject({ status: 422 });
    expect(await ann.admit({ paths: ['x'], runId: randomUUID() })).toMatchObject({
      status: 404,
      body: { detail: 'No such run.' },
    });
    expect(await ann.admit({ paths: ['x'], runId: bob.runId })).toMatchObject({
      status: 403,
      body: { code: 'not_your_run' },
    });
    const stranger = await newRunner(await server.newOrg());
    expect(await ann.admit({ paths: ['x'], runId: stranger.runId })).toMatchObject({
      status: 404,
      body: { detail: 'No such run.' },
    });
    expect(await org.events()).toEqual(before);
  });

  it('is idempotent by key', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const key = { 'idempotency-key': randomUUID() };
    const [one, two] = await Promise.all([ann.admit({ paths: ['a'] }, key), ann.admit({ paths: ['a'] }, key)]);
    expect(one.body.decision).toEqual(two.body.decision);
    expect(one.body.lease).toEqual(two.body.lease);
    expect(await decisions(org)).toHaveLength(1);
    expect(await ann.admit({ paths: ['b'] }, key)).toMatchObject({
      status: 422,
      body: { code: 'idempotency_mismatch' },
    });
  });
});

describe('what stands above policies', () => {
  it.each(['org', 'repo', 'loop', 'team'])(
    'a halt of the %s denies, names itself, and is lifted again',
    async (kind) => {
      const org = await server.newOrg();
      const team = await org.team();
      const ann = await newRunner(org, { teams: [team] });
      const { body: repos } = await org.admin.get('/repos');
      const id = { org: undefined, repo: repos.items[0].id, loop: ann.loopId, team }[kind];
      const halt = (
        await org.admin.post('/halts', {
          scope: { kind, ...(id === undefined ? {} : { id }) },
          reason: 'stop the line',
        })
      ).body;
      const denied = await ann.admit({ paths: ['a'] });
      expect(denied.body).toMatchObject({
        outcome: 'deny',
        decision: { rules: [{ id: `halt:${halt.id}`, effect: 'deny' }] },
      });
      expect(denied.body.decision.rules[0].reason).toContain('stop the line');
      expect(await ann.acquire({ paths: ['a'] })).toMatchObject({ status: 409, body: { code: 'halted' } });
      await org.admin.delete(`/halts/${halt.id}`);
      expect((await ann.admit({ paths: ['a'] })).body.outcome).toBe('allow');
    },
  );

  it('guardrails: a loop stays in its scope and within its rounds and budget', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org, {
      loop: { scope: ['src/**'], guardrails: { maxIterations: 2, budget: '$1/run' } },
    });
    expect((await ann.admit({ paths: ['src/a.ts'] })).body.outcome).toBe('allow');
    const outside = await ann.admit({ paths: ['src/a.ts', 'docs/x.md'] });
    expect(outside.body).toMatchObject({
      outcome: 'deny',
      decision: { rules: [{ id: 'guardrail:out_of_scope', paths: ['docs/x.md'] }] },
    });
    await ann.caller.post(`/runs/${ann.runId}/heartbeat`, { epoch: 1, iteration: 3, usage: { costUsd: 1.5 } });
    const spent = await ann.admit({ paths: ['src/a.ts'] });
    const ids = spent.body.decision.rules.map(({ id }: { id: string }) => id);
    expect(spent.body.outcome).toBe('deny');
    expect(ids).toEqual(expect.arrayContaining(['guardrail:max_iterations_exceeded', 'guardrail:run_budget_reached']));
  });
});

describe('a decision', () => {
  it('answers and records, with or without a run, and never lets the caller say who or when', async () => {
    const org = await server.newOrg();
    await publishPolicy(
      org,
      'night',
      `defaults: { deploy: allow }\nrules:\n  - id: only-ops\n    effect: deny\n    actions: [deploy]\n    where: { role: { $ne: admin } }\n    reason: Operators deploy.\n`,
    );
    const ann = await newRunner(org);
    const subject = { repo: REPO, service: 'web', environment: 'production' };
    expect((await org.admin.post('/decisions', { action: 'deploy', subject })).body).toMatchObject({
      outcome: 'allow',
    });
    const denied = await ann.caller.post('/decisions', {
      action: 'deploy',
      subject: { ...subject, role: 'admin', at: '2020-01-01T00:00:00Z' },
      runId: ann.runId,
    });
    expect(denied.body).toMatchObject({
      outcome: 'deny',
      rules: [{ id: 'only-ops', policy: 'night', effect: 'deny', reason: 'Operators deploy.' }],
      policyVersion: 1,
    });
    const rows = await decisions(org);
    expect(rows.map(({ run_id }) => run_id)).toEqual([null, ann.runId]);
  });

  it('knows paths too', async () => {
    const org = await server.newOrg();
    await publishPolicy(org, 'house', HOUSE);
    const ask = async (subject: Record<string, unknown>) =>
      (await org.admin.post('/decisions', { action: 'path.edit', subject: { repo: REPO, ...subject } })).body.outcome;
    expect(await ask({ path: 'secrets/key' })).toBe('deny');
    expect(await ask({ paths: ['src/a', 'services/payments/x'] })).toBe('require_approval');
    expect(await ask({ path: 'src/a' })).toBe('allow');
    expect(await ask({})).toBe('deny');
  });
});
