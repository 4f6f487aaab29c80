import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestServer, type TestOrg, type TestServer } from '../../../support/server.ts';
import { refusal, session } from './support.ts';

/** Developers' sessions, as the real client reports them, against the real server. */
let server: TestServer;
let org: TestOrg;
let alice: ReturnType<typeof session>;
let bob: ReturnType<typeof session>;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());
beforeEach(async () => {
  org = await server.newOrg();
  alice = session(server, (await org.member()).secret, 'alice-1', '?repo=acme/shop&loop=refactor');
  bob = session(server, (await org.member()).secret, 'bob-1', '?repo=acme/shop&loop=triage');
});

const cart = { file_path: '/home/dev/alice/src/cart.ts' };
const runs = async () => (await org.admin.get('/runs')).body.items;
const leases = async () => (await org.admin.get('/leases?repo=acme/shop')).body.items;
const kinds = async () => (await org.events()).map(({ kind }) => kind);

describe('paths', () => {
  it('a path that another session works on is refused with who, why and until when: to Write and to a shell append', async () => {
    await alice('user-prompt-submit', { prompt: 'Move the prices to integers' });
    expect(await alice('pre-edit')).toEqual({});
    const write = refusal(await bob('pre-write', {}, cart));
    const append = refusal(await bob('pre-bash-append', {}, { command: 'echo "// seen" >> src/cart.ts' }));
    for (const reason of [write, append]) {
      expect(reason).toContain('src/cart.ts is held by loop "refactor" of "Member');
      expect(reason).toContain('purpose "Move the prices to integers"');
      expect(reason).toMatch(/until \d\d:\d\d:\d\d UTC \(in 15 min\)/);
    }
    expect(await leases()).toHaveLength(1);
  });

  it('a lease that an admin revoked is told to its agent with the reason, and passes to whoever asks next', async () => {
    await alice('pre-edit');
    const [lease] = await leases();
    await org.admin.post(`/leases/${lease.id}/revoke`, { reason: 'The cart is frozen for the release' });
    const reason = refusal(await alice('pre-edit'));
    expect(reason).toContain('The cart is frozen for the release');
    expect(reason).toContain('src/cart.ts');
    expect(await bob('pre-write', {}, cart)).toEqual({});
  });

  it('what a session holds is renewed while it works on something else, once a third of the time has passed', async () => {
    await alice('pre-edit');
    const [lease] = await leases();
    await alice('post-edit');
    expect((await leases())[0].expiresAt).toBe(lease.expiresAt);
    await server.sql(`UPDATE lease SET expires_at = expires_at - interval '6 minutes' WHERE id = $1`, [lease.id]);
    await alice('post-bash-append');
    const [renewed] = await leases();
    expect(Date.parse(renewed.expiresAt)).toBeGreaterThanOrEqual(Date.parse(lease.expiresAt));
    expect((await kinds()).filter((kind) => kind === 'lease.renewed')).toHaveLength(1);
  });

  it.each([
    ['pre-bash-append', { command: 'ls' }],
    ['pre-write', { file_path: '/home/dev/alice/docs/other.md' }],
    ['post-edit', {}],
    ['user-prompt-submit', {}],
  ])('and whatever else the agent does next, as %s, it hears of it once', async (event, input) => {
    await alice('pre-edit');
    const [lease] = await leases();
    await org.admin.post(`/leases/${lease.id}/revoke`, { reason: 'The cart is\nfrozen' });
    expect((await alice(event, {}, input)).hookSpecificOutput).toMatchObject({
      additionalContext: expect.stringMatching(/not yours any more[^]*src\/cart\.ts: The cart is frozen/),
    });
    expect(JSON.stringify(await alice(event, {}, input))).not.toContain('frozen');
  });

  it('one who waits for a path is named to whoever would go before', async () => {
    await alice('user-prompt-submit', { prompt: 'Move the prices to integers' });
    await alice('pre-edit');
    const owner = await org.member();
    const { body: loop } = await owner.post('/loops', { name: 'sweeper', repo: 'acme/shop' });
    const { body: run } = await owner.post(`/loops/${loop.id}/runs`, {});
    const wish = { repo: 'acme/shop', runId: run.id, patterns: ['src/**'], purpose: 'Rename a module' };
    expect((await owner.post('/leases', { ...wish, waitSeconds: 0.01 })).status).toBe(202);
    const other = { file_path: '/home/dev/alice/src/other.ts' };
    expect(refusal(await bob('pre-write', {}, other))).toContain(
      'src/other.ts (of src/**) is next for loop "sweeper" of "Member',
    );
  });

  it('of several paths of one command it is told which are free', async () => {
    await alice('pre-edit');
    const reason = refusal(await bob('pre-bash-append', {}, { command: 'touch src/cart.ts src/other.ts' }));
    expect(reason).toContain('this is free right now: src/other.ts');
    expect(await leases()).toHaveLength(1);
  });

  it('a free path is allowed without answering for the user, with what others hold nearby as context', async () => {
    await alice('user-prompt-submit', { prompt: 'Move the prices to integers' });
    await alice('pre-edit');
    const answer = await bob('pre-write');
    expect(answer).toEqual({
      hookSpecificOutput: { hookEventName: 'PreToolUse', additionalContext: expect.stringContaining('src/cart.ts') },
    });
    expect(answer.hookSpecificOutput.additionalContext).toContain('loop "refactor"');
  });

  it('a notebook and an edit through a wildcard or a directory are held as what they may touch', async () => {
    await alice('pre-notebook-edit');
    await alice('pre-bash-append', {}, { command: 'rm -r docs && sed -i s/a/b/ lib/*.ts' });
    const held = (await leases()).flatMap((lease: { paths: string[]; patterns: string[] }) => [
      ...lease.paths,
      ...lease.patterns,
    ]);
    expect(held.toSorted()).toEqual(['docs', 'docs/', 'lib/[!.]*.ts', 'notebooks/sales.ipynb']);
    for (const path of ['docs/a/b.md', 'lib/x.ts', 'notebooks/sales.ipynb'])
      expect(refusal(await bob('pre-write', {}, { file_path: `/home/dev/alice/${path}` }))).toContain(path);
    expect(refusal(await bob('pre-write', {}, { file_path: '/home/dev/alice/lib/deep/x.ts' }))).toBeUndefined();
  });

  it('two subagents of one session work under its one run and do not refuse each other', async () => {
    const answers = await Promise.all(
      ['one', 'two', 'three'].map((agent_id) => alice('pre-write-subagent', { agent_id })),
    );
    expect(answers.map(refusal)).toEqual([undefined, undefined, undefined]);
    expect(await runs()).toHaveLength(1);
  });

  it('a loop stays in its scope, also by a command that reaches out of it', async () => {
    const owner = await org.member();
    await owner.post('/loops', { name: 'docs', repo: 'acme/shop', scope: ['docs/**'] });
    const docs = session(server, owner.secret, 'docs-1', '?repo=acme/shop&loop=docs');
    const bash = async (command: string) => refusal(await docs('pre-bash-append', {}, { command }));
    expect(await bash('rm docs/*.md && rm -r docs/old')).toBeUndefined();
    for (const command of ['rm -rf .', 'rm *.md', 'rm -r docs/../src', 'echo > README.md'])
      expect(await bash(command)).toContain("The loop's scope is docs/**");
  });

  it('of many sessions that ask for one path at once, one gets it', async () => {
    const keys = await Promise.all(Array.from({ length: 6 }, () => org.member()));
    const ask = keys.map(({ secret }, index) => session(server, secret, `s-${index}`, '?repo=acme/shop&loop=race'));
    const answers = await Promise.all(ask.map((one) => one('pre-edit')));
    expect(answers.filter((answer) => refusal(answer) === undefined)).toHaveLength(1);
    expect(await leases()).toHaveLength(1);
  });

  it('a tool that says no path is asked about as a tool, and recorded', async () => {
    expect(await alice('pre-mcp')).toEqual({});
    const decisions = (await org.events()).filter(({ kind }) => kind === 'decision.recorded');
    expect(decisions.map(({ data }) => data)).toMatchObject([{ action: 'tool.use', outcome: 'allow' }]);
    expect(await leases()).toEqual([]);
  });
});

describe('what was done', () => {
  it('is recorded once, with paths as the repo names them, and as failed when it failed', async () => {
    await alice('pre-write');
    for (const tool_use_id of ['toolu_a', 'toolu_a', 'toolu_b']) await alice('post-write', { tool_use_id });
    await alice('failure-bash');
    const used = (await org.events()).filter(({ kind }) => kind === 'agent.tool_used').map(({ data }) => data);
    expect(used).toMatchObject([
      { tool: 'Write', toolUseId: 'toolu_a', ok: true, paths: ['src/coupons.ts'] },
      { tool: 'Write', toolUseId: 'toolu_b', ok: true, paths: ['src/coupons.ts'] },
      { tool: 'Bash', ok: false, paths: [] },
    ]);
  });

  it('starts no run, should it come after the end', async () => {
    for (const late of ['post-write', 'failure-bash', 'stop', 'subagent-stop', 'session-end'])
      expect(await alice(late)).toEqual({});
    expect(await runs()).toEqual([]);
  });
});

describe('the life of a session', () => {
  it('is a run from its first event on; Stop ends a round and lets leases be; SessionEnd ends both', async () => {
    await alice('user-prompt-submit');
    await alice('pre-edit');
    const [before] = await leases();
    await alice('stop-with-crons-and-tasks');
    expect(await runs()).toMatchObject([
      { status: 'running', iteration: 1, sessionId: 'alice-1', trigger: 'claude-code', worktree: '/home/dev/alice' },
    ]);
    expect(await leases()).toEqual([before]);
    const ended = (await org.events()).find(({ kind }) => kind === 'run.iteration_ended');
    expect(ended?.data).toMatchObject({
      iteration: 1,
      sessionCrons: [{ schedule: '0 9 * * 1-5', recurring: true }, {}, {}],
      backgroundTasks: [{ type: 'shell' }],
    });
    expect(refusal(await bob('pre-write', {}, cart))).toContain('src/cart.ts');
    await alice('session-end');
    expect(await runs()).toMatchObject([
      { sessionId: 'bob-1' },
      { status: 'finished', outcome: { status: 'succeeded' } },
    ]);
    expect(refusal(await bob('pre-write', {}, cart))).toBeUndefined();
  });

  it('goes on in a new run when it is resumed after its end', async () => {
    await alice('session-start');
    await alice('pre-edit');
    await alice('session-end');
    await alice('session-start-resume');
    expect(refusal(await alice('pre-edit'))).toBeUndefined();
    expect(await runs()).toMatchObject([
      { status: 'running', sessionId: 'alice-1' },
      { status: 'finished', sessionId: 'alice-1' },
    ]);
    expect(await leases()).toHaveLength(1);
  });

  it('counts rounds: prompts begin them, and each Stop ends one, also without a prompt', async () => {
    await alice('user-prompt-submit');
    await alice('stop');
    await alice('user-prompt-submit');
    await alice('stop');
    await alice('stop', { stop_hook_active: true });
    expect(await runs()).toMatchObject([{ iteration: 3 }]);
    expect((await kinds()).filter((kind) => kind === 'run.iteration_ended')).toHaveLength(3);
  });

  it('a loop that has had all its rounds gets no further prompt', async () => {
    const owner = await org.member();
    const definition = { name: 'short', repo: 'acme/shop', guardrails: { maxIterations: 1 } };
    expect((await owner.post('/loops', definition)).status).toBe(201);
    const short = session(server, owner.secret, 'short-1', '?repo=acme/shop&loop=short');
    expect(await short('user-prompt-submit')).toEqual({});
    await short('stop');
    expect(await short('user-prompt-submit')).toMatchObject({
      decision: 'block',
      reason: expect.stringContaining('iteration 2 of at most 1'),
    });
  });

  it('succeeded if it ended after a Stop; within a round it was cancelled, or stopped by a halt that says why', async () => {
    const end = async (...names: string[]) => {
      for (const name of names) await alice(name);
      await alice('session-end');
      return (await runs())[0].outcome;
    };
    expect(await end('session-start')).toMatchObject({ status: 'succeeded' });
    expect(await end('user-prompt-submit', 'pre-edit', 'stop')).toMatchObject({ status: 'succeeded' });
    const summary = 'The session ended: other';
    expect(await end('user-prompt-submit', 'stop', 'user-prompt-submit', 'pre-edit')).toEqual({
      status: 'cancelled',
      summary,
    });
    await alice('user-prompt-submit');
    await org.admin.post('/halts', { scope: { kind: 'org' }, reason: 'Bad night' });
    expect(await end('pre-edit')).toEqual({ status: 'stopped', summary: expect.stringContaining('Bad night') });
    expect(await leases()).toEqual([]);
  });

  it('a key that is bound to a loop runs that loop', async () => {
    const owner = await org.member();
    const { body: loop } = await owner.post('/loops', { name: 'nightly', repo: 'acme/shop' });
    const nightly = session(server, (await org.key('loop', { loopId: loop.id })).secret, 'n-1');
    expect(await nightly('pre-write')).toEqual({});
    expect(await runs()).toMatchObject([{ loopId: loop.id }]);
  });
});

describe('a halt', () => {
  const halt = async () => (await org.admin.post('/halts', { scope: { kind: 'org' }, reason: 'Bad night' })).body.id;

  it('stops the agent at every later call, whatever tool it is, and is gone when lifted', async () => {
    await alice('pre-edit');
    const id = await halt();
    const outside = { file_path: '/home/dev/elsewhere/x.ts' };
    const calls = [
      () => alice('pre-edit'),
      () => alice('pre-bash-append'),
      () => alice('pre-mcp'),
      () => alice('pre-write-subagent'),
      () => alice('pre-write', {}, outside),
      () => bob('pre-write'),
    ];
    for (const call of calls) {
      expect(await call()).toEqual({
        continue: false,
        stopReason: expect.stringContaining('Bad night'),
        hookSpecificOutput: {
          hookEventName: 'PreToolUse',
          permissionDecision: 'deny',
          permissionDecisionReason: expect.stringContaining('Bad night'),
        },
      });
    }
    const blocked = { decision: 'block', reason: expect.stringContaining('Bad night') };
    expect(await alice('user-prompt-submit')).toEqual(blocked);
    expect(await bob('user-prompt-submit')).toEqual(blocked);
    expect((await org.admin.delete(`/halts/${id}`)).status).toBeLessThan(300);
    expect(await alice('pre-edit')).toEqual({});
  });

  it('does not lose the root that a session reported under it', async () => {
    const id = await halt();
    await alice('session-start-subdirectory');
    await org.admin.delete(`/halts/${id}`);
    await alice('pre-write-subdirectory');
    expect(await leases()).toMatchObject([{ paths: ['services/payments/payout.ts'] }]);
  });
});
