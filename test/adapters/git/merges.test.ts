import { execFile } from 'node:child_process';
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { expectPushed, expectRefused, guarded, push } from './guarded.ts';

const { scene } = guarded();

describe('a merge', () => {
  it('of a file and a directory of one name is asked about by its own paths, not by those that git makes up', async () => {
    const { forge, ann, bob, hers, ...more } = await scene();
    const his = await more.his();
    await ann.acquire({ paths: ['x', 'x/y', 'q'] });
    await hers.git('checkout', '-q', '-b', 's1');
    await hers.commit('file/x', { x: 'file\n' });
    expectPushed(await hers.run('push', '-q', 'origin', 's1'));
    await hers.git('checkout', '-q', 'main');
    await hers.commit('directory x', { 'x/y': 'y\n' });
    expectPushed(await hers.run('push', '-q', 'origin', 'main'));
    // Without a lease on x, nobody throws it away.
    await bob.acquire({ paths: ['p'] });
    await his.git('fetch', '-q');
    await his.git('reset', '-q', '--hard', 'origin/main');
    expect((await his.run('merge', '-q', 'origin/s1')).code).toBe(1);
    await his.git('rm', '-q', 'x~origin_s1');
    await his.commit('Merge', { p: 'file\n' });
    const own = await his.run('push', '-q', 'origin', 'HEAD:main');
    expect(own.err).toMatch(/covers 1 of the 2 path\(s\)[^]* x: held by loop/);
    expectRefused(await push(his, 'HEAD:main'), /covers 1 of the 2 path\(s\)[^]* x: held by loop/);

    expect((await hers.run('merge', '-q', 's1')).code).toBe(1);
    await hers.git('rm', '-q', 'x~s1');
    await hers.commit('Merge', { q: 'file\n' });
    expectPushed(await hers.run('push', '-q', 'origin', 'main'));
    expect(await forge.tip('main')).toBe(await hers.head());
  });

  it('that settles a conflict by taking one side as it was lands under a lease on it', async () => {
    const { forge, ann, hers } = await scene();
    await ann.acquire({ paths: ['a.ts'] });
    await hers.git('checkout', '-q', '-b', 's1');
    await hers.commit('One', { 'a.ts': 'A1\n' });
    await hers.git('checkout', '-q', 'main');
    await hers.commit('Two', { 'a.ts': 'A2\n' });
    expectPushed(await hers.run('push', '-q', 'origin', 's1', 'main'));
    expect((await hers.run('merge', '-q', 's1')).code).toBe(1);
    expect(await hers.commit('Merge', { 'a.ts': 'A2\n' })).toBe('');
    const { body } = await ann.caller.get(`/changes?repo=acme/shop&commit=${await hers.head()}`);
    expect((await ann.caller.get(`/changes/${body.items[0].id}`)).body.files).toMatchObject([
      { path: 'a.ts', beforeBlob: await hers.blob('s1:a.ts'), afterBlob: await hers.blob('main:a.ts'), leased: true },
    ]);
    expectPushed(await hers.run('push', '-q', 'origin', 'main'));
    expect(await forge.tip('main')).toBe(await hers.head());
  });

  it('is clean for the remote, too, where it has the attributes that the merge went by', async () => {
    const files = { '.gitattributes': 'LOG merge=union\n', LOG: '1\n' };
    const { forge, ann, hers } = await scene({}, files);
    await ann.acquire({ paths: ['LOG'] });
    await hers.git('checkout', '-q', '-b', 's1');
    await hers.commit('One', { LOG: '1\none\n' });
    await hers.git('checkout', '-q', 'main');
    await hers.commit('Two', { LOG: '1\ntwo\n' });
    expectPushed(await hers.run('push', '-q', 'origin', 's1', 'main'));
    await hers.git('merge', '-q', '--no-edit', 's1');
    await forge.remote.write({ 'info/attributes': files['.gitattributes'] });
    expectPushed(await hers.run('push', '-q', 'origin', 'main'));
    expect(await forge.tip('main')).toBe(await hers.head());
  });

  it('throws away no side that another run holds, also past a git that cannot make merges anew', async () => {
    const { forge, ann, bob, hers, ...more } = await scene();
    const his = await more.his();
    await bob.acquire({ paths: ['b.ts'] });
    await his.commit('His', { 'b.ts': 'B2\n' });
    expectPushed(await his.run('push', '-q', 'origin', 'main'));
    await ann.acquire({ paths: ['a.ts'] });
    await hers.commit('Hers', { 'a.ts': 'A2\n' });
    const start = await hers.head();
    await hers.git('fetch', '-q');
    const old = hers.as({ GIT_EXEC_PATH: await oldGit(forge.remote.directory) });
    await hers.git('merge', '-q', '-s', 'ours', '-m', 'Mine alone', 'origin/main');
    expect((await old.run('push', '-q', 'origin', 'main')).err).toMatch(/push refused: [^]* b\.ts: held by loop/);
    expectRefused(await push(old, 'main'), / b\.ts: held by loop/);
    await hers.git('reset', '-q', '--hard', start);
    await hers.git('merge', '-q', '-m', 'Both', 'origin/main');
    expectPushed(await old.run('push', '-q', 'origin', 'main'));
    expect(await forge.tip('main')).toBe(await hers.head());
  });
});

/** Where git finds itself, in hooks as well, as one that knows no --remerge-diff: none before 2.35 did. */
async function oldGit(directory: string): Promise<string> {
  const old = path.join(directory, 'old');
  const real = (await promisify(execFile)('git', ['--exec-path'])).stdout.trim();
  const refusal = `case " $* " in *" --remerge-diff "*) echo 'fatal: unrecognized argument: --remerge-diff' >&2; exit 128 ;; esac`;
  await mkdir(old);
  for (const name of await readdir(real))
    if (name !== 'git') await symlink(path.join(real, name), path.join(old, name));
  await writeFile(path.join(old, 'git'), `#!/bin/sh\n${refusal}\nexec '${real}/git' "$@"\n`, { mode: 0o755 });
  return old;
}
