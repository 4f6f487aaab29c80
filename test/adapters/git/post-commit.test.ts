import { cp, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { newRunner, REPO, type Runner } from '../../modules/leases/support.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { Checkout, createForge, type Forge, HOOKS, nobodyThere } from './checkout.ts';

// Real git and a process a hook: slow where many tests run at once.
vi.setConfig({ testTimeout: 120_000 });

let server: TestServer;
const forges: Forge[] = [];
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterEach(async () => {
  for (const forge of forges.splice(0)) await forge.remove();
});
afterAll(() => server?.close());

async function forgeOf(...args: Parameters<typeof createForge>): Promise<Forge> {
  const forge = await createForge(...args);
  forges.push(forge);
  return forge;
}

const envOf = (runner: Runner) => ({
  SIGNALBOX_URL: server.url,
  SIGNALBOX_KEY: runner.caller.secret,
  SIGNALBOX_RUN: runner.runId,
});

async function changeOf(runner: Runner, commit: string) {
  const { body } = await runner.caller.get(`/changes?repo=${REPO}&commit=${commit}`);
  expect(body.items).toHaveLength(1);
  return (await runner.caller.get(`/changes/${body.items[0].id}`)).body;
}

describe('post-commit', () => {
  it('reports files with their blobs, the message as the intent, and the leases of the run', async () => {
    const forge = await forgeOf({ 'src/a.ts': 'one\n', 'src/gone.ts': 'old\n' });
    const ann = await newRunner(await server.newOrg());
    await ann.acquire({ paths: ['src/a.ts', 'src/gone.ts', 'new.ts'] });
    const checkout = await forge.clone('ann', envOf(ann));
    const told = await checkout.commit('Round half to even\n\nThe old way lost cents.', {
      'src/a.ts': 'two\n',
      'src/gone.ts': null,
      'new.ts': 'n\n',
    });
    expect(told).toBe('');
    expect(await changeOf(ann, await checkout.head())).toMatchObject({
      runId: ann.runId,
      intent: 'Round half to even\n\nThe old way lost cents.',
      unleasedCount: 0,
      stale: [],
      files: [
        { path: 'new.ts', beforeBlob: null, afterBlob: await checkout.blob('HEAD:new.ts') },
        {
          path: 'src/a.ts',
          beforeBlob: await checkout.blob('HEAD~:src/a.ts'),
          afterBlob: await checkout.blob('HEAD:src/a.ts'),
        },
        { path: 'src/gone.ts', beforeBlob: await checkout.blob('HEAD~:src/gone.ts'), afterBlob: null },
      ],
    });
  });

  it('presents the leases that cover the files, of however many the run holds', async () => {
    const forge = await forgeOf({ 'a.ts': 'A\n', 'docs/x.md': 'x\n' });
    const ann = await newRunner(await server.newOrg());
    await ann.acquire({ paths: ['a.ts'] });
    await ann.acquire({ patterns: ['docs/**'] });
    const more = Array.from({ length: 510 }, (_, at) => ann.acquire({ paths: [`more/${at}`] }));
    expect((await Promise.all(more)).every(({ status }) => status === 201)).toBe(true);
    const checkout = await forge.clone('ann', envOf(ann));
    expect(await checkout.commit('Two of them', { 'a.ts': 'A2\n', 'docs/x.md': 'y\n' })).toBe('');
    const { unleasedCount, leases } = await changeOf(ann, await checkout.head());
    expect({ unleasedCount, leases: leases.length }).toEqual({ unleasedCount: 0, leases: 2 });
  });

  it('shows an edit that no lease covers, and one that undoes what another run did', async () => {
    const forge = await forgeOf({ 'a.ts': 'A\n', 'b.ts': 'B\n' });
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const checkout = await forge.clone('both', envOf(ann));
    await ann.acquire({ paths: ['a.ts'] });
    const told = await checkout.commit('Fix cents', { 'a.ts': 'A2\n', 'b.ts': 'B2\n' });
    expect(told).toBe('signalbox: recorded; no lease of this run covered 1 of 2 file(s): b.ts\n');
    const undone = await checkout.as(envOf(bob)).commit('Put it back', { 'a.ts': 'A\n' });
    expect(undone).toContain('covered 1 of 1 file(s): a.ts');
    expect(undone).toMatch(/takes a\.ts back to what it was before [0-9a-f]{12} "Fix cents"/);
    expect(await changeOf(bob, await checkout.head())).toMatchObject({ unleasedCount: 1, files: [{ leased: false }] });
  });

  it('reports root commits, merges, detached worktrees and odd names', async () => {
    const forge = await forgeOf({ 'both.txt': '1\n2\n3\n', 'mine.txt': 'm\n' });
    const ann = await newRunner(await server.newOrg());
    const main = await forge.clone('ann', { ...envOf(ann), SIGNALBOX_REPO: REPO });
    const names = ['with space.txt', 'quo"te.txt', 'tab\there.txt', 'caf\u00e9.txt', '-dash', ':colon', "it's", 'a\\b'];
    const told = await main.commit('Odd', Object.fromEntries(names.map((name) => [name, `${name}\n`])));
    expect(told).toContain('1 file(s) of this commit were left out');
    const odd = await changeOf(ann, await main.head());
    expect(odd.filesOmitted).toBe(1);
    expect(odd.files.map((file: { path: string }) => file.path).toSorted()).toEqual(
      names.filter((name) => !name.includes('\t')).toSorted(),
    );

    const side = await forge.worktree(main, 'side', main.env);
    await side.git('checkout', '-q', '--detach');
    await side.commit('Theirs', { 'both.txt': '1\ntheirs\n3\n', 'theirs.txt': 't\n' });
    await main.commit('Ours', { 'both.txt': '1\nours\n3\n', 'mine.txt': 'm2\n' });
    expect((await main.run('merge', '-q', await side.head())).code).toBe(1);
    await main.commit('Merge', { 'both.txt': '1\nboth\n3\n' });
    const merge = await changeOf(ann, await main.head());
    // What came from one side as it was is not this commit's.
    expect(merge.files).toMatchObject([
      { path: 'both.txt', beforeBlob: await main.blob('HEAD^1:both.txt'), afterBlob: await main.blob('HEAD:both.txt') },
    ]);

    await main.git('checkout', '-q', '--orphan', 'fresh');
    await main.git('rm', '-rfq', '.');
    await main.commit('Root', { 'root.txt': 'r\n' });
    expect((await changeOf(ann, await main.head())).files).toMatchObject([{ path: 'root.txt', beforeBlob: null }]);
  });

  it('reports submodules by their commits, and no empty commit', async () => {
    const forge = await forgeOf({ 'a.ts': 'A\n' });
    const ann = await newRunner(await server.newOrg());
    const checkout = await forge.clone('ann', envOf(ann));
    const pin = async (commit: string) =>
      checkout.git('update-index', '--add', '--cacheinfo', `160000,${commit},vendor/lib`);
    const [first, next] = ['1'.repeat(40), '2'.repeat(40)];
    await pin(first);
    await checkout.write({ 'a.ts': 'A2\n' });
    await checkout.git('add', 'a.ts');
    await checkout.git('commit', '-qm', 'Both');
    expect((await changeOf(ann, await checkout.head())).files).toMatchObject([
      { path: 'a.ts' },
      { path: 'vendor/lib', beforeBlob: null, afterBlob: first },
    ]);
    await ann.acquire({ paths: ['vendor/lib'] });
    await pin(next);
    expect((await checkout.git('commit', '-qm', 'Moved')).err).toBe('');
    expect((await changeOf(ann, await checkout.head())).files).toMatchObject([
      { path: 'vendor/lib', beforeBlob: first, afterBlob: next, leased: true },
    ]);
    await checkout.git('rm', '-q', '--cached', 'vendor/lib');
    await checkout.git('commit', '-qm', 'Gone');
    expect((await changeOf(ann, await checkout.head())).files).toMatchObject([{ beforeBlob: next, afterBlob: null }]);
    expect((await checkout.git('commit', '-q', '--allow-empty', '-m', 'Nothing')).err).toBe('');
    expect((await ann.caller.get('/changes')).body.items).toHaveLength(3);
  });

  it('works with SHA-256 repositories and with hundreds of files', async () => {
    const forge = await forgeOf({ 'a.ts': 'A\n' }, 'sha256');
    const ann = await newRunner(await server.newOrg());
    await ann.acquire({ patterns: ['gen/**'] });
    const checkout = await forge.clone('ann', envOf(ann));
    const files = Object.fromEntries(Array.from({ length: 700 }, (_, i) => [`gen/${i}.ts`, `${i}\n`]));
    expect(await checkout.commit('Generate', files)).toBe('');
    const commit = await checkout.head();
    expect(commit).toHaveLength(64);
    expect(await changeOf(ann, commit)).toMatchObject({ fileCount: 700, unleasedCount: 0 });
  });

  it('never stops a commit: one line tells what went wrong, and nothing where it is not set up', async () => {
    const forge = await forgeOf({ 'a.ts': 'A\n' });
    const ann = await newRunner(await server.newOrg());
    const checkout = await forge.clone('ann', envOf(ann));
    const stranger = await newRunner(await server.newOrg());
    let n = 0;
    const told = (env: Record<string, string>) => checkout.as(env).commit('Next', { 'a.ts': `A${(n += 1)}\n` });
    for (const [env, line] of [
      [{ SIGNALBOX_URL: await nobodyThere() }, /ECONNREFUSED/],
      [{ SIGNALBOX_URL: 'nonsense' }, /no http or https URL/],
      [{ SIGNALBOX_KEY: 'sb_wrong' }, /401/],
      [{ SIGNALBOX_KEY: '' }, /set SIGNALBOX_KEY/],
      [{ SIGNALBOX_RUN: stranger.runId }, /No such run/],
      [{ SIGNALBOX_RUN: 'x' }, /is no id of a run/],
    ] as const) {
      const output = await told(env);
      expect(output).toMatch(/^signalbox: this commit was not reported: [^\n]+\n$/);
      expect(output).toMatch(line);
    }
    expect(await told({ SIGNALBOX_URL: '' })).toBe('');
    expect((await ann.caller.get('/changes')).body.items).toEqual([]);
  });

  it('works as copied into .git/hooks, in a repository of another module type, configured by git config', async () => {
    const forge = await forgeOf({ 'package.json': '{"type":"commonjs"}\n' });
    const ann = await newRunner(await server.newOrg());
    const clone = await forge.clone('ann', { SIGNALBOX_KEY: ann.caller.secret });
    await clone.git('config', '--unset', 'core.hooksPath');
    await clone.git('config', 'signalbox.url', `${server.url}/`);
    await clone.git('config', 'signalbox.run', ann.runId);
    await cp(HOOKS, path.join(clone.directory, '.git', 'hooks'), { recursive: true });
    await mkdir(path.join(clone.directory, 'deep', 'er'), { recursive: true });
    await writeFile(path.join(clone.directory, 'deep', 'er', 'f'), 'x');
    const deep = new Checkout(path.join(clone.directory, 'deep', 'er'), clone.env);
    await deep.git('add', '-A');
    expect((await deep.git('commit', '-qm', 'Deep')).err).toContain('covered 1 of 1 file(s): deep/er/f');
    expect((await changeOf(ann, await clone.head())).repo).toBe(REPO);
  });
});
