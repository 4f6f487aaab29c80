import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../support/server.ts';
import { openStage, reaching, type Stage } from './stage.ts';
import { agent, bash, inOrder, use, withSubagents, write } from './turns.ts';

/** The kill switch, with sessions of the real client under way. */
let server: TestServer;
let stage: Stage;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());
beforeEach(async () => {
  stage = await openStage(server);
});
afterEach(() => stage.close());

const REASON = 'Production is down.';
const halt = async (scope: object = { kind: 'org' }): Promise<string> => {
  const reply = await stage.org.admin.post('/halts', { scope, reason: REASON });
  expect(reply).toMatchObject({ status: 201 });
  return reply.body.id;
};
const runs = async (): Promise<Record<string, unknown>[]> => (await stage.org.admin.get('/runs')).body.items;

describe('a session that is between two tool calls', () => {
  it('is stopped: the next call does not run, the model is not asked again, its leases go', async () => {
    const { alice } = stage;
    const between = stage.pause();
    const script = inOrder(
      use(write(join(alice.worktree, 'src/one.ts'), '')),
      between.before(use(write(join(alice.worktree, 'src/two.ts'), ''))),
      use(write(join(alice.worktree, 'src/three.ts'), '')),
    );
    const session = await alice.start({ prompt: 'Write three files', script });
    await reaching(session, between);
    await halt();
    between.resume();

    const run = await session.done;
    expect(await Promise.all(['one', 'two', 'three'].map((name) => alice.file(`src/${name}.ts`)))).toEqual([
      '',
      null,
      null,
    ]);
    expect(run.model.conversations).toHaveLength(2);
    const outcome = { status: 'stopped', summary: expect.stringContaining(REASON) };
    expect(await runs()).toMatchObject([{ status: 'finished', outcome }]);
    expect(await stage.leases()).toEqual([]);
  });

  it('is stopped at a shell command that only reads, too; one of another loop goes on', async () => {
    const { alice, bob } = stage;
    const sessions = await Promise.all(
      [alice, bob].map(async (developer) => {
        const between = stage.pause();
        const script = inOrder(
          use(bash('echo > one.txt')),
          between.before(use(bash('ls'))),
          use(bash('echo > two.txt')),
        );
        const session = await developer.start({ prompt: 'Look around', script });
        await reaching(session, between);
        return { session, between };
      }),
    );
    const loops = (await stage.org.admin.get('/loops')).body.items as { id: string; name: string }[];
    await halt({ kind: 'loop', id: loops.find(({ name }) => name === alice.loop)!.id });
    for (const { between } of sessions) between.resume();
    const [alices, bobs] = await Promise.all(sessions.map(({ session }) => session.done));
    expect([alices!.model.conversations.length, bobs!.model.conversations.length]).toEqual([2, 4]);
    expect([await alice.file('two.txt'), await bob.file('two.txt')]).toEqual([null, '\n']);
  });

  it('and that has sent a subagent: both are stopped', async () => {
    const { alice } = stage;
    const between = stage.pause();
    const inside = inOrder(use(bash('ls')), between.before(use(bash('echo > sub.txt'))), use(bash('echo > sub2.txt')));
    const main = inOrder(use(agent('SUBTASK')), use(bash('echo > main.txt')), use(bash('echo > main2.txt')));
    const session = await alice.start({ prompt: 'Send one', script: withSubagents(main, { SUBTASK: inside }) });
    await reaching(session, between);
    await halt();
    between.resume();
    await session.done;
    const files = ['sub.txt', 'sub2.txt', 'main.txt', 'main2.txt'].map((name) => alice.file(name));
    expect(await Promise.all(files)).toEqual([null, null, null, null]);
  });
});

describe('under a halt', () => {
  it('no session begins: the prompt never reaches the model; lifted, it does', async () => {
    const { bob } = stage;
    const id = await halt({ kind: 'repo', id: await repoId() });
    const session = () => bob.run({ prompt: 'Work', script: inOrder(use(bash('echo > new.txt'))) });
    const stopped = await session();
    expect(stopped.model.conversations).toHaveLength(0);
    expect(stopped.stdout).toContain(REASON);
    expect(await bob.file('new.txt')).toBeNull();
    expect(await runs()).toEqual([]);

    expect((await stage.org.admin.delete(`/halts/${id}`)).status).toBe(200);
    await session();
    expect(await bob.file('new.txt')).toBe('\n');
  });

  it('an approval lets nothing pass that was held when the halt came', async () => {
    const { bob } = stage;
    const grace = await stage.member('Grace');
    const policy = {
      defaults: { 'path.edit': 'allow' },
      rules: [{ id: 'look', effect: 'require_approval', actions: ['path.edit'], reason: 'Somebody looks first.' }],
    };
    await stage.org.admin.put('/policies/house/draft', policy);
    expect(await stage.org.admin.post('/policies/house/publish')).toMatchObject({ status: 200 });
    const script = inOrder(use(bash('echo > held.txt')), use(bash('ls')));
    const session = await bob.start({ prompt: 'Work', script });
    const pending = async () => (await grace.get('/approvals?status=pending')).body.items;
    await expect.poll(pending, { timeout: 20_000 }).toHaveLength(1);
    await halt();
    const [{ id }] = await pending();
    expect(await grace.post(`/approvals/${id}/votes`, { verdict: 'approve' })).toMatchObject({ status: 200 });
    const run = await session.done;
    expect(await bob.file('held.txt')).toBeNull();
    expect(run.model.conversations).toHaveLength(1);
    expect((await stage.org.events()).filter(({ kind }) => kind === 'approval.spent')).toEqual([]);
  });
});

/** A repo registers itself on first use. */
async function repoId(): Promise<string> {
  const loop = await stage.alice.post('/loops', { repo: 'acme/shop', name: 'first' });
  expect(loop).toMatchObject({ status: 201 });
  return loop.body.repoId;
}
