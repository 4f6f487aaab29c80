import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Caller, startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

interface Asked {
  readonly org: TestOrg;
  readonly asker: Caller;
  readonly id: string;
}

/** An org whose deploys need the approvers given, and one deploy that waits for them. */
async function askedDeploy(rules: readonly object[] = [{}], make: (org: TestOrg) => Promise<void> = async () => {}) {
  const org = await server.newOrg();
  await make(org);
  const document = {
    defaults: { deploy: 'allow' },
    rules: rules.map((approvers, index) => ({
      id: `ask-${index}`,
      effect: 'require_approval',
      actions: ['deploy'],
      approvers,
      reason: `Reason ${index}.`,
    })),
  };
  expect((await org.admin.put('/policies/deploys/draft', document)).status).toBe(200);
  expect((await org.admin.post('/policies/deploys/publish')).status).toBe(200);
  const asker = await org.member();
  return { org, asker, id: await ask(asker) } satisfies Asked;
}

async function ask(asker: Caller, service = 'shop'): Promise<string> {
  const subject = { repo: 'acme/shop', service, environment: 'production' };
  const { body } = await asker.post('/decisions', { action: 'deploy', subject });
  expect(body.outcome).toBe('require_approval');
  return body.approvalId;
}

const approve = (caller: Caller, id: string, comment?: string) =>
  caller.post(`/approvals/${id}/votes`, { verdict: 'approve', ...(comment === undefined ? {} : { comment }) });
const reject = (caller: Caller, id: string) => caller.post(`/approvals/${id}/votes`, { verdict: 'reject' });

async function kindsOf(org: TestOrg, id: string): Promise<string[]> {
  return (await org.events()).filter(({ subject }) => subject.id === id).map(({ kind }) => kind);
}

describe('an approval without a team', () => {
  it('is settled by any other member, told in full, and spent by the next ask', async () => {
    const { org, asker, id } = await askedDeploy();
    const before = await asker.get(`/approvals/${id}`);
    expect(before.body).toMatchObject({
      id,
      status: 'pending',
      action: 'deploy',
      repo: 'acme/shop',
      reason: 'Reason 0.',
      requirements: [{ policy: 'deploys', ruleId: 'ask-0', team: null, count: 1, approved: 0, missing: 1 }],
      requester: { kind: 'member', id: asker.memberId },
      owner: null,
      loop: null,
      runId: null,
      votes: [],
      settledAt: null,
      spentAt: null,
    });
    const voter = await org.member();
    const voted = await approve(voter, id, 'Go on.');
    expect(voted.status).toBe(200);
    expect(voted.body).toMatchObject({
      status: 'approved',
      requirements: [{ approved: 1, missing: 0 }],
      votes: [{ principal: { kind: 'member', id: voter.memberId }, verdict: 'approve', comment: 'Go on.' }],
    });
    expect(voted.body.settledAt).not.toBeNull();
    const subject = { repo: 'acme/shop', service: 'shop', environment: 'production' };
    const again = await asker.post('/decisions', { action: 'deploy', subject });
    expect(again.body).toMatchObject({ outcome: 'allow', approvalId: id });
    const spent = (await asker.get(`/approvals/${id}`)).body;
    expect(spent.status).toBe('spent');
    expect(spent.spentAt).not.toBeNull();
    expect(await kindsOf(org, id)).toEqual(['approval.opened', 'approval.voted', 'approval.approved', 'approval.spent']);
  });
});
