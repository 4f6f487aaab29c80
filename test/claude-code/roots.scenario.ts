import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../support/server.ts';
import type { Conversation } from './conversation.ts';
import { type Developer, openStage, reaching, type Stage, toolTexts } from './stage.ts';
import { agent, bash, edit, inOrder, read, type Script, say, use, withSubagents, write } from './turns.ts';

/** Wherever a session or a subagent works, its paths are those of the repo: so they meet those of others. */
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

/** `owner path`, of each live lease. */
const held = async () =>
  (await stage.leases())
    .map(({ holder, paths }) => `${holder.owner.name} ${paths.join(' ')}`)
    .toSorted((a, b) => a.localeCompare(b));

/** What a session of `developer`, at the root of the worktree, reads when it appends to a file. */
async function appended(developer: Developer, path: string): Promise<string> {
  const run = await developer.run({ prompt: 'Append', script: inOrder(use(bash(`echo "// seen" >> ${path}`))) });
  return toolTexts(run)[0] ?? '';
}

describe('a session that was started in a subdirectory', () => {
  it('holds its files as the repo names them, by Write, by a shell and above itself', async () => {
    const { alice, bob } = stage;
    const thinking = stage.pause();
    const session = await alice.start({
      prompt: 'Payouts',
      cwd: join(alice.worktree, 'services/payments'),
      script: inOrder(
        use(write('payout.ts', 'export {};\n')),
        use(bash('echo "// seen" >> charge.ts')),
        use(bash('echo "// seen" >> ../../src/cart.ts')),
        thinking.before(say('done')),
      ),
    });
    await reaching(session, thinking);
    const [payout, charge, cart] = [
      'services/payments/payout.ts',
      'services/payments/charge.ts',
      'src/cart.ts',
    ] as const;
    expect(await alice.file(payout)).toBe('export {};\n');
    expect(await held()).toEqual([`Alice ${charge}`, `Alice ${payout}`, `Alice ${cart}`]);
    expect(await appended(bob, charge)).toContain(`${charge} is held by loop "price-refactor" of "Alice"`);
    expect(await bob.file(charge)).not.toContain('seen');
  });

  it('is refused what another one holds', async () => {
    const { alice, bob } = stage;
    const thinking = stage.pause();
    const append = use(bash('echo "// Alice" >> services/payments/charge.ts'));
    const session = await alice.start({ prompt: 'Fees', script: inOrder(append, thinking.before(say('done'))) });
    await reaching(session, thinking);
    const cwd = join(bob.worktree, 'services/payments');
    const script = inOrder(use(read(join(cwd, 'charge.ts'))), use(edit(join(cwd, 'charge.ts'), '3', '4')));
    const run = await bob.run({ prompt: 'Fees, too', cwd, script });
    expect(toolTexts(run)[1]).toContain('services/payments/charge.ts is held by loop "price-refactor" of "Alice"');
    expect(await bob.file('services/payments/charge.ts')).toContain('= 3;');
  });
});

describe('a worktree that Claude Code makes', () => {
  /** Writes one file and appends to another, where `pwd` says that it is. */
  const working: Script = inOrder(
    use(bash('pwd')),
    ({ toolResults: [where] }) => use(write(join(where!.text.trim(), 'src/coupons.ts'), 'export {};\n')),
    use(bash('echo "// seen" >> src/cart.ts')),
  );
  const ofSubagent = (conversations: readonly Conversation[]) =>
    conversations.findLast(({ agentId }) => agentId !== undefined);

  it.each([
    ['the main checkout', () => stage.shop.main],
    ['a linked worktree', () => stage.alice.worktree],
  ])('a subagent’s files are held as the repo names them, in a session in %s', async (_name, place) => {
    const { alice, bob } = stage;
    const cwd = place();
    const thinking = stage.pause();
    const main = inOrder(use(agent('COUPONS', { isolation: 'worktree' })), thinking.before(say('done')));
    const session = await alice.start({ prompt: 'Coupons', cwd, script: withSubagents(main, { COUPONS: working }) });
    await reaching(session, thinking);
    expect(ofSubagent(session.model.conversations)?.toolResults[0]?.text).toContain('/.claude/worktrees/agent-');
    expect(await held()).toEqual(['Alice src/cart.ts', 'Alice src/coupons.ts']);
    expect(existsSync(join(cwd, 'src/coupons.ts'))).toBe(false);
    expect(await appended(bob, 'src/coupons.ts')).toContain('src/coupons.ts is held by loop "price-refactor"');
    expect(await bob.file('src/coupons.ts')).toBeNull();
  });

  it('a subagent is refused what another developer holds, and reads why itself', async () => {
    const { alice, bob, shop } = stage;
    const thinking = stage.pause();
    const append = use(bash('echo "// Bob" >> src/cart.ts'));
    const bobs = await bob.start({ prompt: 'Totals', script: inOrder(append, thinking.before(say('done'))) });
    await reaching(bobs, thinking);
    const main = inOrder(use(agent('COUPONS', { isolation: 'worktree' })));
    const script = withSubagents(main, { COUPONS: working });
    const run = await alice.run({ prompt: 'Coupons', cwd: shop.main, script });
    const results = ofSubagent(run.model.conversations)?.toolResults.map(({ text }) => text);
    expect(results?.[1]).not.toContain('hook error');
    expect(results?.[2]).toContain('src/cart.ts is held by loop "triage" of "Bob": purpose "Totals"');
  });

  it('--worktree: its files are held as the repo names them', async () => {
    const { alice, bob } = stage;
    const thinking = stage.pause();
    const session = await alice.start({
      prompt: 'Coupons',
      args: ['--worktree', 'coupons'],
      script: (talk) => (talk.turns === 3 ? thinking.before(say('done'))(talk) : working(talk)),
    });
    await reaching(session, thinking);
    expect(await held()).toEqual(['Alice src/cart.ts', 'Alice src/coupons.ts']);
    expect(await appended(bob, 'src/cart.ts')).toContain('src/cart.ts is held by loop "price-refactor" of "Alice"');
  });
});
