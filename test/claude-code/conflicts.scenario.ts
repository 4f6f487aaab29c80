import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../support/server.ts';
import { openStage, reaching, type Stage, told, toolTexts } from './stage.ts';
import { bash, edit, inOrder, read, say, use, write } from './turns.ts';

/** Two developers, two worktrees of one repository, two sessions at once: they cannot change the same file. */
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

const CART = 'src/cart.ts';
const PURPOSE = 'Move the prices to integers';

/** Alice has changed the cart, and her session goes on until it is resumed. */
async function aliceHoldsTheCart() {
  const { alice } = stage;
  const thinking = stage.pause();
  const file = join(alice.worktree, CART);
  const script = inOrder(use(read(file)), use(edit(file, 'price, 0', 'price, 1')), thinking.before(say('done')));
  const session = await alice.start({ prompt: PURPOSE, script });
  await reaching(session, thinking);
  return { session, resume: thinking.resume };
}

describe('the file that another session changes', () => {
  it('is refused to Write and to a shell append; the model reads who holds it, why and until when', async () => {
    const { alice, bob } = stage;
    await aliceHoldsTheCart();
    const before = await bob.file(CART);
    const [lease] = await stage.leases();
    const file = join(bob.worktree, CART);
    const run = await bob.run({
      prompt: 'Fix the red test',
      script: inOrder(
        use(read(file)),
        use(write(file, 'export const total = 0;\n')),
        use(bash(`echo "// Bob was here" >> ${CART}`)),
        use(bash('cd src && sed -i s/price/cost/ cart.ts')),
      ),
    });

    const [, byWrite, byAppend, bySed] = toolTexts(run);
    const until = lease!.expiresAt.slice(11, 19);
    for (const text of [byWrite, byAppend, bySed]) {
      expect(text).toContain(
        `${CART} is held by loop "price-refactor" of "Alice": purpose "${PURPOSE}", until ${until} UTC`,
      );
      expect(text).toContain('Nothing was changed.');
      expect(text).not.toContain(stage.shop.base);
    }
    expect(byWrite).toMatch(/^PreToolUse:Write hook error: Not now/);
    expect(byAppend).toMatch(/^PreToolUse:Bash hook error: Not now/);
    expect(await bob.file(CART)).toBe(before);
    expect(await alice.file(CART)).toContain('price, 1');
    expect(await stage.leases()).toEqual([lease]);
    expect(lease).toMatchObject({ paths: [CART], patterns: [], purpose: PURPOSE });
  });

  it('is refused to a second session of the same developer, too', async () => {
    const { alice, shop } = stage;
    await aliceHoldsTheCart();
    const script = inOrder(use(bash(`echo "// again" >> ${CART}`)));
    const run = await alice.run({ prompt: 'Something else', cwd: shop.main, script });
    expect(toolTexts(run)[0]).toContain(`${CART} is held by loop "price-refactor" of "Alice"`);
  });

  it('is in the log with what was granted, done and let go, in one order', async () => {
    const { session, resume } = await aliceHoldsTheCart();
    resume();
    await session.done;
    const events = await stage.org.events();
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_event, index) => index + 1));
    const data = (kind: string) => events.filter((event) => event.kind === kind).map((event) => event.data);
    expect(data('decision.recorded')).toMatchObject([{ action: 'path.edit', outcome: 'allow', paths: [CART] }]);
    expect(data('lease.granted')).toMatchObject([{ paths: [CART], purpose: PURPOSE }]);
    expect(data('agent.tool_used')).toMatchObject([{ tool: 'Edit', ok: true, paths: [CART] }]);
    expect(data('lease.ended')).toMatchObject([{ reason: 'run_ended' }]);
  });
});

describe('a file that is free', () => {
  it('is written, and the model reads what others hold nearby', async () => {
    const { bob } = stage;
    await aliceHoldsTheCart();
    const text = 'export const coupons = [];\n';
    const run = await bob.run({
      prompt: 'Add coupons',
      script: inOrder(use(write(join(bob.worktree, 'src/coupons.ts'), text)), use(bash('echo "# Notes" > NOTES.md'))),
    });
    expect(await bob.file('src/coupons.ts')).toBe(text);
    expect(await bob.file('NOTES.md')).toBe('# Notes\n');
    expect(told(run)).toContain('PreToolUse:Write hook additional context: Signalbox: other loops hold these paths');
    expect(told(run)).toContain(`- ${CART}: loop "price-refactor" of "Alice", purpose "${PURPOSE}", until `);
    expect(told(run)).not.toContain('PreToolUse:Bash hook additional context');
    const granted = (await stage.org.events()).filter(({ kind }) => kind === 'lease.granted');
    expect(granted.map(({ data }) => data['paths'])).toEqual([[CART], ['src/coupons.ts'], ['NOTES.md']]);
  });

  it('is the file that a refusal names as free', async () => {
    const { bob } = stage;
    await aliceHoldsTheCart();
    const script = inOrder(use(bash(`touch ${CART} src/other.ts`)), use(bash('touch src/other.ts')));
    const run = await bob.run({ prompt: 'Touch both', script });
    expect(toolTexts(run)[0]).toContain('Of what you asked for, this is free right now: src/other.ts.');
    expect(await bob.file('src/other.ts')).toBe('');
  });
});

describe('the end of a session', () => {
  it('lets its leases go: who was refused gets the file at once, in the same session', async () => {
    const { bob } = stage;
    const { session, resume } = await aliceHoldsTheCart();
    const refused = stage.pause();
    const append = bash(`echo "// Bob was here" >> ${CART}`);
    const bobs = await bob.start({
      prompt: 'Fix the red test',
      script: inOrder(use(append), refused.before(use(append))),
    });
    await reaching(bobs, refused);
    resume();
    await session.done;
    expect(await stage.leases()).toEqual([]);
    refused.resume();

    const [first, second] = toolTexts(await bobs.done);
    expect(first).toContain('is held by loop "price-refactor"');
    expect(second).not.toContain('hook error');
    expect(await bob.file(CART)).toMatch(/\/\/ Bob was here\n$/);
    const events = await stage.org.events();
    const seqs = (kind: string) => events.filter((event) => event.kind === kind).map(({ seq }) => seq);
    expect(seqs('lease.granted')).toHaveLength(2);
    expect(seqs('lease.granted')[1]).toBeGreaterThan(seqs('run.finished')[0]!);
  });

  it.each(['SIGTERM', 'SIGHUP'] as const)('by %s lets them go, too', async (signal) => {
    const { session } = await aliceHoldsTheCart();
    session.signal(signal);
    await session.done;
    expect(await stage.leases()).toEqual([]);
    expect((await stage.org.admin.get('/runs')).body.items).toMatchObject([{ outcome: { status: 'cancelled' } }]);
  });

  it('by SIGKILL tells nobody: the lease stays, until its owner ends the run', async () => {
    const { alice, bob } = stage;
    const { session } = await aliceHoldsTheCart();
    session.signal('SIGKILL');
    await session.done;
    const [lease] = await stage.leases();
    const append = use(bash(`echo "// Bob was here" >> ${CART}`));
    const killed = await bob.run({ prompt: 'Fix the red test', script: inOrder(append) });
    expect(toolTexts(killed)[0]).toContain('is held by loop "price-refactor" of "Alice"');

    const outcome = { status: 'cancelled' };
    expect(await alice.post(`/runs/${lease!.runId}/finish`, { epoch: 1, outcome })).toMatchObject({ status: 200 });
    await bob.run({ prompt: 'Fix the red test', script: inOrder(append) });
    expect(await bob.file(CART)).toMatch(/\/\/ Bob was here\n$/);
  });
});
