import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Caller, startTestServer, type TestOrg, type TestServer } from '../../../support/server.ts';
import { captured, type HookReply, post, refusal, session } from './support.ts';

/** A person looks first: the call is held open for them, and what they allow passes once. */
let server: TestServer;
let org: TestOrg;
let approver: Caller;
let secret: string;
let dev: ReturnType<typeof session>;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());
beforeEach(async () => {
  org = await server.newOrg();
  await org.team('payments');
  approver = await org.member({ teams: [(await teamId('payments')) ?? ''] });
  ({ secret } = await org.member());
  dev = session(server, secret, 'dev-1', '?repo=acme/shop&loop=fees');
  const policy = {
    defaults: { 'path.edit': 'allow', 'path.delete': 'allow', 'command.run': 'allow' },
    rules: [
      {
        id: 'payments-need-a-human',
        effect: 'require_approval',
        actions: ['path.edit', 'path.delete'],
        where: { path: { $glob: 'services/payments/**' } },
        approvers: { team: 'payments', count: 1 },
        reason: 'Payments code moves money.',
      },
    ],
  };
  await org.admin.put('/policies/house/draft', policy);
  expect((await org.admin.post('/policies/house/publish')).status).toBe(200);
});

const teamId = async (name: string): Promise<string | undefined> =>
  (await org.admin.get('/teams')).body.items.find((team: { name: string }) => team.name === name)?.id;
const pending = async (): Promise<{ id: string }[]> => (await approver.get('/approvals?status=pending')).body.items;
const opened = () => expect.poll(pending, { timeout: 10_000 }).toHaveLength(1);
const vote = async (verdict: string, comment?: string) => {
  const [approval] = await pending();
  const said = comment === undefined ? {} : { comment };
  expect((await approver.post(`/approvals/${approval!.id}/votes`, { verdict, ...said })).status).toBe(200);
};
const hold = async (holdSeconds: number) =>
  expect((await org.admin.patch('/org/settings', { holdSeconds })).status).toBe(200);

const sed = { command: "sed -i 's/3/4/' services/payments/charge.ts" };

describe('a call that a person must approve', () => {
  it('is held open, and passes as soon as it is approved', async () => {
    const held = dev('pre-bash-sed', {}, sed);
    await opened();
    await vote('approve');
    expect(await held).toEqual({});
    const kinds = (await org.events()).map(({ kind }) => kind);
    expect(kinds).toContain('approval.spent');
    expect((await org.admin.get('/leases?repo=acme/shop')).body.items).toMatchObject([
      { paths: ['services/payments/charge.ts'] },
    ]);
  });

  it('is refused when nobody has answered, with who must, and where; and an identical retry passes once', async () => {
    await hold(0);
    const reason = refusal(await dev('pre-bash-sed', {}, sed));
    const [approval] = await pending();
    expect(reason).toContain('Payments code moves money. (policy house, rule payments-need-a-human)');
    expect(reason).toContain(`Approval ${approval!.id} waits for one of team "payments": ${server.url}/?approval=`);
    await vote('approve');
    expect(await dev('pre-bash-sed', {}, sed)).toEqual({});
    expect(refusal(await dev('pre-bash-sed', {}, sed))).toContain('A person must approve this first');
    expect(refusal(await dev('pre-bash-sed', {}, { command: `${sed.command} ` }))).toContain('A person must approve');
  });

  it('passes a second time for the same tool use, since that is the same call', async () => {
    await hold(0);
    const call = captured('pre-bash-sed', { session_id: 'dev-1', tool_use_id: 'toolu_same' }, sed);
    const ask = async (): Promise<HookReply['body']> =>
      (await post(server, call, { secret, query: '?repo=acme/shop&loop=fees' })).body;
    expect(refusal(await ask())).toContain('A person must approve');
    await vote('approve');
    for (let time = 0; time < 3; time += 1) expect(await ask()).toEqual({});
    expect((await org.events()).filter(({ kind }) => kind === 'approval.spent')).toHaveLength(1);
  });

  it('an edit passes with other content, and later edits ride on its lease; another path asks anew', async () => {
    await hold(0);
    const file_path = '/home/dev/alice/services/payments/charge.ts';
    expect(refusal(await dev('pre-write', {}, { file_path, content: 'one' }))).toContain('A person must approve');
    await vote('approve');
    for (const content of ['two', 'three']) expect(await dev('pre-write', {}, { file_path, content })).toEqual({});
    const other = '/home/dev/alice/services/payments/refund.ts';
    expect(refusal(await dev('pre-write', {}, { file_path: other }))).toContain('A person must approve');
  });

  it('is refused with what they said when they reject it', async () => {
    const held = dev('pre-bash-sed', {}, sed);
    await opened();
    await vote('reject', 'Not before the audit.');
    expect(refusal(await held)).toContain('A human rejected this. They said: Not before the audit.');
  });

  it.each([
    ['a directory above', 'rm -rf services'],
    ['the directory itself', 'rm -rf services/payments'],
    ['a wildcard', 'rm services/*/charge.ts'],
    ['the whole checkout', 'rm -rf /home/dev/alice'],
    ['all that git does not know', 'git checkout -- .'],
  ])('is not got round by %s', async (_name, command) => {
    await hold(0);
    expect(refusal(await dev('pre-bash-append', {}, { command }))).toContain('Payments code moves money.');
  });

  it('is let go when the server stops', async () => {
    const other = await startTestServer({ database: server.database });
    const held = session(other, secret, 'dev-2', '?repo=acme/shop&loop=fees')('pre-bash-sed', {}, sed);
    await opened();
    await other.close();
    expect(refusal(await held)).toContain('A person must approve this first');
  });
});
