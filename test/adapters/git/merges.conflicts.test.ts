import { symlink } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { give } from '../../modules/leases/support.ts';
import type { Checkout } from './checkout.ts';
import { expectPushed, expectRefused, guarded, push } from './guarded.ts';

const { scene } = guarded();

type Write = (tree: Checkout, who: string) => Promise<void>;

const link: Write = async (tree, who) => {
  await tree.run('rm', '-q', '--cached', '--', 'x');
  await tree.write({ x: null }).catch(() => undefined);
  await symlink(who, path.join(tree.directory, 'x'));
};
const submodule: Write = async (tree, who) => {
  const commit = Buffer.from(who.padEnd(20)).toString('hex');
  await tree.git('update-index', '--add', '--cacheinfo', `160000,${commit},x`);
};

/** What git leaves in place of its own accord where it cannot merge: how it comes to be, and how each side changes it. */
const KINDS: readonly [kind: string, first: Write, change: Write, theirs?: Write][] = [
  ['binary', (tree) => tree.write({ x: 'x\0base' }), (tree, who) => tree.write({ x: `x\0${who}` })],
  ['a link', link, link],
  ['a submodule', submodule, submodule],
  [
    'deleted on the other side',
    (tree) => tree.write({ x: 'base\n' }),
    (tree, who) => tree.write({ x: `${who}\n` }),
    (tree) => tree.write({ x: null }),
  ],
  [
    'left with the marks of the conflict',
    (tree) => tree.write({ x: 'base\n' }),
    (tree, who) => tree.write({ x: `${who}\n` }),
  ],
];

const shortOf = async (tree: Checkout, name: string) => (await tree.git('rev-parse', '--short', name)).out;

/** As git itself writes them when it makes a merge anew to compare. */
const marks: Write = async (tree) => {
  const [ours, theirs] = [await shortOf(tree, 'HEAD'), await shortOf(tree, 'origin/work')];
  await tree.write({ x: `<<<<<<< ${ours} (Hers)\nann\n=======\nbob\n>>>>>>> ${theirs} (His)\n` });
};

describe('a merge that keeps its own side of a file that git cannot merge', () => {
  it.each(KINDS)(
    '(%s) throws away what another run holds, and is seen to',
    async (kind, first, change, theirs = change) => {
      const { forge, ann, bob, hers, ...more } = await scene();
      const isIndex = kind === 'a submodule';
    for (const tree of [hers, forge.remote]) await tree.git('config', 'diff.submodule', 'log');
      const made = async (tree: Checkout, message: string, write: Write, who: string) => {
        await write(tree, who);
        if (!isIndex) await tree.git('add', '-A');
        await tree.git('commit', '-q', '-m', message);
      };
      const began = (await ann.acquire({ paths: ['x'] })).body.lease;
      await made(hers, 'Base', first, 'base');
      const base = await hers.head();
      await made(hers, 'Hers', change, 'ann');
      expectPushed(await hers.run('push', '-q', 'origin', 'main'));
      await give(ann, began);
      await bob.acquire({ paths: ['x'] });
      const his = await more.his();
      await his.git('checkout', '-q', '-b', 'work', base);
      await made(his, 'His', theirs, 'bob');
      expectPushed(await his.run('push', '-q', 'origin', 'work'));

      await hers.git('fetch', '-q');
      const merged = await hers.run('merge', '-q', 'origin/work');
      expect(merged.code, merged.err).toBe(1);
      await made(hers, 'Merge', kind.startsWith('left') ? marks : change, 'ann');
      const { body } = await ann.caller.get(`/changes?repo=acme/shop&commit=${await hers.head()}`);
      expect((await ann.caller.get(`/changes/${body.items[0].id}`)).body.files).toMatchObject([
        { path: 'x', leased: false },
      ]);
      for (const to of ['main', 'work']) {
        const own = await hers.run('push', '-q', 'origin', `HEAD:${to}`);
        expect(own.err).toMatch(/push refused: [^]* x: held by loop/);
        expectRefused(await push(hers, `HEAD:${to}`), / x: held by loop/);
      }
      expect(await forge.tip('work')).toBe(await his.head());
    },
  );
});

describe('what a merge dropped', () => {
  it.each(['first-parent', 'combined', 'dense-combined', 'remerge', 'off'])(
    'is seen however git was told to show merges (%s)',
    async (shown) => {
      const { forge, ann, bob, hers, ...more } = await scene();
      const his = await more.his();
      await bob.acquire({ paths: ['new.ts'] });
      await his.commit('New', { 'new.ts': 'n\n' });
      expectPushed(await his.run('push', '-q', 'origin', 'HEAD:work'));
      for (const tree of [hers, forge.remote]) {
        await tree.git('config', 'log.diffMerges', shown);
        await tree.git('config', 'i18n.logOutputEncoding', 'UTF-16');
      }
      await ann.acquire({ paths: ['a.ts'] });
      await hers.commit('Hers', { 'a.ts': 'A2\n' });
      await hers.git('fetch', '-q');
      await hers.git('merge', '-q', '--no-commit', 'origin/work');
      await hers.git('rm', '-qf', 'new.ts');
      await hers.git('commit', '-q', '-m', 'Merge');
      const own = await hers.run('push', '-q', 'origin', 'main');
      expect(own.err).toMatch(/push refused: [^]* new\.ts: held by loop/);
      expectRefused(await push(hers, 'main'), / new\.ts: held by loop/);
      await hers.git('reset', '-q', '--hard', 'HEAD~');
      await hers.git('merge', '-q', '-m', 'Merge', 'origin/work');
      expectPushed(await hers.run('push', '-q', 'origin', 'main'));
      expect(await forge.tip('main')).toBe(await hers.head());
    },
  );
});
