import { describe, expect, it } from 'vitest';
import { expiredFor, give, type Runner } from '../../modules/leases/support.ts';
import type { Checkout } from './checkout.ts';
import { expectPushed, guarded, push, type Scene } from './guarded.ts';

const { there, scene } = guarded();
const FILES = { 'a.ts': 'A\n', 'b.ts': 'B\n', 'docs/x.md': 'x\n' };

/** What the clone's own hook says, and what the remote does. */
async function bothSay(from: Checkout, told: RegExp, ...args: string[]): Promise<void> {
  for (const ran of [await from.run('push', '-q', 'origin', ...args), await push(from, ...args)]) {
    expect(ran.code, ran.err).toBe(1);
    expect(ran.err).toMatch(told);
  }
}

/** Ann's clone and the remote, both of which let edits through that no lease covers. */
async function reporting(): Promise<Scene> {
  const made = await scene({ unleased: 'report' }, FILES);
  await made.hers.git('config', 'signalbox.unleased', 'report');
  return made;
}

async function lapsed(runner: Runner, paths: string[]): Promise<void> {
  const { lease } = (await runner.acquire({ paths })).body;
  await expiredFor(there.server, lease.id, 1);
}

describe('where edits without a lease are let through', () => {
  it.each([
    ['a path', { paths: ['docs/x.md'] }],
    ['a pattern', { patterns: ['docs/**'] }],
    ['a pattern that says nothing of its start', { patterns: ['**/*.{md,txt}'] }],
  ])('they are not where somebody else holds a shared lease on %s', async (_what, claim) => {
    const { forge, bob, hers } = await reporting();
    const { lease } = (await bob.acquire({ ...claim, mode: 'shared', purpose: 'Reads it' })).body;
    await hers.commit('Unleased', { 'docs/x.md': 'y\n' });
    const before = await forge.tip('main');
    await bothSay(
      hers,
      /docs\/x\.md: held \(shared\) by loop "loop-\d+" of "Member \d+", purpose "Reads it", until/,
      'main',
    );
    expect(await forge.tip('main')).toBe(before);
    await give(bob, lease);
    expect((await hers.run('push', '-q', 'origin', 'main')).code).toBe(0);
  });

  it('nor where a lease of somebody else has run out and its lock delay has not, until when they are told', async () => {
    const { bob, hers } = await reporting();
    await lapsed(bob, ['b.ts']);
    await hers.commit('Unleased', { 'b.ts': 'B2\n' });
    await bothSay(
      hers,
      /b\.ts: closed until 20[^ ]+, after the lease of loop "loop-\d+" of "Member \d+" ran out at 20/,
      'main',
    );
  });

  it('nor by another name of a path in a repo that is not case-sensitive', async () => {
    const { org, bob, hers } = await reporting();
    const { body } = await org.admin.get('/repos?name=acme/shop');
    await org.admin.patch(`/repos/${body.items[0].id}`, { caseSensitive: false });
    await bob.acquire({ paths: ['stra\u00dfe/\u03a3.ts'], mode: 'shared' });
    await bob.acquire({ patterns: ['\u03a3\u03a3*'], mode: 'shared' });
    await hers.commit('Unleased', { 'STRA\u1e9eE/\u03c2.ts': 'x', '\u03c3\u03c3\u03b1.ts': 'x' });
    await bothSay(hers, /covers 2 of the 2 path\(s\)/, 'main');
  });

  it("but a shared lease of the run that makes them is in nobody else's way", async () => {
    const { forge, ann, hers } = await reporting();
    await hers.commit('Before it was leased', { 'a.ts': 'A2\n' });
    await ann.acquire({ paths: ['a.ts'], mode: 'shared' });
    expect((await hers.run('push', '-q', 'origin', 'main')).code).toBe(0);
    expect(await forge.tip('main')).toBe(await hers.head());
  });
});

describe('what waited on another branch', () => {
  /** Ann's commit waits on `side`; she has given her lease back. */
  async function waiting(): Promise<Scene> {
    const made = await scene({}, FILES);
    const { lease } = (await made.ann.acquire({ paths: ['a.ts'] })).body;
    await made.hers.commit('Mine', { 'a.ts': 'A2\n' });
    expectPushed(await push(made.hers, 'HEAD:side'));
    await give(made.ann, lease);
    return made;
  }

  it('does not land while somebody else holds a shared lease on one of its paths, or one in its lock delay', async () => {
    const { bob, hers } = await waiting();
    const { lease } = (await bob.acquire({ paths: ['a.ts'], mode: 'shared' })).body;
    const refused = await push(hers, 'HEAD:main');
    expect(refused.err).toMatch(/push refused: [^]*a\.ts: held \(shared\) by loop/);
    await expiredFor(there.server, lease.id, 1);
    expect((await push(hers, 'HEAD:main')).err).toMatch(/push refused: [^]*a\.ts: closed until 20/);
    await expiredFor(there.server, lease.id, 3600);
    expectPushed(await push(hers, 'HEAD:main'));
  });

  it('lands while the lock delay of its own run goes on', async () => {
    const { ann, hers } = await waiting();
    await lapsed(ann, ['a.ts']);
    expectPushed(await push(hers, 'HEAD:main'));
  });
});

it('a push under a shared lease of its own run is told that only an exclusive one covers it', async () => {
  const { ann, hers } = await scene({}, FILES);
  await ann.acquire({ paths: ['a.ts'], mode: 'shared' });
  await hers.commit('Mine', { 'a.ts': 'A2\n' });
  await bothSay(hers, /a\.ts: the lease of its run is shared, and only an exclusive one covers a push\. *$/m, 'main');
  await ann.acquire({ paths: ['a.ts'] });
  expectPushed(await hers.run('push', '-q', 'origin', 'main'));
});

it('a push of what was revoked is told what was, why and until when, and not to acquire it again', async () => {
  const { org, ann, hers } = await scene({}, FILES);
  const { lease } = (await ann.acquire({ paths: ['a.ts'], patterns: ['gen/**'], ttlSeconds: 3000 })).body;
  await hers.commit('Mine', { 'a.ts': 'A2\n' });
  await org.admin.post(`/leases/${lease.id}/revoke`, { reason: 'Frozen.' });
  const told = `(it was revoked: "Frozen.", on a.ts, gen/**, until ${lease.expiresAt})`;
  for (const ran of [await hers.run('push', '-q', 'origin', 'main'), await push(hers, 'main')]) {
    expect(ran.code).toBe(1);
    expect(ran.err).toContain(told);
    expect(ran.err).toMatch(/closed to that run until then, whatever it asks for: say so and stop/);
    expect(ran.err).not.toMatch(/acquire/);
  }
  // Once it would have expired anyway, a lease is to be had again.
  await expiredFor(there.server, lease.id, 3600);
  expect((await push(hers, 'main')).err).toMatch(/\(it was revoked: "Frozen\."\)[^]*acquire a lease on each path/);
});

describe('a branch that is moved back by its own holder', () => {
  it('is told why no lease allows that, and moves back by a new commit of the run', async () => {
    const { forge, ann, hers } = await scene({}, FILES);
    await ann.acquire({ paths: ['a.ts', 'b.ts'], ttlSeconds: 3000 });
    await hers.commit('One', { 'a.ts': 'A2\n' });
    await hers.commit('Two', { 'b.ts': 'B2\n' });
    expectPushed(await hers.run('push', '-q', 'origin', 'main'));
    const back = await hers.run('push', '-q', '--force', 'origin', 'HEAD~:main');
    expect(back.code).toBe(1);
    expect(back.err).toMatch(
      /would be taken away; where the new tip is no commit of a run, no lease allows that: force a new/,
    );
    await hers.git('reset', '-q', '--hard', 'HEAD~');
    await hers.git('commit', '-q', '--amend', '-m', 'One, alone');
    expectPushed(await hers.run('push', '-q', '--force', 'origin', 'main'));
    expect(await forge.tip('main')).toBe(await hers.head());
  });
});
