import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Caller, type Reply, startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';

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
    expect(await kindsOf(org, id)).toEqual([
      'approval.opened',
      'approval.voted',
      'approval.approved',
      'approval.spent',
    ]);
  });
});

describe('who may not vote', () => {
  it('refuses the requester, through any of their keys', async () => {
    const { org, asker, id } = await askedDeploy();
    const otherKey = await org.key('admin', { memberId: asker.memberId });
    for (const caller of [asker, otherKey]) {
      const reply = await approve(caller, id);
      expect([reply.status, reply.body.code]).toEqual([403, 'own_request']);
    }
    expect((await asker.get(`/approvals/${id}`)).body).toMatchObject({ status: 'pending', votes: [] });
  });

  it("refuses the loop's owner and every key of a loop, and takes somebody else's vote", async () => {
    const org = await server.newOrg();
    await publishAsk(org, {});
    const owner = await org.member();
    const loop = await owner.post('/loops', { name: 'release', repo: 'acme/shop' });
    const loopKey = await org.key('loop', { loopId: loop.body.id });
    const run = await loopKey.post(`/loops/${loop.body.id}/runs`, {});
    expect(run.status).toBe(201);
    const subject = { repo: 'acme/shop', service: 'shop', environment: 'production' };
    const asked = await loopKey.post('/decisions', { action: 'deploy', subject, runId: run.body.id });
    const id: string = asked.body.approvalId;

    expect((await approve(owner, id)).body.code).toBe('own_request');
    expect((await approve(loopKey, id)).body.code).toBe('forbidden');
    const other = await org.member();
    const boundToLoop = await org.key('member', { memberId: other.memberId, loopId: loop.body.id });
    expect((await approve(boundToLoop, id)).body.code).toBe('not_an_approver');
    for (const role of ['sre', 'viewer'] as const)
      expect((await approve(await org.key(role), id)).body.code).toBe('forbidden');

    expect((await loopKey.get(`/approvals/${id}`)).body).toMatchObject({
      owner: { kind: 'member', id: owner.memberId },
      requester: { kind: 'key', id: loopKey.keyId },
      loop: { id: loop.body.id, name: 'release' },
      runId: run.body.id,
    });
    expect((await approve(other, id)).body.status).toBe('approved');
  });

  it('shows a key of a loop only what its own loop or principal asked for', async () => {
    const { org, asker, id } = await askedDeploy();
    const stranger = await org.key('loop');
    expect((await stranger.get(`/approvals/${id}`)).status).toBe(404);
    expect((await stranger.get('/approvals')).status).toBe(403);
    const own = await org.key('loop', { memberId: asker.memberId });
    expect((await own.get(`/approvals/${id}`)).body.id).toBe(id);
  });

  it('is not there for another org', async () => {
    const { id } = await askedDeploy();
    const other = await server.newOrg();
    const member = await other.member();
    expect((await approve(member, id)).status).toBe(404);
    expect((await member.get(`/approvals/${id}?waitSeconds=5`)).status).toBe(404);
    expect((await member.get('/approvals')).body.items).toEqual([]);
  });

  it('refuses a vote that is none', async () => {
    const { org, id } = await askedDeploy();
    const voter = await org.member();
    const reply = await voter.post(`/approvals/${id}/votes`, { verdict: 'maybe' });
    expect([reply.status, reply.body.code]).toEqual([422, 'invalid_request']);
    expect((await voter.get(`/approvals/${id}?waitSeconds=61`)).status).toBe(422);
  });
});

async function publishAsk(org: TestOrg, approvers: object): Promise<void> {
  const rule = { id: 'ask', effect: 'require_approval', actions: ['deploy'], approvers, reason: 'Look first.' };
  await org.admin.put('/policies/deploys/draft', { defaults: { deploy: 'allow' }, rules: [rule] });
  expect((await org.admin.post('/policies/deploys/publish')).status).toBe(200);
}

describe('requirements', () => {
  it('counts only the team that a rule names, and needs every rule met', async () => {
    let payments = '';
    const { org, asker, id } = await askedDeploy([{ team: 'payments', count: 2 }, {}], async (made) => {
      payments = await made.team('payments');
    });
    const [first, second] = [await org.member({ teams: [payments] }), await org.member({ teams: [payments] })];
    const outsider = await org.member();
    const missing = (reply: Reply) =>
      reply.body.requirements.map((requirement: { missing: number }) => requirement.missing);

    const one = await approve(outsider, id);
    expect([one.body.status, missing(one)]).toEqual(['pending', [2, 0]]);
    const two = await approve(first, id);
    expect([two.body.status, missing(two)]).toEqual(['pending', [1, 0]]);
    const three = await approve(second, id);
    expect([three.body.status, missing(three)]).toEqual(['approved', [0, 0]]);
    expect((await asker.get(`/approvals/${id}`)).body.votes).toHaveLength(3);
  });

  it('refuses who is in none of the teams, and does not count who has left', async () => {
    let payments = '';
    const { org, id } = await askedDeploy([{ team: 'payments', count: 2 }], async (made) => {
      payments = await made.team('payments');
    });
    expect((await approve(org.admin, id)).body.code).toBe('not_an_approver');
    const leaver = await org.member({ teams: [payments] });
    const [second, third] = [await org.member({ teams: [payments] }), await org.member({ teams: [payments] })];
    await approve(leaver, id);
    await org.admin.delete(`/teams/${payments}/members/${leaver.memberId}`);
    expect((await approve(second, id)).body.status).toBe('pending');
    expect((await approve(third, id)).body.status).toBe('approved');
  });

  it('is rejected by one who may vote, and the loop is told so', async () => {
    const { org, asker, id } = await askedDeploy([{ count: 3 }]);
    const [first, second] = [await org.member(), await org.member()];
    await approve(first, id);
    expect((await reject(second, id)).body.status).toBe('rejected');
    expect(await kindsOf(org, id)).toEqual([
      'approval.opened',
      'approval.voted',
      'approval.voted',
      'approval.rejected',
    ]);
    const subject = { repo: 'acme/shop', service: 'shop', environment: 'production' };
    expect((await asker.post('/decisions', { action: 'deploy', subject })).body.outcome).toBe('deny');
  });
});

describe('voting again', () => {
  it('replays the same verdict, also when it settled the approval, and refuses another', async () => {
    const { org, id } = await askedDeploy([{ count: 2 }]);
    const [first, second, third] = [await org.member(), await org.member(), await org.member()];
    await approve(first, id, 'First.');
    const replay = await approve(first, id, 'Second.');
    expect(replay.body.votes.map((vote: { comment: string }) => vote.comment)).toEqual(['First.']);
    const changed = await reject(first, id);
    expect([changed.status, changed.body.code]).toEqual([409, 'already_voted']);

    expect((await approve(second, id)).body.status).toBe('approved');
    expect((await approve(second, id)).body.status).toBe('approved');
    const late = await approve(third, id);
    expect([late.status, late.body.code, late.body.approvalStatus]).toEqual([409, 'approval_settled', 'approved']);
    expect(late.body.status).toBe(409);
    const kinds = await kindsOf(org, id);
    expect(kinds.filter((kind) => kind === 'approval.voted')).toHaveLength(2);
  });

  it('counts concurrent votes exactly: of ten at once, as many as it takes, and settles once', async () => {
    const { org, id } = await askedDeploy([{ count: 4 }]);
    const voters = await Promise.all(Array.from({ length: 10 }, () => org.member()));
    const replies = await Promise.all(voters.map((voter) => approve(voter, id)));
    const statuses = replies.map(({ status }) => status).toSorted((a, b) => a - b);
    expect(statuses).toEqual([200, 200, 200, 200, 409, 409, 409, 409, 409, 409]);
    const kinds = await kindsOf(org, id);
    expect(kinds.filter((kind) => kind === 'approval.voted')).toHaveLength(4);
    expect(kinds.filter((kind) => kind === 'approval.approved')).toHaveLength(1);
  });

  it('settles one way when an approve and a reject come at once', async () => {
    for (let round = 0; round < 5; round += 1) {
      const { org, id } = await askedDeploy();
      const [yes, no] = [await org.member(), await org.member()];
      const [a, b] = await Promise.all([approve(yes, id), reject(no, id)]);
      expect([a.status, b.status].toSorted((x, y) => x - y)).toEqual([200, 409]);
      const kinds = (await kindsOf(org, id)).filter((kind) => /approved|rejected/.test(kind));
      expect(kinds).toEqual([a.status === 200 ? 'approval.approved' : 'approval.rejected']);
    }
  });

  it('answers a repeated request under its Idempotency-Key as the first time', async () => {
    const { org, id } = await askedDeploy([{ count: 2 }]);
    const [first, second] = [await org.member(), await org.member()];
    const headers = { 'idempotency-key': 'vote-1' };
    const vote = () => first.post(`/approvals/${id}/votes`, { verdict: 'approve' }, headers);
    const answer = await vote();
    await approve(second, id);
    expect((await vote()).body).toEqual(answer.body);
  });
});

describe('an approval that was given', () => {
  it('lets one ask through, of many at once on two servers', async () => {
    const { org, asker, id } = await askedDeploy();
    await approve(await org.member(), id);
    const second = await startTestServer({ database: server.database });
    try {
      const callers = [asker, second.caller(asker.secret)];
      const subject = { repo: 'acme/shop', service: 'shop', environment: 'production' };
      const replies = await Promise.all(
        Array.from({ length: 16 }, (_, index) => callers[index % 2]!.post('/decisions', { action: 'deploy', subject })),
      );
      const outcomes = replies.map(({ body }) => body.outcome);
      expect(outcomes.filter((outcome) => outcome === 'allow')).toHaveLength(1);
      expect(outcomes.filter((outcome) => outcome === 'require_approval')).toHaveLength(15);
      // All the others wait for one and the same new approval.
      expect(new Set(replies.map(({ body }) => body.approvalId)).size).toBe(2);
    } finally {
      await second.close();
    }
  });
});

describe('an approval whose time has passed', () => {
  const age = (id: string) =>
    server.sql(`UPDATE approval SET expires_at = clock_timestamp() - interval '1 second' WHERE id = $1`, [id]);

  it('is expired by the vote that comes too late, and that is written', async () => {
    const { org, id } = await askedDeploy();
    await age(id);
    expect((await org.admin.get(`/approvals/${id}`)).body.status).toBe('expired');
    const late = await approve(await org.member(), id);
    expect([late.status, late.body.code, late.body.approvalStatus]).toEqual([409, 'approval_settled', 'expired']);
    expect(await server.sql('SELECT status FROM approval WHERE id = $1', [id])).toEqual([{ status: 'expired' }]);
    expect(await kindsOf(org, id)).toEqual(['approval.opened', 'approval.expired']);
    expect((await approve(await org.member(), id)).body.code).toBe('approval_settled');
    expect(await kindsOf(org, id)).toHaveLength(2);
  });

  it('is expired by housekeeping, once, whoever else sweeps; also one that was approved and never spent', async () => {
    const { org, asker, id } = await askedDeploy();
    const approved = await ask(asker, 'other');
    await approve(await org.member(), approved);
    const young = await ask(asker, 'young');
    await age(id);
    await age(approved);
    const { housekeeping } = server.signalbox.services;
    await Promise.all([housekeeping.pass(), housekeeping.pass(), housekeeping.pass()]);
    for (const due of [id, approved])
      expect((await kindsOf(org, due)).filter((kind) => kind === 'approval.expired')).toHaveLength(1);
    expect((await org.admin.get('/approvals?status=expired')).body.items).toHaveLength(2);
    expect((await org.admin.get(`/approvals/${young}`)).body.status).toBe('pending');
    // The digest is free again.
    expect(await ask(asker)).not.toBe(id);
  });
});

describe('the inbox', () => {
  it('is newest first, in pages, by status and repo', async () => {
    const { org, asker, id } = await askedDeploy();
    const second = await ask(asker, 'two');
    const third = await ask(asker, 'three');
    await approve(await org.member(), second);
    const ids = (reply: Reply) => reply.body.items.map((item: { id: string }) => item.id);
    expect(ids(await org.admin.get('/approvals'))).toEqual([third, second, id]);
    expect(ids(await org.admin.get('/approvals?status=pending'))).toEqual([third, id]);
    expect(ids(await org.admin.get('/approvals?repo=acme/shop&status=approved'))).toEqual([second]);
    expect(ids(await org.admin.get('/approvals?repo=acme/none'))).toEqual([]);
    const page = await org.admin.get('/approvals?limit=2');
    const rest = await org.admin.get(`/approvals?limit=2&cursor=${page.body.nextCursor}`);
    expect([ids(page), ids(rest), rest.body.nextCursor]).toEqual([[third, second], [id], null]);
    expect((await org.admin.get('/approvals?cursor=WyJ4Il0')).body.code).toBe('cursor_invalid');
  });

  it('says with mine what the caller can still vote on', async () => {
    let payments = '';
    const { org, asker, id } = await askedDeploy([{ team: 'payments', count: 2 }], async (made) => {
      payments = await made.team('payments');
    });
    const payer = await org.member({ teams: [payments] });
    const mine = async (caller: Caller) =>
      (await caller.get('/approvals?mine=true')).body.items.map((item: { id: string }) => item.id);
    expect(await mine(payer)).toEqual([id]);
    for (const caller of [asker, await org.member(), org.admin, await org.key('viewer')])
      expect(await mine(caller)).toEqual([]);
    await approve(payer, id);
    expect(await mine(payer)).toEqual([]);
  });
});

describe('waiting', () => {
  it('answers as soon as somebody votes, also on another server', async () => {
    const { org, asker, id } = await askedDeploy();
    const other = await startTestServer({ database: server.database });
    try {
      const startedMs = performance.now();
      const held = other.caller(asker.secret).get(`/approvals/${id}?waitSeconds=30`);
      await arrived();
      await approve(await org.member(), id);
      expect((await held).body.status).toBe('approved');
      expect(performance.now() - startedMs).toBeLessThan(10_000);
    } finally {
      await other.close();
    }
  });

  it('gives the pending approval when the time is over, and a settled one at once', async () => {
    const { org, asker, id } = await askedDeploy();
    expect((await asker.get(`/approvals/${id}?waitSeconds=1`)).body.status).toBe('pending');
    await reject(await org.member(), id);
    expect((await asker.get(`/approvals/${id}?waitSeconds=60`)).body.status).toBe('rejected');
  });

  it('holds no database connection: sixty wait on ten', async () => {
    const { org, asker, id } = await askedDeploy();
    const held = Array.from({ length: 60 }, () => asker.get(`/approvals/${id}?waitSeconds=30`));
    const voted = await approve(await org.member(), id);
    expect(voted.status).toBe(200);
    const statuses = (await Promise.all(held)).map(({ body }) => body.status);
    expect(new Set(statuses)).toEqual(new Set(['approved']));
  });

  it('is over when the server drains', async () => {
    const { asker, id } = await askedDeploy();
    const other = await startTestServer({ database: server.database });
    const startedMs = performance.now();
    const held = other.caller(asker.secret).get(`/approvals/${id}?waitSeconds=60`);
    await arrived();
    await other.close();
    expect((await held).body.status).toBe('pending');
    expect(performance.now() - startedMs).toBeLessThan(10_000);
  });
});

/** Gives a request time to arrive; what follows holds as well if it has not. */
function arrived(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 300));
}
