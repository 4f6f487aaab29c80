import { describe, expect, it } from 'vitest';
import type { Checkout } from './checkout.ts';
import { expectRefused, guarded, push } from './guarded.ts';

const { scene } = guarded();

/** Bob's work is on main and on side, under leases that live; Ann's, on a file of her own, began before it. */
async function landed(config: Record<string, string>) {
  const made = await scene(config, { p: 'seed\n', q: 'seed\n', z: 'seed\n', old: 'seed\n' });
  const { ann, bob, hers } = made;
  const his = await made.his();
  await bob.acquire({ paths: ['p', 'q', 'new', 'old'] });
  await his.commit('P', { p: 'his\n', new: 'his\n', old: null });
  expectPassed(await his.run('push', '-q', 'origin', 'main'));
  await his.git('checkout', '-q', '-b', 'side', 'HEAD~');
  await his.commit('Q', { q: 'his\n' });
  expectPassed(await his.run('push', '-q', 'origin', 'side'));
  await ann.acquire({ paths: ['z', 'y'] });
  await hers.git('fetch', '-q');
  await hers.git('checkout', '-q', '-b', 'more');
  await hers.commit('Y', { y: 'hers\n' });
  await hers.git('checkout', '-q', 'main');
  await hers.commit('Z', { z: 'hers\n' });
  return { ...made, his };
}

function expectPassed({ code, err }: { code: number; err: string }): void {
  expect(err).not.toContain('signalbox');
  expect(code, err).toBe(0);
}

/** By the clone's own hook, and by the remote. */
async function expectBothRefuse(from: Checkout, what: string, told: RegExp): Promise<void> {
  const own = await from.run('push', '-q', 'origin', `${what}:main`);
  expect(own.code, own.err).toBe(1);
  expect(own.err).toMatch(told);
  expectRefused(await push(from, `${what}:main`), told);
}

/** A commit of any files that says to be a merge of any commits. */
async function pretend(at: Checkout, [tree = '', ...parents]: readonly string[]): Promise<string> {
  const args = parents.flatMap((parent) => ['-p', parent]);
  return (await at.git('commit-tree', `${tree}^{tree}`, '-m', 'Merge', ...args)).out;
}

describe.each([
  ['the branch of HEAD', {}],
  ['a configured trunk', { trunk: 'main' }],
])('an octopus merge, pushed to %s', (_what, config) => {
  it('throws away nothing that another run holds, whichever parent it has the files from', async () => {
    const { forge, hers } = await landed(config);
    const before = await forge.tip('main');
    await hers.git('merge', '-q', '-s', 'ours', '-m', 'm3', 'origin/main', 'origin/side');
    const all = /covers 4 of the 5 path\(s\)[^]* new: held by[^]* old: held by[^]* p: held by[^]* q: held by/;
    await expectBothRefuse(hers, 'HEAD', all);
    expect(await forge.tip('main')).toBe(before);
  });

  it('lands where it brings together what each side changed in files of its own', async () => {
    const { forge, hers } = await landed(config);
    await hers.git('merge', '-q', '-m', 'm4', 'origin/main', 'origin/side', 'more');
    expect(await hers.head('HEAD^4')).toBe(await hers.head('more'));
    expectPassed(await hers.run('push', '-q', 'origin', 'HEAD:main'));
    expect(await forge.tip('main')).toBe(await hers.head());
  });
});

it('an octopus merge throws away nothing, whatever it says to have merged', async () => {
  const { forge, hers } = await landed({});
  const before = await forge.tip('main');
  const start = await hers.head();
  const throwsAway = async (told: RegExp, ...commits: string[]) =>
    expectRefused(await push(hers, `${await pretend(hers, commits)}:main`), told);
  // The first names the files that it has, the others what it says to have merged.
  await throwsAway(/ new: held by[^]* old: held by[^]* p: held by/, 'origin/side', start, 'origin/main', 'origin/side');
  await throwsAway(/ q: held by/, 'origin/main', start, 'origin/main', 'origin/side');
  await throwsAway(/ p: held by/, start, start, 'origin/main', 'more');
  await throwsAway(/ p: held by[^]* q: held by/, start, 'origin/main', 'origin/side', start);
  expect(await forge.tip('main')).toBe(before);
});

it('an octopus merge is reported, and asked about, with what it made different from what git would make', async () => {
  const { forge, ann, hers } = await landed({});
  await hers.git('merge', '-q', '-m', 'm3', 'origin/main', 'origin/side');
  const [p, seed] = [await hers.blob('origin/main:p'), await hers.blob('HEAD^1:p')];
  await hers.write({ z: 'hers, merged\n', p: 'seed\n' });
  await hers.git('commit', '-q', '-a', '--amend', '-m', 'Not as git would');
  const { body } = await ann.caller.get(`/changes?repo=acme/shop&commit=${await hers.head()}`);
  const { files } = (await ann.caller.get(`/changes/${body.items[0].id}`)).body;
  const [before, after] = [await hers.blob('HEAD^1:z'), await hers.blob('HEAD:z')];
  expect(files).toHaveLength(2);
  expect(files).toContainEqual(expect.objectContaining({ path: 'p', beforeBlob: p, afterBlob: seed, leased: false }));
  expect(files).toContainEqual(
    expect.objectContaining({ path: 'z', beforeBlob: before, afterBlob: after, leased: true }),
  );
  await expectBothRefuse(hers, 'HEAD', /covers 1 of the \d path\(s\)[^]* p: held by/);
  await hers.write({ p: 'his\n' });
  await hers.git('commit', '-q', '-a', '--amend', '-m', 'As git would, and more');
  expectPassed(await hers.run('push', '-q', 'origin', 'HEAD:main'));
  expect(await forge.tip('main')).toBe(await hers.head());
});

it('an octopus merge of branches that changed one file is asked about it, however it settles that', async () => {
  const { ann, bob, hers, ...more } = await scene({}, { a: '1\n2\n3\n', b: 'seed\n' });
  const his = await more.his();
  const { lease } = (await bob.acquire({ paths: ['a'] })).body;
  await his.commit('First line', { a: 'his\n2\n3\n' });
  await his.git('push', '-q', 'origin', 'main');
  await bob.caller.post(`/leases/${lease.id}/release`, { fence: lease.fence });
  await ann.acquire({ paths: ['b'] });
  const { lease: hersOnA } = (await ann.acquire({ paths: ['a'] })).body;
  await hers.commit('Last line', { a: '1\n2\nhers\n' });
  await hers.git('checkout', '-q', '-b', 'more', 'HEAD~');
  await hers.commit('B', { b: 'hers\n' });
  await hers.git('fetch', '-q');
  expectPassed(await push(hers, 'main:waiting', 'more'));
  await ann.caller.post(`/leases/${hersOnA.id}/release`, { fence: hersOnA.fence });
  await hers.git('merge', '-q', '-m', 'm3', 'main', 'origin/main');
  await expectBothRefuse(hers, 'HEAD', / a: no lease covers it/);
  await hers.git('commit', '-q', '--amend', '-m', 'Reported');
  await ann.acquire({ paths: ['a'] });
  expectPassed(await hers.run('push', '-q', 'origin', 'HEAD:main'));
});
