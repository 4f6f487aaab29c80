import { describe, expect, it } from 'vitest';
import { give } from '../../modules/leases/support.ts';
import { between, nobodyThere } from './checkout.ts';
import { expectPushed, expectRefused, guarded, push } from './guarded.ts';

const { there, scene } = guarded();

describe('a push to a guarded remote', () => {
  it('goes through under live leases: a new branch, more on it, a tag, a deletion, nothing new', async () => {
    const { forge, ann, hers } = await scene();
    await ann.acquire({ paths: ['a.ts'], patterns: ['docs/**'] });
    await hers.git('checkout', '-q', '-b', 'topic');
    await hers.commit('One', { 'a.ts': 'A2\n', 'docs/x/y.md': 'y\n' });
    expectPushed(await push(hers, 'topic'));
    await hers.commit('Two', { 'a.ts': null });
    await hers.git('tag', '-a', 'v1', '-m', 'v1');
    expectPushed(await push(hers, 'topic', 'v1'));
    expect(await forge.tip('topic')).toBe(await hers.head());
    await hers.git('tag', 'a-blob', 'HEAD:b.ts');
    // Nothing new comes: nothing is asked.
    await forge.remote.git('config', 'signalbox.url', await nobodyThere());
    expectPushed(await push(hers, 'HEAD:again', 'a-blob'));
    expectPushed(await push(hers, '--delete', 'topic'));
    expect(await forge.tip('topic')).toBeNull();
  });

  it("is refused when it forces others' commits away, and goes through when it rewrites its own", async () => {
    const { forge, ann, bob, hers, ...more } = await scene();
    const his = await more.his();
    await bob.acquire({ paths: ['b.ts'] });
    await his.commit('His', { 'b.ts': 'B2\n' });
    expectPushed(await push(his, 'main'));
    await ann.acquire({ paths: ['a.ts'] });
    await hers.commit('Hers', { 'a.ts': 'A2\n' });
    const tip = await forge.tip('main');
    expectRefused(await push(hers, '--force', 'main'), /b\.ts: held by loop/);
    expectRefused(await push(hers, '--force', 'HEAD~:main'), /would be taken away; [^]*a commit that undoes it/);
    // Not even its holder without a word: nothing says who pushes.
    expectRefused(await push(his, '--force', 'HEAD~:main'), /b\.ts: held by loop/);
    expect(await forge.tip('main')).toBe(tip);
    expectPushed(await push(hers, 'HEAD:topic'));
    await hers.git('commit', '-q', '--amend', '-m', 'Hers, better');
    expectPushed(await push(hers, '--force', 'HEAD:topic'));
    // Another branch keeps them: nothing is taken away.
    expectPushed(await push(his, 'main:his', 'main:kept'));
    expectPushed(await push(his, '--force', 'HEAD~:his'));
  });

  it('that takes commits away is answered for by the run of the new tip alone, whoever else is in it', async () => {
    const { forge, ann, bob, hers, ...more } = await scene({}, { 'a.ts': 'A\n', 'b.ts': 'B\n', 'c.ts': 'C\n' });
    const his = await more.his();
    const start = await hers.head();
    await ann.acquire({ paths: ['a.ts', 'c.ts'] });
    const { body: bobs } = await bob.acquire({ paths: ['b.ts'] });
    await hers.commit('Lost', { 'c.ts': 'C2\n' });
    expectPushed(await push(hers, 'HEAD:topic'));
    await hers.git('reset', '-q', '--hard', start);
    await hers.commit('Hers', { 'a.ts': 'A2\n' });
    await his.git('fetch', '-q', hers.directory, await hers.head());
    await his.git('reset', '-q', '--hard', 'FETCH_HEAD');
    await his.commit('His, on hers', { 'b.ts': 'B2\n' });
    // Each commit is covered, and what is lost would be by the lease of one who made a part of this, but not the last.
    expectRefused(await push(his, '--force', 'HEAD:topic'), /c\.ts: held by loop/);
    await hers.git('fetch', '-q', his.directory, await his.head());
    await hers.git('reset', '-q', '--hard', 'FETCH_HEAD');
    await hers.commit('Hers, on his', { 'a.ts': 'A3\n' });
    // Who builds on his commit may vouch for it, but his lease is his.
    expectPushed(await push(hers, '--force', 'HEAD:topic'));
    await give(bob, bobs.lease);
    await ann.acquire({ paths: ['b.ts'] });
    await hers.git('reset', '-q', '--hard', start);
    await hers.commit('Hers alone', { 'a.ts': 'A4\n' });
    expectPushed(await push(hers, '--force', 'HEAD:topic'));
    expect(await forge.tip('topic')).toBe(await hers.head());
  });

  it('with merges: clean ones ask nothing, others for what they changed themselves', async () => {
    const { forge, ann, bob, hers, ...more } = await scene({}, { 'a.ts': '1\n2\n3\n', 'b.ts': 'B\n', 'c.ts': 'C\n' });
    const his = await more.his();
    const { id, fence } = (await bob.acquire({ paths: ['a.ts', 'b.ts', 'c.ts'] })).body.lease;
    await his.commit('His', { 'a.ts': '1\nhis\n3\n', 'b.ts': 'B2\n' });
    expectPushed(await push(his, 'main'));
    await bob.caller.post(`/leases/${id}/release`, { fence });
    await ann.acquire({ paths: ['a.ts', 'new.ts'] });
    await hers.commit('New', { 'new.ts': 'n\n' });
    await hers.git('fetch', '-q');
    const start = await hers.head();
    await hers.git('merge', '-q', '--no-edit', 'origin/main');
    expectPushed(await push(hers, 'HEAD:clean'));
    await hers.git('reset', '-q', '--hard', start);
    await hers.git('merge', '-q', '--no-edit', '-s', 'ours', 'origin/main');
    expectRefused(await push(hers, 'HEAD:ours'), /covers 2 of the 2 path\(s\)[^]* b\.ts: no lease covers it/);
    await hers.git('reset', '-q', '--hard', start);
    await hers.commit('Conflicts', { 'a.ts': '1\nhers\n3\n' });
    expect((await hers.run('merge', '-q', 'origin/main')).code).toBe(1);
    await hers.commit('Merge', { 'a.ts': '1\nboth\n3\n' });
    expectPushed(await push(hers, 'HEAD:main'));
    expect(await forge.tip('main')).toBe(await hers.head());
  });

  it('of a renamed file needs the old path and the new one, unless no lease can name the old one', async () => {
    const { forge, ann, hers } = await scene({}, { 'a.ts': 'A\n', 'tab\there': 'x' });
    await ann.acquire({ paths: ['moved/a.ts', 'tab-here'] });
    await hers.git('config', 'diff.renames', 'copies');
    await hers.write({ 'tab\there': null, 'tab-here': 'x' });
    await hers.commit('Rename', {});
    expectPushed(await hers.run('push', '-q', 'origin', 'main'));
    await hers.write({ 'moved/a.ts': 'A\n', 'a.ts': null });
    await hers.commit('Move', {});
    expectRefused(await push(hers, 'main'), /covers 1 of the 2 path\(s\)[^]* a\.ts: no lease covers it/);
    await ann.acquire({ paths: ['a.ts'] });
    expectPushed(await push(hers, 'main'));
    expect(await forge.tip('main')).toBe(await hers.head());
  });

  it('of a submodule alone lands under a lease on its path, and is refused while another run holds it', async () => {
    const { forge, ann, bob, hers } = await scene();
    const pin = async (digit: string) => {
      await hers.git('update-index', '--add', '--cacheinfo', `160000,${digit.repeat(40)},vendor/lib`);
      return (await hers.git('commit', '-q', '-m', `At ${digit}`)).err;
    };
    const { lease } = (await ann.acquire({ paths: ['vendor/lib'] })).body;
    expect(await pin('1')).toBe('');
    expectPushed(await hers.run('push', '-q', 'origin', 'main'));
    await give(ann, lease);
    await bob.acquire({ paths: ['vendor/lib'] });
    await pin('2');
    expectRefused(await push(hers, 'main'), /covers 1 of the 1 path\(s\)[^]* vendor\/lib: held by loop/);
    await hers.git('reset', '-q', '--hard', 'HEAD~');
    // What changes no file is asked about by nobody.
    await hers.git('commit', '-q', '--allow-empty', '-m', 'Nothing');
    expectPushed(await hers.run('push', '-q', 'origin', 'main'));
    expect(await forge.tip('main')).toBe(await hers.head());
  });

  it('with names in other scripts, and with names that would speak to a terminal', async () => {
    const { ann, hers, ...more } = await scene();
    const theirs = await more.theirs();
    const [nfd, odd] = ['cafe\u0301.ts', 'x\u001b[2J\nsignalbox: fine'];
    await ann.acquire({ paths: ['caf\u00e9.ts', 'データ/値.ts', '-dash', 'a\u202etxt.exe', 'q"uote'] });
    await hers.commit('Names', { [nfd]: 'x', 'データ/値.ts': 'x', '-dash': 'x', 'a\u202etxt.exe': 'x', 'q"uote': 'x' });
    expectPushed(await push(hers, 'main'));
    await theirs.git('pull', '-q');
    await theirs.commit('Same', { 'a\u202etxt.exe': 'y', [nfd]: 'y' });
    expectRefused(await push(theirs, 'main'), /"a\\u202etxt\.exe": held by[^]* caf\u00e9\.ts: held by/);
    await theirs.commit('Odd', { [odd]: 'x' });
    const refused = await push(theirs, 'main');
    expectRefused(refused, /no lease can name these paths; rename them: "x\\u001b\[2J\\nsignalbox: fine"/);
    // oxlint-disable-next-line no-control-regex -- they are what is looked for
    expect(refused.err).not.toMatch(/\u001b\[2J|^remote: signalbox: fine|\u202e/m);
  });

  it('of 1,200 files is asked about in parts, as small as the server wants them', async () => {
    const { forge, ann, hers } = await scene({}, { 'a.ts': 'A\n' }, 'sha256');
    await ann.acquire({ patterns: ['gen/**'] });
    await ann.acquire({ paths: ['a.ts'] });
    const files = Object.fromEntries(Array.from({ length: 1200 }, (_, i) => [`gen/${i}.ts`, `${i}\n`]));
    await hers.commit('Generate', { ...files, 'a.ts': 'A2\n', '0.ts': 'x', 'other/1.ts': 'x' });
    const sizes: number[] = [];
    const proxy = await between(there.server.url, async (target, sent, answer) => {
      if (!target.endsWith('/leases/verify')) return { body: await answer() };
      const { paths, leases } = JSON.parse(sent) as { paths: string[]; leases: unknown[] };
      const size = paths.length * leases.length;
      if (size > 300) return { status: 422, body: { code: 'verify_too_large', detail: 'Too much.' } };
      sizes.push(size);
      return { body: await answer() };
    });
    await forge.remote.git('config', 'signalbox.url', proxy.url);
    expectRefused(
      await push(hers, 'main'),
      /covers 2 of the 1203 path\(s\)[^]* 0\.ts: no lease[^]* other\/1\.ts: no lease/,
    );
    expect(Math.max(...sizes)).toBeLessThanOrEqual(300);
    await ann.acquire({ paths: ['0.ts', 'other/1.ts'] });
    await forge.remote.git('config', 'signalbox.url', there.server.url);
    expectPushed(await push(hers, 'main'));
    proxy.close();
  });

  it('of notes on commits changes no file, and makes no commit known', async () => {
    const { hers } = await scene();
    await hers.git('notes', 'add', '-m', 'A note');
    expectPushed(await hers.run('push', '-q', 'origin', 'refs/notes/commits'));
    await hers.commit('Not mine', { 'a.ts': 'A2\n' });
    expectPushed(await push(hers, 'HEAD:refs/notes/x'));
    expectRefused(await push(hers, 'main'), /a\.ts: no lease covers it/);
  });
});
