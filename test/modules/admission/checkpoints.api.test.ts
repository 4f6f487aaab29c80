import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Part } from '../../../src/modules/admission/index.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { expiredFor, newRunner, REPO, type Runner } from '../leases/support.ts';
import { HOUSE, publishPolicy } from './house.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(() => server?.close());

const vote = (runner: Runner, approvalId: string, verdict = 'approve', comment?: string) =>
  runner.caller.post(`/approvals/${approvalId}/votes`, { verdict, comment });

const TWO_NEEDED = HOUSE.replace('reason: Payments', 'approvers: { count: 2 }\n    reason: Payments');

describe('a human checkpoint', () => {
  const PAY = { paths: ['services/payments/pay.ts'] };

  async function approved() {
    const org = await server.newOrg();
    await publishPolicy(org, 'house', HOUSE);
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const { approvalId } = (await ann.admit(PAY)).body.decision;
    expect((await vote(bob, approvalId)).body.status).toBe('approved');
    return { org, ann, approvalId };
  }

  it('is opened once, voted on by another, spent once, and carries the edits under its lease', async () => {
    const org = await server.newOrg();
    await publishPolicy(org, 'house', HOUSE);
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
    await publishPolicy(org, 'house', HOUSE);
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
    await publishPolicy(org, 'house', HOUSE);
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
    await publishPolicy(org, 'house', HOUSE);
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
    await publishPolicy(org, 'house', HOUSE);
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
    await publishPolicy(org, 'house', HOUSE);
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const { approvalId } = (await ann.admit(PAY)).body.decision;
    await vote(bob, approvalId);
    const passed = await ann.admit(PAY);
    expect(passed.body.outcome).toBe('allow');
    await publishPolicy(org, 'house', TWO_NEEDED);
    const held = await ann.admit(PAY);
    expect(held.body.outcome).toBe('require_approval');
    expect(held.body.decision.approvalId).not.toBe(approvalId);
  });

  it.each([
    ['before it is voted on', 'pending'],
    ['before it is spent', 'approved'],
  ])('does not count for a policy that asks for more %s', async (_when, status) => {
    const org = await server.newOrg();
    await publishPolicy(org, 'house', HOUSE);
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const { approvalId } = (await ann.admit(PAY)).body.decision;
    if (status === 'approved') await vote(bob, approvalId);
    expect((await org.admin.get(`/approvals/${approvalId}`)).body.status).toBe(status);
    await publishPolicy(org, 'house', TWO_NEEDED);
    const held = await ann.admit(PAY);
    expect(held.body.outcome).toBe('require_approval');
    expect(held.body.decision.approvalId).not.toBe(approvalId);
    expect((await org.admin.get(`/approvals/${approvalId}`)).body.status).toBe('expired');
    expect((await vote(bob, held.body.decision.approvalId)).body.status).toBe('pending');
    expect((await ann.admit(PAY)).body.outcome).toBe('require_approval');
  });

  it('carries no other action than the one that was approved', async () => {
    const org = await server.newOrg();
    await publishPolicy(org, 'house', HOUSE);
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    await vote(bob, (await ann.admit(PAY)).body.decision.approvalId);
    expect((await ann.admit(PAY)).body.outcome).toBe('allow');
    expect((await ann.admit({ ...PAY, action: 'path.delete' })).body.outcome).toBe('require_approval');
  });

  it('is not lost with a shared lease that an exclusive one would take the place of', async () => {
    const org = await server.newOrg();
    await publishPolicy(org, 'house', HOUSE);
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const shared = { ...PAY, lease: { mode: 'shared' } };
    await vote(bob, (await ann.admit(shared)).body.decision.approvalId);
    const { lease } = (await ann.admit(shared)).body;
    expect((await ann.acquire(PAY)).body.lease).toMatchObject({ mode: 'exclusive' });
    expect((await ann.admit(shared)).body).toMatchObject({ outcome: 'allow' });
    expect((await org.admin.get(`/leases/${lease.id}`)).body.state).toBe('live');
  });

  it('that was given is over at its time, though nobody has spent it', async () => {
    const { org, ann, approvalId } = await approved();
    await server.sql(`UPDATE approval SET expires_at = clock_timestamp() - interval '1 s' WHERE id = $1`, [approvalId]);
    const asked = (await ann.admit(PAY)).body;
    expect(asked).toMatchObject({ outcome: 'require_approval', decision: { approvalId: expect.any(String) } });
    expect(asked.decision.approvalId).not.toBe(approvalId);
    expect((await org.admin.get(`/approvals/${approvalId}`)).body.status).toBe('expired');
  });

  it('carries nothing once the lease has expired that was granted on it', async () => {
    const { ann, approvalId } = await approved();
    const { lease } = (await ann.admit(PAY)).body;
    await expiredFor(server, lease.id, 1);
    const asked = (await ann.admit(PAY)).body;
    expect(asked.outcome).toBe('require_approval');
    expect(asked.decision.approvalId).not.toBe(approvalId);
  });

  it('is bound to a lease also where the run held one before anybody asked for approvals', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    expect((await ann.acquire(PAY)).status).toBe(201);
    await publishPolicy(org, 'house', HOUSE);
    const { approvalId } = (await ann.admit(PAY)).body.decision;
    await vote(bob, approvalId);
    for (const _edit of ['the one that spends it', 'the one that rides on it'])
      expect((await ann.admit(PAY)).body).toMatchObject({ outcome: 'allow', decision: { approvalId } });
  });

  it('carries no request of several parts of which one is another action', async () => {
    const { org, ann, approvalId } = await approved();
    expect((await ann.admit(PAY)).body.outcome).toBe('allow');
    const { keyId, memberId } = ann.caller;
    const subjects = PAY.paths.map((path) => ({ path }));
    const lease = { mode: 'exclusive', ttlSeconds: 60 } as const;
    const ask = (parts: readonly Part[]) =>
      server.signalbox.services.admissions.admit(
        { orgId: org.id, keyId, role: 'member', memberId, loopId: null },
        { runId: ann.runId, repo: REPO, action: 'path.edit', parts, contentDigest: null, purpose: null, lease },
        null,
      );
    const edit: Part = { action: 'path.edit', subjects };
    expect(await ask([edit])).toMatchObject({ outcome: 'allow', decision: { approvalId } });
    expect(await ask([edit, { action: 'path.delete', subjects }])).toMatchObject({ outcome: 'require_approval' });
  });
});
