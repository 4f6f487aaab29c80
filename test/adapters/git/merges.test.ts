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
});
