import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestServer, type TestOrg, type TestServer } from '../../../support/server.ts';
import { refusal, session } from './support.ts';

/** One path of the repo, wherever the client's process, worktree or symbolic link stands. */
let server: TestServer;
let org: TestOrg;
let secret: string;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());
beforeEach(async () => {
  org = await server.newOrg();
  ({ secret } = await org.member());
});

const heldPaths = async (): Promise<string[]> => {
  const { body } = await org.admin.get('/leases?repo=acme/shop');
  return body.items.flatMap((lease: { paths: string[] }) => lease.paths).toSorted();
};
const rows = () =>
  server.sql('SELECT agent_id, root, source FROM agent_session WHERE org_id = $1 ORDER BY agent_id, root', [org.id]);

describe('what the client reports', () => {
  it.each([
    ['a linked worktree', ['pre-write'], ['src/coupons.ts']],
    [
      'a subdirectory, after the report',
      ['session-start-subdirectory', 'pre-write-subdirectory'],
      ['services/payments/payout.ts'],
    ],
    [
      'a shell in a subdirectory',
      ['session-start-subdirectory', 'pre-bash-subdirectory'],
      ['services/payments/charge.ts'],
    ],
    [
      'a path that the model gave relative',
      ['session-start-subdirectory', 'pre-write-relative'],
      ['services/payments/fee.ts'],
    ],
    ['a shell that changed its directory', ['session-start', 'pre-bash-after-cd'], ['services/payments/charge.ts']],
    ['a subagent', ['pre-write-subagent'], ['src/coupons.ts']],
    [
      'a subagent in a worktree',
      ['pre-write-subagent-worktree', 'pre-bash-subagent-worktree'],
      ['src/cart.ts', 'src/coupons.ts'],
    ],
    [
      'a subagent in a worktree of a session in a linked worktree',
      ['session-start', 'pre-write-subagent-worktree-of-linked', 'pre-bash-subagent-worktree-of-linked'],
      ['src/cart.ts', 'src/coupons.ts'],
    ],
    [
      '--worktree',
      ['session-start-worktree-flag', 'pre-write-worktree-flag', 'pre-bash-worktree-flag'],
      ['src/cart.ts', 'src/coupons.ts'],
    ],
    ['EnterWorktree', ['pre-write-entered-worktree', 'pre-bash-entered-worktree'], ['src/cart.ts', 'src/coupons.ts']],
    ['a symbolic link to the checkout', ['session-start-symlink', 'pre-write-symlink'], ['src/coupons.ts']],
    ['a symbolic link, without a report', ['pre-write-symlink'], ['src/coupons.ts']],
    ['headers whose variables are unset', ['pre-write-unset-variables'], ['src/coupons.ts']],
  ])('%s', async (_name, names, expected) => {
    const dev = session(server, secret, 'dev-1');
    for (const name of names) expect(refusal(await dev(name))).toBeUndefined();
    expect(await heldPaths()).toEqual(expected);
  });

  it('two checkouts of one file are one path', async () => {
    const alice = session(server, secret, 'a', '?repo=acme/shop&loop=a');
    const worker = session(server, (await org.member()).secret, 'b', '?repo=acme/shop&loop=b');
    await alice('pre-write-subdirectory', { cwd: '/home/dev/shop' }, { file_path: '/home/dev/shop/src/coupons.ts' });
    expect(refusal(await worker('pre-write-subagent-worktree-of-linked'))).toContain(
      'src/coupons.ts is held by loop "a"',
    );
  });
});

describe('which root is believed', () => {
  it('a subdirectory is what we have, until a command reports better; and a header takes nothing back', async () => {
    const dev = session(server, secret, 'dev-1');
    await dev('pre-write-subdirectory');
    expect(await heldPaths()).toEqual(['payout.ts']);
    expect(await rows()).toEqual([{ agent_id: '', root: '/home/dev/shop/services/payments', source: 'header' }]);
    await dev('session-start-subdirectory', { source: 'compact' });
    await dev('pre-write-subdirectory');
    expect(await heldPaths()).toEqual(['payout.ts', 'services/payments/payout.ts']);
    expect(await rows()).toEqual([{ agent_id: '', root: '/home/dev/shop', source: 'reported' }]);
  });

  it('holds on another server of the same database', async () => {
    await session(server, secret, 'dev-1')('session-start-subdirectory');
    const other = await startTestServer({ database: server.database });
    try {
      await session(other, secret, 'dev-1')('pre-write-subdirectory');
    } finally {
      await other.close();
    }
    expect(await heldPaths()).toEqual(['services/payments/payout.ts']);
  });

  it('a subagent whose worktree somebody else made has a root of its own', async () => {
    const dev = session(server, secret, 'dev-1');
    await dev('session-start');
    const cwd = '/home/dev/pool/7';
    const change = { cwd, agent_id: 'agent-7' };
    expect(refusal(await dev('pre-write-subagent', change, { file_path: `${cwd}/src/seven.ts` }))).toBeUndefined();
    await dev('pre-write-subagent', { ...change, cwd: `${cwd}/src` }, { file_path: `${cwd}/src/eight.ts` });
    expect(await heldPaths()).toEqual(['src/eight.ts', 'src/seven.ts']);
    expect(await rows()).toMatchObject([{ source: 'reported' }, { agent_id: 'agent-7', root: cwd, source: 'cwd' }]);
  });
});

describe('a path that no root explains', () => {
  const outside = { file_path: '/home/dev/elsewhere/x.ts' };

  it('is refused, unless the org says that hooks fail open', async () => {
    const dev = session(server, secret, 'dev-1');
    expect(refusal(await dev('pre-write', {}, outside))).toContain(
      '"/home/dev/elsewhere/x.ts" lies outside the checkout',
    );
    expect((await org.admin.patch('/org/settings', { hooksFailOpen: true })).status).toBe(200);
    expect(await dev('pre-write', {}, outside)).toEqual({});
    expect(await heldPaths()).toEqual([]);
  });

  it('what is surely not the repo is let through and recorded: devices, scratch space, the agent’s own notes', async () => {
    const dev = session(server, secret, 'dev-1');
    const own = ['/dev/null', '/tmp/notes.md', '/home/dev/.claude/plans/plan.md'];
    for (const file_path of own) expect(await dev('pre-write', {}, { file_path })).toEqual({});
    expect(refusal(await dev('pre-write', {}, { file_path: '/home/dev/.claude/settings.json' }))).toContain('outside');
    const asked = (await org.events()).filter(({ kind }) => kind === 'decision.recorded');
    expect(asked.map(({ data }) => data['action'])).toEqual(['tool.use', 'tool.use', 'tool.use']);
  });

  it('of a shell command is flagged, so that a policy can refuse it', async () => {
    const dev = session(server, secret, 'dev-1');
    const change = { command: 'echo x >> /home/dev/elsewhere/x.ts' };
    expect(await dev('pre-bash-append', {}, change)).toEqual({});
    const policy = {
      defaults: { 'command.run': 'allow' },
      rules: [
        {
          id: 'inside',
          effect: 'deny',
          actions: ['command.run'],
          where: { flags: 'outside_repo' },
          reason: 'Stay inside.',
        },
      ],
    };
    expect((await org.admin.put('/policies/house/draft', policy)).body).toMatchObject({});
    expect((await org.admin.post('/policies/house/publish')).status).toBe(200);
    expect(refusal(await dev('pre-bash-append', {}, change))).toContain('Stay inside. (policy house, rule inside)');
  });
});
