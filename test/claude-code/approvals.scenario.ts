import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Caller, startTestServer, type TestServer } from '../support/server.ts';
import { openStage, reaching, type Stage, toolTexts } from './stage.ts';
import { bash, edit, inOrder, read, say, use, write } from './turns.ts';

/** The policy of the demo is in force: a session that wants to change payments code waits for a person of that team. */
let server: TestServer;
let stage: Stage;
/** Of the team that is asked. */
let grace: Caller;

const POLICY = fileURLToPath(new URL('../../policies/payments-checkpoint.yaml', import.meta.url));

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());
beforeEach(async () => {
  stage = await openStage(server);
  const { admin } = stage.org;
  await stage.org.team('platform');
  grace = await stage.member('Grace', [await stage.org.team('payments')]);
  const yaml = { 'content-type': 'application/yaml' };
  await admin.put('/policies/payments-checkpoint/draft', await readFile(POLICY, 'utf8'), yaml);
  expect(await admin.post('/policies/payments-checkpoint/publish')).toMatchObject({ status: 200 });
});
afterEach(() => stage.close());

const CHARGE = 'services/payments/charge.ts';
const REFUND = 'services/payments/refund.ts';
/** Each time that it runs it adds a digit: how often it ran can be read in the file. */
const raiseFee = use(bash(`sed -i 's/= 3/= 33/' ${CHARGE}`));
const raiseDays = use(bash(`sed -i 's/= 1/= 11/' ${REFUND}`));

interface Row {
  readonly id: string;
  readonly status: string;
}

const approvals = async (status?: string): Promise<Row[]> =>
  (await grace.get(`/approvals${status === undefined ? '' : `?status=${status}`}`)).body.items;

/** The one approval that waits, as soon as there is one. */
async function asked(): Promise<string> {
  await expect.poll(() => approvals('pending'), { timeout: 20_000 }).toHaveLength(1);
  return (await approvals('pending'))[0]!.id;
}

const vote = (caller: Caller, id: string, verdict: 'approve' | 'reject', comment?: string) =>
  caller.post(`/approvals/${id}/votes`, { verdict, ...(comment === undefined ? {} : { comment }) });
const holdFor = (holdSeconds: number) => stage.org.admin.patch('/org/settings', { holdSeconds });
const spent = async () => (await stage.org.events()).filter(({ kind }) => kind === 'approval.spent');

describe('while the call is held', () => {
  it('nothing runs, whoever asked cannot vote, one of the team can; another file asks anew', async () => {
    const { bob } = stage;
    const session = await bob.start({ prompt: 'Raise the fee', script: inOrder(raiseFee, raiseDays) });
    const first = await asked();
    expect(session.model.conversations).toHaveLength(1);
    expect(await bob.file(CHARGE)).toContain('= 3;');
    const secondKey = await stage.org.key('member', { memberId: bob.memberId });
    for (const own of [bob, secondKey])
      expect(await vote(own, first, 'approve')).toMatchObject({ status: 403, body: { code: 'own_request' } });
    const outsider = { status: 403, body: { code: 'not_an_approver' } };
    expect(await vote(stage.alice, first, 'approve')).toMatchObject(outsider);
    expect(await bob.file(CHARGE)).toContain('= 3;');

    expect(await vote(grace, first, 'approve')).toMatchObject({ status: 200, body: { status: 'approved' } });
    const second = await asked();
    expect(second).not.toBe(first);
    expect(await bob.file(CHARGE)).toContain('= 33;');
    expect(await vote(grace, second, 'reject', 'Not before the audit.')).toMatchObject({ status: 200 });

    const [fee, days] = toolTexts(await session.done);
    expect(fee).not.toContain('hook error');
    expect(days).toContain('PreToolUse:Bash hook error: Refused.');
    expect(days).toContain('They said: Not before the audit.');
    expect(await bob.file(REFUND)).toContain('= 14;');
    expect(await spent()).toMatchObject([{ subject: { id: first } }]);
    expect((await approvals()).map(({ id, status }) => [id, status])).toEqual([
      [second, 'rejected'],
      [first, 'spent'],
    ]);
  });

  it('the lease comes with it: a later edit rides on it; an approval that meets it is kept, not spent', async () => {
    const { alice, bob } = stage;
    const file = join(bob.worktree, CHARGE);
    const thinking = stage.pause();
    const edits = [use(edit(file, '= 3', '= 4')), use(edit(file, '= 4', '= 5'))];
    const script = inOrder(use(read(file)), ...edits, thinking.before(say('done')));
    const bobs = await bob.start({ prompt: 'Raise the fee', script });
    await vote(grace, await asked(), 'approve');
    await reaching(bobs, thinking);
    expect(await bob.file(CHARGE)).toContain('= 5;');
    expect(await stage.leases()).toMatchObject([{ paths: [CHARGE], holder: { owner: { name: 'Bob' } } }]);

    const refused = stage.pause();
    const alices = await alice.start({ prompt: 'The fee, too', script: inOrder(raiseFee, refused.before(raiseFee)) });
    const second = await asked();
    await vote(grace, second, 'approve');
    await reaching(alices, refused);
    expect(await alice.file(CHARGE)).toContain('= 3;');
    expect(await spent()).toHaveLength(1);
    thinking.resume();
    await bobs.done;
    refused.resume();
    const [met, passed] = toolTexts(await alices.done);
    expect(met).toContain(`${CHARGE} is held by loop "triage" of "Bob"`);
    expect(passed).not.toContain('hook error');
    expect(await alice.file(CHARGE)).toContain('= 33;');
    expect((await spent()).map(({ subject }) => subject.id)[1]).toBe(second);
  });
});

describe('after the call was refused, since nobody answered', () => {
  it('the model reads whom it waits for; approved, the same command passes once, another file is held', async () => {
    await holdFor(1);
    const { bob } = stage;
    const voted = stage.pause();
    const script = inOrder(raiseFee, voted.before(raiseFee), raiseFee, raiseDays);
    const session = await bob.start({ prompt: 'Raise the fee', script });
    await reaching(session, voted);
    expect(await bob.file(CHARGE)).toContain('= 3;');
    const first = await asked();
    expect(await vote(bob, first, 'approve')).toMatchObject({ status: 403, body: { code: 'own_request' } });
    expect(await vote(grace, first, 'approve')).toMatchObject({ status: 200 });
    voted.resume();

    const [refused, passed, again, other] = toolTexts(await session.done);
    expect(refused).toContain('PreToolUse:Bash hook error: A person must approve this first. Nothing was changed.');
    expect(refused).toContain(`${CHARGE}: Payments code moves money; a person looks first.`);
    expect(refused).toContain(`Approval ${first} waits for one of team "payments"`);
    expect(refused).toContain('Nobody has answered within 1 s, which is not a no.');
    expect(passed).not.toContain('hook error');
    for (const [text, path] of [
      [again, CHARGE],
      [other, REFUND],
    ] as const)
      expect(text).toContain(`A person must approve this first. Nothing was changed.\n- ${path}`);
    expect(await bob.file(CHARGE)).toContain('= 33;');
    expect(await bob.file(REFUND)).toContain('= 14;');
    expect(await spent()).toMatchObject([{ subject: { id: first } }]);
    expect((await approvals()).map(({ status }) => status).toSorted()).toEqual(['pending', 'pending', 'spent']);
  });

  it('an approval outlives the session that asked, and is of no use to another loop', async () => {
    await holdFor(1);
    const { alice, bob } = stage;
    const script = () => inOrder(raiseFee);
    await bob.run({ prompt: 'Raise the fee', script: script() });
    await vote(grace, await asked(), 'approve');
    const others = await alice.run({ prompt: 'Raise the fee', script: script() });
    expect(toolTexts(others)[0]).toContain('A person must approve this first');
    const later = await bob.run({ prompt: 'Go on with the fee', script: script() });
    expect(toolTexts(later)[0]).not.toContain('hook error');
    expect(await bob.file(CHARGE)).toContain('= 33;');
    expect(await alice.file(CHARGE)).toContain('= 3;');
    expect(await spent()).toHaveLength(1);
  });
});

describe('what does not get round it', () => {
  it.each([
    ['Write', (root: string) => write(join(root, 'services/payments/payout.ts'), '')],
    ['an append', () => bash(`echo "// fee" >> ${CHARGE}`)],
    ['a directory above', () => bash('rm -rf services')],
    ['another working directory', () => bash('cd services && rm payments/*.ts')],
    ['a shell in a shell', () => bash(`bash -c 'echo > ${CHARGE}'`)],
  ])('%s', async (_name, tool) => {
    await holdFor(0);
    const { bob } = stage;
    const run = await bob.run({ prompt: 'Change payments', script: inOrder(use(tool(bob.worktree))) });
    expect(toolTexts(run)[0]).toContain('Payments code moves money; a person looks first.');
    expect([await bob.file(CHARGE), await bob.file('services/payments/payout.ts')]).toEqual([
      'export const FEE_PERCENT = 3;\n',
      null,
    ]);
    expect(await spent()).toEqual([]);
  });
});
