import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestServer, type TestOrg, type TestServer } from '../../../support/server.ts';
import { refusal, session } from './support.ts';

/** Two developers' sessions, as the real client reports them, against the real server. */
describe('Claude Code sessions', () => {
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

  it('a path that another session works on is refused with who, why and until when, to Write and to a shell append', async () => {
    await alice('user-prompt-submit', { prompt: 'Move the prices to integers' });
    expect(await alice('pre-edit')).toEqual({});
    const write = refusal(await bob('pre-write', {}, { file_path: '/home/dev/alice/src/cart.ts' }));
    const append = refusal(await bob('pre-bash-append', {}, { command: 'echo "// seen" >> src/cart.ts' }));
    for (const reason of [write, append]) {
      expect(reason).toContain('src/cart.ts is held by loop "refactor" of "Member');
      expect(reason).toContain('purpose "Move the prices to integers"');
      expect(reason).toMatch(/until \d\d:\d\d:\d\d UTC \(in 15 min\)/);
    }
  });

  it('a free path is allowed without taking the decision from the user, with what others hold nearby as context', async () => {
    await alice('user-prompt-submit', { prompt: 'Move the prices to integers' });
    await alice('pre-edit');
    const answer = await bob('pre-write');
    expect(answer).toEqual({
      hookSpecificOutput: { hookEventName: 'PreToolUse', additionalContext: expect.stringContaining('src/cart.ts') },
    });
    expect(answer.hookSpecificOutput.additionalContext).toContain('loop "refactor"');
  });
});
