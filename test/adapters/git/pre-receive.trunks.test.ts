import { describe, expect, it } from 'vitest';
import { give } from '../../modules/leases/support.ts';
import { expectPushed, expectRefused, guarded, push, runOut } from './guarded.ts';

const { there, scene } = guarded();

/** Ann's commit on a.ts waits on `side`; her time is up, and Bob holds the path now. */
async function overtaken(config: Record<string, string> = {}) {
  const made = await scene(config);
  const { ann, bob, hers } = made;
  await ann.acquire({ paths: ['a.ts'] });
  await hers.commit('Slow work', { 'a.ts': 'A2\n' });
  expectPushed(await push(hers, 'HEAD:side'));
  await runOut(there.server, ann);
  const { lease } = (await bob.acquire({ paths: ['a.ts'] })).body;
  return { ...made, lease };
}

describe('what waited on another branch', () => {
  it("lands on the remote's own branch unless somebody else holds it by then, as the hooks are installed", async () => {
    const { forge, bob, hers, lease } = await overtaken();
    const before = await forge.tip('main');
    expectRefused(await hers.run('push', '-q', 'origin', 'HEAD:main'), /a\.ts: held by loop/);
    expectRefused(await push(hers, 'HEAD:refs/heads/again', 'HEAD:main'), /a\.ts: held by loop/);
    expect(await forge.tip('main')).toBe(before);
    expectPushed(await push(hers, 'HEAD:again'));
    await give(bob, lease);
    // What comes with it, and has not waited, is asked about as ever.
    await hers.commit('Unleased', { 'c.ts': 'C\n' });
    expectRefused(await push(hers, 'HEAD:main'), /covers 1 of the 2 path[^]*c\.ts/);
    expectPushed(await hers.run('push', '-q', 'origin', 'HEAD~:main'));
    expect(await forge.tip('main')).toBe(await forge.tip('side'));
  });

  it('lands on configured trunks only under live leases, and they alone are trunks then', async () => {
    const { forge, bob, hers, lease } = await overtaken({ trunk: 'release' });
    await forge.remote.git('branch', 'release', 'main');
    expectRefused(await push(hers, 'HEAD:release'), /a\.ts: held by loop/);
    expectPushed(await push(hers, 'HEAD:main'));
    await give(bob, lease);
    expectRefused(await push(hers, 'HEAD:release'), /covers 1 of the 1 path/);
    await forge.remote.git('config', 'signalbox.trunk', 'release/*');
    expectRefused(await push(hers, 'HEAD:release'), /signalbox\.trunk names one branch each/);
    await forge.remote.git('config', 'signalbox.trunk', '');
    expectPushed(await push(hers, 'HEAD:release'));
  });

  it('lands with what was built on it, also where the same push takes a part of it to another branch', async () => {
    const { forge, bob, hers, ...more } = await overtaken();
    const his = await more.his();
    await hers.commit('More of it', { 'c.ts': 'C\n' });
    await bob.acquire({ paths: ['c.ts'] });
    await his.git('fetch', '-q', hers.directory, 'main');
    await his.git('reset', '-q', '--hard', 'FETCH_HEAD');
    await his.commit('On top of hers', { 'a.ts': 'A3\n' });
    expectPushed(await push(his, 'HEAD~:refs/heads/part', 'HEAD:main'));
    expect(await forge.tip('main')).toBe(await his.head());
  });

  it('was verified only where a push can have brought it: what a forge keeps of forks was not', async () => {
    const { forge, hers, ...more } = await scene();
    const theirs = await more.theirs();
    await theirs.commit('By hand', { 'b.ts': 'B2\n' });
    await forge.remote.git('fetch', '-q', theirs.directory, 'main:refs/pull/1/head');
    await hers.git('fetch', '-q', 'origin', 'refs/pull/1/head');
    expectRefused(await push(hers, 'FETCH_HEAD:refs/heads/main'), /b\.ts: no lease covers it/);
    expectRefused(await push(hers, 'FETCH_HEAD:refs/heads/other'), /b\.ts: no lease covers it/);
  });

  it('does not land by another name of a trunk', async () => {
    const { forge, hers } = await overtaken();
    await forge.remote.git('symbolic-ref', 'refs/heads/master', 'refs/heads/main');
    expectRefused(await push(hers, 'HEAD:master'), /a\.ts: held by loop/);
    expectRefused(await push(hers, '--delete', 'master'), /refs\/heads\/main is a trunk/);
    await forge.remote.git('config', 'signalbox.trunk', 'master');
    expectRefused(await push(hers, 'HEAD:main'), /a\.ts: held by loop/);
  });
});

describe('the first to come to the branch of HEAD', () => {
  /** Ann's work waits on `feature`, beside what both began with; nothing has come to main, where Bob works by now. */
  async function unborn() {
    const made = await scene();
    const { forge, ann, bob, hers } = made;
    const { lease } = (await ann.acquire({ paths: ['a.ts'] })).body;
    await hers.commit('Hers', { 'a.ts': 'A2\n' });
    expectPushed(await push(hers, 'HEAD:feature'));
    await give(ann, lease);
    await forge.remote.git('update-ref', '-d', 'refs/heads/main');
    return { ...made, take: (claim: object) => bob.acquire({ paths: ['a.ts'], ...claim }) };
  }

  it.each(['exclusive', 'shared'])('does not land while another run holds a path of it (%s)', async (mode) => {
    const { forge, ann, bob, hers, take } = await unborn();
    const { lease } = (await take({ mode, purpose: 'Prices' })).body;
    expectRefused(
      await push(hers, 'origin/feature:refs/heads/main'),
      /a\.ts: held .*by loop .*, purpose "Prices", until 20/,
    );
    expectRefused(
      await push(hers, 'HEAD:refs/heads/other', 'HEAD:refs/heads/main'),
      /covers 1 of the 2 path\(s\)[^]*a\.ts: held/,
    );
    expect(await forge.tip('main')).toBeNull();
    await give(bob, lease);
    // Nobody's by now, but for what its own run holds.
    await ann.acquire({ paths: ['a.ts'] });
    expectPushed(await push(hers, 'origin/feature:refs/heads/main'));
    expect(await forge.tip('main')).toBe(await hers.head());
  });

  it('is not asked about on other branches, nor where there is no trunk', async () => {
    const { forge, hers, take } = await unborn();
    await take({});
    expectPushed(await push(hers, 'origin/feature:refs/heads/other'));
    await forge.remote.git('config', 'signalbox.trunk', '');
    expectPushed(await push(hers, 'origin/feature:refs/heads/main'));
    expect(await forge.tip('main')).toBe(await hers.head());
  });
});

describe('a trunk', () => {
  it('loses nothing to a push without leases, whatever other ref keeps it', async () => {
    const { forge, bob, ...more } = await scene();
    const [his, theirs] = [await more.his(), await more.theirs()];
    await bob.acquire({ paths: ['b.ts'] });
    await his.commit('His', { 'b.ts': 'B2\n' });
    expectPushed(await push(his, 'main'));
    await theirs.git('fetch', '-q');
    const tip = await forge.tip('main');
    const rewind = ['origin/main:refs/heads/zz', 'origin/main~1:main'];
    expectRefused(await push(theirs, '--force', ...rewind), /b\.ts: held by loop[^]*would be taken away/);
    expectPushed(await push(theirs, 'origin/main:refs/heads/zz'));
    expectRefused(await push(theirs, '--force', 'origin/main~1:main'), /b\.ts: held by loop/);
    expect(await forge.tip('main')).toBe(tip);
  });

  it('is not deleted by a push, and when it is made anew it is held against the other trunks alone', async () => {
    const { forge, hers } = await overtaken({ trunk: 'release' });
    await forge.remote.git('config', '--add', 'signalbox.trunk', 'main');
    expectPushed(await push(hers, 'origin/main:refs/heads/release'));
    expectRefused(await push(hers, '--delete', 'release'), /refs\/heads\/release is a trunk of this repository/);
    expectRefused(await push(hers, ':release', 'HEAD:refs/heads/third'), /no push may delete it/);
    expect(await forge.tip('third')).toBeNull();
    await forge.remote.git('branch', '-q', '-D', 'release');
    expectRefused(await push(hers, 'HEAD:refs/heads/release'), /covers 1 of the 1 path[^]*a\.ts: held by loop/);
    expectPushed(await push(hers, 'origin/main:refs/heads/release'));
    expectPushed(await push(hers, '--delete', 'side'));
  });

  it('is what first comes to an empty repository, and none where HEAD names a branch that is not there', async () => {
    const { forge, ann, hers } = await scene();
    await forge.remote.git('update-ref', '-d', 'refs/heads/main');
    await hers.git('checkout', '-q', '--orphan', 'fresh');
    await hers.commit('Root', { 'a.ts': 'A2\n' });
    expectRefused(await push(hers, 'HEAD:main'), /covers 2 of the 2 path\(s\)/);
    await ann.acquire({ paths: ['a.ts', 'b.ts'] });
    expectPushed(await push(hers, 'HEAD:main'));
    await hers.commit('Next', { 'a.ts': 'A3\n' });
    await forge.remote.git('symbolic-ref', 'HEAD', 'refs/heads/master');
    expectPushed(await push(hers, 'HEAD:main'));
    expect(await forge.tip('main')).toBe(await hers.head());
  });
});
