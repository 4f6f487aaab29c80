import { symlink } from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { give } from '../../modules/leases/support.ts';
import type { Checkout } from './checkout.ts';
import { expectPushed, expectRefused, guarded, push } from './guarded.ts';

const { scene } = guarded();

/** What git leaves in place of its own accord where it cannot merge. */
const PATHS = ['binary', 'gone', 'link', 'marks', 'module'];

/** Somebody's side of each of them. */
async function write(tree: Checkout, who: string): Promise<void> {
  await tree.run('rm', '-q', '--cached', '--ignore-unmatch', 'link');
  await tree.write({ link: null }).catch(() => undefined);
  await symlink(who, path.join(tree.directory, 'link'));
  await tree.write({ binary: `x\0${who}`, marks: `${who}\n`, gone: who === 'bob' ? null : `${who}\n` });
  await tree.git('add', '-A', ...PATHS.filter((name) => name !== 'module'));
  const commit = Buffer.from(who.padEnd(20)).toString('hex');
  await tree.git('update-index', '--add', '--cacheinfo', `160000,${commit},module`);
}

async function committed(tree: Checkout, message: string, who: string): Promise<void> {
  await write(tree, who);
  await tree.git('commit', '-q', '-m', message);
}

/** As git itself writes them when it makes a merge anew to compare. */
async function marksIn(tree: Checkout): Promise<string> {
  const short = async (name: string) => (await tree.git('rev-parse', '--short', name)).out;
  return `<<<<<<< ${await short('HEAD')} (Hers)\nann\n=======\nbob\n>>>>>>> ${await short('origin/work')} (His)\n`;
}

it('a merge that keeps its own side of files that git cannot merge throws away what another run holds, and is seen to', async () => {
  const { forge, ann, bob, hers, ...more } = await scene();
  for (const tree of [hers, forge.remote]) await tree.git('config', 'diff.submodule', 'log');
  const began = (await ann.acquire({ paths: PATHS })).body.lease;
  await committed(hers, 'Base', 'base');
  const base = await hers.head();
  await committed(hers, 'Hers', 'ann');
  expectPushed(await hers.run('push', '-q', 'origin', 'main'));
  await give(ann, began);
  await bob.acquire({ paths: PATHS });
  const his = await more.his();
  await his.git('checkout', '-q', '-b', 'work', base);
  await committed(his, 'His', 'bob');
  expectPushed(await his.run('push', '-q', 'origin', 'work'));

  await hers.git('fetch', '-q');
  const merged = await hers.run('merge', '-q', 'origin/work');
  expect(merged.code, merged.err).toBe(1);
  await write(hers, 'ann');
  await hers.write({ marks: await marksIn(hers) });
  await hers.git('add', 'marks');
  await hers.git('commit', '-q', '-m', 'Merge');
  const { body } = await ann.caller.get(`/changes?repo=acme/shop&commit=${await hers.head()}`);
  const { files } = (await ann.caller.get(`/changes/${body.items[0].id}`)).body as { files: { path: string }[] };
  expect(files.map((file) => file.path).toSorted()).toEqual(PATHS);
  const own = await hers.run('push', '-q', 'origin', 'HEAD:work');
  const gate = await push(hers, 'HEAD:work');
  expect(own.code).toBe(1);
  for (const name of PATHS) {
    const told = new RegExp(`covers 5 of the 5[^]* ${name}: held by loop`);
    expect(own.err).toMatch(told);
    expectRefused(gate, told);
  }
  expect(await forge.tip('work')).toBe(await his.head());
});

it('what a merge dropped is seen however git was told to show merges', async () => {
  const { forge, ann, bob, hers, ...more } = await scene();
  const his = await more.his();
  await bob.acquire({ paths: ['new.ts'] });
  await his.commit('New', { 'new.ts': 'n\n' });
  expectPushed(await his.run('push', '-q', 'origin', 'HEAD:work'));
  await ann.acquire({ paths: ['a.ts'] });
  await hers.commit('Hers', { 'a.ts': 'A2\n' });
  await hers.git('fetch', '-q');
  await hers.git('merge', '-q', '--no-commit', 'origin/work');
  await hers.git('rm', '-qf', 'new.ts');
  await hers.git('commit', '-q', '-m', 'Merge');
  for (const shown of ['first-parent', 'remerge', 'off']) {
    for (const tree of [hers, forge.remote]) {
      await tree.git('config', 'log.diffMerges', shown);
      await tree.git('config', 'i18n.logOutputEncoding', 'UTF-16');
    }
    const own = await hers.run('push', '-q', 'origin', 'main');
    expect(own.err, shown).toMatch(/push refused: [^]* new\.ts: held by loop/);
    expectRefused(await push(hers, 'main'), / new\.ts: held by loop/);
  }
  await hers.git('reset', '-q', '--hard', 'HEAD~');
  await hers.git('merge', '-q', '-m', 'Merge', 'origin/work');
  expectPushed(await hers.run('push', '-q', 'origin', 'main'));
  expect(await forge.tip('main')).toBe(await hers.head());
});
