import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../support/server.ts';
import { openStage, reaching, type Stage, toolTexts } from './stage.ts';
import { bash, inOrder, use, write } from './turns.ts';

/** What goes wrong between the client and the server ends in a refusal that the model can read. */
let server: TestServer;
let stage: Stage | undefined;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());
afterEach(async () => {
  await stage?.close();
  stage = undefined;
});

it('a server that goes away blocks every later edit, and the model reads why', async () => {
  const doomed = await startTestServer({ database: server.database });
  stage = await openStage(server, doomed.url);
  const { alice } = stage;
  const between = stage.pause();
  const session = await alice.start({
    prompt: 'Work',
    script: inOrder(
      use(write(join(alice.worktree, 'src/one.ts'), '')),
      between.before(use(write(join(alice.worktree, 'src/two.ts'), ''))),
      use(bash('echo "// seen" >> src/cart.ts')),
    ),
  });
  await reaching(session, between);
  await doomed.close();
  between.resume();
  const [, byWrite, byAppend] = toolTexts(await session.done);
  for (const text of [byWrite, byAppend]) {
    expect(text).toContain('ECONNREFUSED');
    expect(text).toContain('blocking because onFailure is "block"');
  }
  expect(await alice.file('src/two.ts')).toBeNull();
  expect(await alice.file('src/cart.ts')).not.toContain('seen');
  // Nobody was told of the end: what the session held stays held, rather than be given away on a guess.
  expect(await stage.leases()).toMatchObject([{ paths: ['src/one.ts'] }]);
});

it('a server that was never there: the prompt passes, the edit does not', async () => {
  stage = await openStage(server, 'http://127.0.0.1:9');
  const { alice } = stage;
  const script = inOrder(use(write(join(alice.worktree, 'src/one.ts'), '')));
  const run = await alice.run({ prompt: 'Work', script });
  expect(toolTexts(run)[0]).toContain('blocking because onFailure is "block"');
  expect(await alice.file('src/one.ts')).toBeNull();
});

it('a key that is revoked while the session runs: refused, and the model reads that the key is not known', async () => {
  stage = await openStage(server);
  const { alice } = stage;
  const between = stage.pause();
  const [one, two] = ['src/one.ts', 'src/two.ts'].map((path) => join(alice.worktree, path)) as [string, string];
  const script = inOrder(use(write(one, '')), between.before(use(write(two, ''))));
  const session = await alice.start({ prompt: 'Work', script });
  await reaching(session, between);
  expect((await stage.org.admin.delete(`/api-keys/${alice.keyId}`)).status).toBeLessThan(300);
  between.resume();
  expect(toolTexts(await session.done)[1]).toContain('Signalbox could not decide this, so it is refused');
  expect([await alice.file('src/one.ts'), await alice.file('src/two.ts')]).toEqual(['', null]);
});
