import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { newRunner, REPO, type Runner } from '../leases/support.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(async () => {
  await server?.close();
});

async function publish(org: TestOrg, name: string, body: string): Promise<void> {
  const draft = await org.admin.put(`/policies/${name}/draft`, `name: ${name}\n${body}`, {
    'content-type': 'application/yaml',
  });
  if (draft.status !== 200) throw new Error(JSON.stringify(draft.body));
  const published = await org.admin.post(`/policies/${name}/publish`, {});
  if (published.status !== 200 && published.status !== 201) throw new Error(JSON.stringify(published.body));
}

const HOUSE = `
defaults: { path.edit: allow, path.delete: allow, deploy: allow }
rules:
  - id: payments-need-a-human
    effect: require_approval
    actions: [path.edit, path.delete]
    where: { repo: acme/shop, path: { $glob: "services/payments/**" } }
    reason: Payments code moves money.
  - id: no-secrets
    effect: deny
    actions: [path.edit]
    where: { path: { $glob: "secrets/**" } }
    reason: Secrets live elsewhere.
  - id: watch-docs
    effect: deny
    mode: shadow
    actions: [path.edit]
    where: { path: { $glob: "docs/**" } }
    reason: We consider freezing the docs.
`;

const decisions = async (org: TestOrg) =>
  server.sql(`SELECT * FROM decision WHERE org_id = $1 ORDER BY at, id`, [org.id]);
const vote = (runner: Runner, approvalId: string, verdict = 'approve', comment?: string) =>
  runner.caller.post(`/approvals/${approvalId}/votes`, { verdict, comment });

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
    await publish(org, 'house', HOUSE);
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
    await publish(org, 'house', HOUSE);
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

describe('what the hot operations answer', () => {
  it('is what their schemas say, though it is written without them', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const { lease } = (await ann.acquire({ paths: ['a'], purpose: 'p' })).body;
    const answers = {
      '/admissions': [
        await ann.admit({ paths: ['b'] }),
        await bob.admit({ paths: ['a', 'c'] }),
        await ann.admit({ action: 'deploy' }),
      ],
      '/decisions': [await ann.caller.post('/decisions', { action: 'budget.spend', subject: { usd: 3 } })],
      '/leases': [await ann.acquire({ patterns: ['d/**'] })],
      '/leases/{id}/renew': [await ann.caller.post(`/leases/${lease.id}/renew`, { fence: lease.fence })],
      '/leases/{id}/release': [await ann.caller.post(`/leases/${lease.id}/release`, { fence: lease.fence })],
    };
    const document = (await org.admin.get('//docs/json')).body;
    for (const [path, replies] of Object.entries(answers)) {
      for (const { status, body } of replies) {
        const { schema } = document.paths[`/api/v1${path}`].post.responses[status].content['application/json'];
        expect(mismatches(schema, body, document.components.schemas), path).toEqual([]);
      }
    }
  });
});

type Schema = {
  $ref?: string;
  type?: string | string[];
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  anyOf?: Schema[];
  enum?: unknown[];
  additionalProperties?: unknown;
};

/** Where a value is not what a JSON Schema (the part of it that our documents use) says: wrong type, missing or unknown member. */
function mismatches(schema: Schema, value: unknown, named: Record<string, Schema>, at = '$'): string[] {
  if (schema.$ref !== undefined) return mismatches(named[schema.$ref.split('/').at(-1)!]!, value, named, at);
  if (schema.anyOf !== undefined)
    return schema.anyOf.some((one) => mismatches(one, value, named, at).length === 0)
      ? []
      : [`${at}: none of ${schema.anyOf.length}`];
  if (schema.enum !== undefined) return schema.enum.includes(value) ? [] : [`${at}: ${String(value)}`];
  const is =
    value === null ? 'null' : Array.isArray(value) ? 'array' : Number.isInteger(value) ? 'integer' : typeof value;
  const types = schema.type === undefined ? [] : [schema.type].flat();
  const fits = types.length === 0 || types.includes(is) || (types.includes('number') && is === 'integer');
  if (!fits) return [`${at}: ${is} is not ${types.join(' or ')}`];
  if (is === 'array')
    return (value as unknown[]).flatMap((item, index) =>
      mismatches(schema.items ?? {}, item, named, `${at}[${index}]`),
    );
  if (is !== 'object' || schema.properties === undefined) return [];
  const members = value as Record<string, unknown>;
  const missing = (schema.required ?? []).filter((name) => !(name in members)).map((name) => `${at}.${name}: missing`);
  const unknown = Object.keys(members)
    .filter((name) => !(name in schema.properties!))
    .map((name) => `${at}.${name}: not in the schema`);
  const inner = Object.entries(schema.properties).flatMap(([name, property]) =>
    name in members ? mismatches(property, members[name], named, `${at}.${name}`) : [],
  );
  return [...missing, ...unknown, ...inner];
}

describe('a human checkpoint', () => {
  const PAY = { paths: ['services/payments/pay.ts'] };

  it('is opened once, voted on by another, spent once, and carries the edits under its lease', async () => {
    const org = await server.newOrg();
    await publish(org, 'house', HOUSE);
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const held = await ann.admit(PAY);
    expect(held.body).toMatchObject({ outcome: 'require_approval', decision: { approvalId: expect.any(String) } });
    const { approvalId } = held.body.decision;
    expect((await ann.admit(PAY)).body.decision.approvalId).toBe(approvalId);
    expect((await vote(ann, approvalId)).status).toBe(403);
    expect(await vote(bob, approvalId)).toMatchObject({ status: 200, body: { status: 'approved' } });
    const passed = await ann.admit(PAY);
    expect(passed.body).toMatchObject({ outcome: 'allow', decision: { approvalId }, lease: { paths: PAY.paths } });
    expect((await org.admin.get(`/approvals/${approvalId}`)).body.status).toBe('spent');
    const riding = await ann.admit(PAY);
    expect(riding.body).toMatchObject({
      outcome: 'allow',
      decision: { approvalId },
      lease: { id: passed.body.lease.id },
    });
    const { id, fence } = passed.body.lease;
    await ann.caller.post(`/leases/${id}/release`, { fence });
    const next = await ann.admit(PAY);
    expect(next.body.outcome).toBe('require_approval');
    expect(next.body.decision.approvalId).not.toBe(approvalId);
  });

  it('binds to the loop, the action and the paths, not to the run, and not to another path', async () => {
    const org = await server.newOrg();
    await publish(org, 'house', HOUSE);
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const { approvalId } = (await ann.admit(PAY)).body.decision;
    await vote(bob, approvalId);
    expect((await ann.admit({ paths: ['services/payments/other.ts'] })).body.outcome).toBe('require_approval');
    expect((await ann.admit({ ...PAY, action: 'path.delete' })).body.outcome).toBe('require_approval');
    expect((await ann.admit({ ...PAY, contentDigest: 'sha256:1' })).body.outcome).toBe('require_approval');
    expect((await bob.admit(PAY)).body.outcome).toBe('require_approval');
    await ann.caller.post(`/runs/${ann.runId}/finish`, { epoch: 1, outcome: { status: 'failed' } });
    const { body: run } = await ann.caller.post(`/loops/${ann.loopId}/runs`, {});
    expect((await ann.admit({ ...PAY, runId: run.id })).body).toMatchObject({
      outcome: 'allow',
      decision: { approvalId },
    });
  });

  it('is not spent when the lease conflicts, and not twice by a retry', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const { lease } = (await bob.acquire(PAY)).body;
    await publish(org, 'house', HOUSE);
    const { approvalId } = (await ann.admit(PAY)).body.decision;
    await vote(bob, approvalId);
    expect((await ann.admit(PAY)).body.outcome).toBe('wait');
    expect((await org.admin.get(`/approvals/${approvalId}`)).body.status).toBe('approved');
    await bob.caller.post(`/leases/${lease.id}/release`, { fence: lease.fence });
    const key = { 'idempotency-key': 'toolu_1' };
    const [one, two] = [await ann.admit(PAY, key), await ann.admit(PAY, key)];
    expect(one.body.decision).toEqual(two.body.decision);
    expect((await org.events()).filter(({ kind }) => kind === 'approval.spent')).toHaveLength(1);
  });

  it('spends one approval once when the same request comes many times at once', async () => {
    const org = await server.newOrg();
    await publish(org, 'house', HOUSE);
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const { approvalId } = (await ann.admit({ ...PAY, lease: false })).body.decision;
    await vote(bob, approvalId);
    const replies = await Promise.all(Array.from({ length: 10 }, () => ann.admit({ ...PAY, lease: false })));
    const outcomes = replies.map(({ body }): string => body.outcome);
    expect(outcomes.filter((outcome) => outcome === 'allow')).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === 'require_approval')).toHaveLength(9);
    const reopened = new Set(
      replies.filter(({ body }) => body.outcome !== 'allow').map(({ body }) => body.decision.approvalId),
    );
    expect(reopened.size).toBe(1);
    expect(reopened).not.toContain(approvalId);
  });

  it('a no is a no with its reason, until it runs out', async () => {
    const org = await server.newOrg();
    await publish(org, 'house', HOUSE);
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const { approvalId } = (await ann.admit(PAY)).body.decision;
    await vote(bob, approvalId, 'reject', 'ask me on Monday');
    const denied = await ann.admit(PAY);
    expect(denied.body).toMatchObject({
      outcome: 'deny',
      decision: { rules: [{ id: `approval:${approvalId}`, effect: 'deny' }, { id: 'payments-need-a-human' }] },
    });
    expect(denied.body.decision.rules[0].reason).toContain('ask me on Monday');
    await server.sql(`UPDATE approval SET expires_at = clock_timestamp() - interval '1 s' WHERE id = $1`, [approvalId]);
    expect((await ann.admit(PAY)).body.outcome).toBe('require_approval');
  });

  it('does not carry over to a policy that asks for more', async () => {
    const org = await server.newOrg();
    await publish(org, 'house', HOUSE);
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const { approvalId } = (await ann.admit(PAY)).body.decision;
    await vote(bob, approvalId);
    const passed = await ann.admit(PAY);
    expect(passed.body.outcome).toBe('allow');
    await publish(org, 'house', HOUSE.replace('reason: Payments', 'approvers: { count: 2 }\n    reason: Payments'));
    const held = await ann.admit(PAY);
    expect(held.body.outcome).toBe('require_approval');
    expect(held.body.decision.approvalId).not.toBe(approvalId);
  });
});

describe('a decision', () => {
  it('answers and records, with or without a run, and never lets the caller say who or when', async () => {
    const org = await server.newOrg();
    await publish(
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
    await publish(org, 'house', HOUSE);
    const ask = async (subject: Record<string, unknown>) =>
      (await org.admin.post('/decisions', { action: 'path.edit', subject: { repo: REPO, ...subject } })).body.outcome;
    expect(await ask({ path: 'secrets/key' })).toBe('deny');
    expect(await ask({ paths: ['src/a', 'services/payments/x'] })).toBe('require_approval');
    expect(await ask({ path: 'src/a' })).toBe('allow');
    expect(await ask({})).toBe('deny');
  });
});
