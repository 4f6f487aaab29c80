import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Checkout, Ran } from './checkout.ts';
import { expectPushed, guarded, push } from './guarded.ts';

const { scene } = guarded();

/** By the hook of whoever pushes. */
function expectStopped(ran: Ran, told: RegExp): void {
  expect(ran.code, ran.err).toBe(1);
  expect(ran.err).toMatch(/^signalbox: push refused: /m);
  expect(ran.err).toMatch(told);
}

/** Somebody's commit on b.ts, which nobody ever verified, in a clone of their own. */
async function unverified() {
  const made = await scene();
  const theirs = await made.theirs();
  await theirs.commit('By hand', { 'b.ts': 'B2\n' });
  return { ...made, theirs };
}

describe('what a clone has fetched from elsewhere', () => {
  it('is on no remote that it was not pushed to: by its name, by its URL, and whatever others are called', async () => {
    const { forge, hers, theirs } = await unverified();
    for (const name of ['colleague', 'origin/colleague']) {
      await hers.git('remote', 'add', name, theirs.directory);
      await hers.git('fetch', '-q', name);
      await hers.git('reset', '-q', '--hard', `refs/remotes/${name}/main`);
      for (const to of ['origin', forge.remote.directory])
        expectStopped(await hers.run('push', '-q', to, 'HEAD:refs/heads/topic'), /covers 1 of the 1 path[^]* b\.ts: /);
    }
  });
});

describe('a clone that fetches no branches of the remote', () => {
  const bare = async (hers: Checkout, forge: Checkout) => {
    const directory = path.join(hers.directory, '..', 'bare.git');
    await hers.git('clone', '-q', '--bare', forge.directory, directory);
    const tree = new (hers.constructor as typeof Checkout)(path.join(directory, '..', 'tree'), hers.env);
    await hers.git('-C', directory, 'worktree', 'add', '-q', '-b', 'topic', tree.directory);
    await tree.git('config', 'core.hooksPath', (await hers.git('config', 'core.hooksPath')).out);
    return tree;
  };

  it('asks the remote what it has, and is asked only about what it brings', async () => {
    const { forge, ann, hers } = await scene();
    const tree = await bare(hers, forge.remote);
    await ann.acquire({ paths: ['a.ts'] });
    await tree.commit('Mine', { 'a.ts': 'A2\n' });
    expectPushed(await tree.run('push', '-q', 'origin', 'topic'));
    expect(await forge.tip('topic')).toBe(await tree.head());
    await tree.commit('Not mine', { 'b.ts': 'B2\n' });
    expectStopped(await tree.run('push', '-q', 'origin', 'topic:other'), /covers 1 of the 1 path[^]* b\.ts: /);
  });
});

describe('a tag', () => {
  it('that moves back takes away nothing that a branch keeps, and everything else', async () => {
    const { ann, hers } = await scene();
    await ann.acquire({ paths: ['a.ts'] });
    const start = await hers.head();
    await hers.commit('Mine', { 'a.ts': 'A2\n' });
    await hers.git('tag', 'v1');
    expectPushed(await hers.run('push', '-q', 'origin', 'main', 'v1'));
    await ann.caller.post(`/runs/${ann.runId}/finish`, { epoch: 1, outcome: { status: 'succeeded' } });
    await hers.git('tag', '-f', 'v1', start);
    expectPushed(await hers.run('push', '-q', '-f', 'origin', 'v1'));
    // A commit that only the tag leads to.
    await hers.git('tag', '-f', 'v1', 'main');
    await hers.git('commit', '-q', '--amend', '-m', 'Alone');
    await hers.git('tag', 'alone');
    expect((await push(hers, 'alone')).code).toBe(1);
  });

  it('or a hundred of them are asked about together', async () => {
    const { forge, ann, hers } = await scene();
    await ann.acquire({ paths: ['a.ts'] });
    await hers.commit('Mine', { 'a.ts': 'A2\n' });
    await hers.git('fetch', '-q');
    const trace = path.join(hers.directory, '..', 'trace');
    const many = Array.from({ length: 100 }, (_, at) => `HEAD:refs/tags/v${at}`);
    expectPushed(await hers.as({ GIT_TRACE: trace }).run('push', '-q', 'origin', ...many));
    expect((await forge.remote.git('tag')).out.split('\n')).toHaveLength(100);
    const { readFile } = await import('node:fs/promises');
    const started = (await readFile(trace, 'utf8')).split('\n').filter((text) => text.includes('trace: built-in: git'));
    expect(started.length).toBeGreaterThan(5);
    expect(started.length).toBeLessThan(60);
  });
});
