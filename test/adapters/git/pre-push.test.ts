import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { finish, newRunner, type Runner } from '../../modules/leases/support.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { type Checkout, createForge, type Forge, nobodyThere, type Ran } from './checkout.ts';

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

const envOf = (runner: Runner) => ({
  SIGNALBOX_URL: server.url,
  SIGNALBOX_KEY: runner.caller.secret,
  SIGNALBOX_RUN: runner.runId,
});

interface Scene {
  readonly forge: Forge;
  readonly org: TestOrg;
  readonly ann: Runner;
  readonly bob: Runner;
  /** Ann's clone, and Bob's. */
  readonly hers: Checkout;
  readonly his: Checkout;
}

/** Two developers with a run and a clone each. */
async function scene(
  files: Record<string, string> = { 'a.ts': 'A\n', 'b.ts': 'B\n' },
  format?: 'sha256',
): Promise<Scene> {
  const forge = await createForge(files, format);
  forges.push(forge);
  const org = await server.newOrg();
  const [ann, bob] = [await newRunner(org), await newRunner(org)];
  const [hers, his] = [await forge.clone('hers', envOf(ann)), await forge.clone('his', envOf(bob))];
  return { forge, org, ann, bob, hers, his };
}

/** Its time is up, lock delay and all. */
const runOut = (runner: Runner) =>
  server.sql(`UPDATE lease SET expires_at = clock_timestamp() - interval '1 hour' WHERE run_id = $1`, [runner.runId]);

function expectRefused(ran: Ran, told: RegExp): void {
  expect(ran.code, ran.err).toBe(1);
  expect(ran.err).toMatch(/^signalbox: push refused: /m);
  expect(ran.err).toMatch(told);
  expect(ran.err).not.toMatch(/no-verify|hooksPath|pushFailOpen|bypass|skip/i);
}

function expectPushed(ran: Ran): void {
  expect(ran.err).not.toContain('signalbox');
  expect(ran.code, ran.err).toBe(0);
}

describe('a push', () => {
  it('goes through under live leases: a new branch, more on it, a tag, a deletion', async () => {
    const { forge, ann, hers } = await scene();
    await ann.acquire({ paths: ['a.ts'], patterns: ['docs/**'] });
    await hers.git('checkout', '-q', '-b', 'topic');
    await hers.commit('One', { 'a.ts': 'A2\n', 'docs/x/y.md': 'y\n' });
    expectPushed(await hers.run('push', '-q', 'origin', 'topic'));
    await hers.commit('Two', { 'a.ts': null });
    expectPushed(await hers.run('push', '-q', 'origin', 'topic'));
    expect(await forge.tip('topic')).toBe(await hers.head());
    await hers.git('tag', '-a', 'v1', '-m', 'v1');
    expectPushed(await hers.run('push', '-q', 'origin', 'v1'));
    expectPushed(await hers.run('push', '-q', 'origin', '--delete', 'topic'));
    expect(await forge.tip('topic')).toBeNull();
    // Nothing to push, nothing to ask.
    expectPushed(await hers.as({ SIGNALBOX_URL: await nobodyThere() }).run('push', '-q', 'origin', 'main'));
  });

  it('of a holder whose lease ran out, and whose path another run took over, is refused', async () => {
    const { forge, ann, bob, hers, his } = await scene();
    await ann.acquire({ paths: ['a.ts'] });
    await hers.commit('Slow work', { 'a.ts': 'hers\n' });
    const before = await forge.tip('main');
    await runOut(ann);
    expectRefused(await hers.run('push', '-q', 'origin', 'main'), /a\.ts: .*nobody holds it now/);
    expect((await bob.acquire({ paths: ['a.ts'], purpose: 'Move the prices' })).status).toBe(201);
    const refused = await hers.run('push', '-q', 'origin', 'main');
    expectRefused(refused, /a\.ts: held by loop "loop-\d+" of "Member \d+", purpose "Move the prices", until 20/);
    expect(refused.err).toContain('covers 1 of the 1 path(s)');
    expect(await forge.tip('main')).toBe(before);
    await his.commit('Quick work', { 'a.ts': 'his\n' });
    expectPushed(await his.run('push', '-q', 'origin', 'main'));
    expect(await forge.tip('main')).toBe(await his.head());
  });

  it('with an edit that no lease covers is refused, in whichever of its commits and worktrees that is', async () => {
    const { forge, ann, bob, hers } = await scene();
    await ann.acquire({ paths: ['a.ts'] });
    await bob.acquire({ paths: ['b.ts'] });
    const tree = await forge.worktree(hers, 'side', envOf(bob));
    await hers.commit('Mine', { 'a.ts': 'A2\n' });
    await hers.commit('Not mine', { 'b.ts': 'B2\n' });
    await hers.commit('Not mine, undone', { 'b.ts': 'B\n' });
    await tree.commit('His', { 'b.ts': 'B3\n' });
    expectRefused(await hers.run('push', '-q', 'origin', 'main'), /b\.ts: held by loop/);
    expectPushed(await tree.run('push', '-q', 'origin', 'side'));
    expectRefused(await hers.as({ SIGNALBOX_RUN: '' }).run('push', '-q', 'origin', 'main'), /no run is named/);
    // Another branch name, a tag or an octopus of refs is no way round.
    expectRefused(await hers.run('push', '-q', 'origin', 'HEAD:refs/heads/other', 'side'), /b\.ts/);
    await hers.git('tag', 'v1');
    expectRefused(await hers.run('push', '-q', 'origin', 'v1'), /b\.ts/);
  });

  it('asks nothing about what a merge brought from the remote, but does about what the merge itself changed', async () => {
    const { ann, bob, hers, his } = await scene({ 'a.ts': 'A\n', 'b.ts': 'B\n', 'c.ts': 'C\n' });
    await ann.acquire({ paths: ['a.ts'] });
    await bob.acquire({ paths: ['b.ts', 'c.ts'] });
    await his.commit('His', { 'b.ts': 'B2\n', 'c.ts': 'C2\n' });
    expectPushed(await his.run('push', '-q', 'origin', 'main'));
    await hers.git('checkout', '-q', '-b', 'topic');
    await hers.commit('Hers', { 'a.ts': 'A2\n' });
    await hers.git('fetch', '-q');
    const start = await hers.head();
    await hers.git('merge', '-q', '--no-edit', 'origin/main');
    expectPushed(await hers.run('push', '-q', 'origin', 'topic'));
    // The same merge, but with his work thrown away.
    await hers.git('reset', '-q', '--hard', start);
    await hers.git('merge', '-q', '--no-edit', '-s', 'ours', 'origin/main');
    expectRefused(await hers.run('push', '-q', 'origin', 'HEAD:main'), /b\.ts: held by[^]*c\.ts: held by/);
  });

  it("is refused when it forces others' commits away, and goes through when it rewrites its own", async () => {
    const { forge, ann, bob, hers, his } = await scene();
    await bob.acquire({ paths: ['b.ts'] });
    await his.commit('His', { 'b.ts': 'B2\n' });
    expectPushed(await his.run('push', '-q', 'origin', 'main'));
    await ann.acquire({ paths: ['a.ts'] });
    await hers.commit('Hers', { 'a.ts': 'A2\n' });
    const tip = await forge.tip('main');
    expectRefused(
      await hers.run('push', '-q', '--force', 'origin', 'main'),
      /which this clone does not have. Run git fetch/,
    );
    await hers.git('fetch', '-q');
    expectRefused(await hers.run('push', '-q', '--force', 'origin', 'main'), /b\.ts: held by loop/);
    expectRefused(await hers.run('push', '-q', '--force', 'origin', 'HEAD~:main'), /b\.ts: held by loop/);
    expect(await forge.tip('main')).toBe(tip);
    await hers.git('rebase', '-q', 'origin/main');
    expectPushed(await hers.run('push', '-q', 'origin', 'HEAD:topic'));
    await hers.git('commit', '-q', '--amend', '-m', 'Hers, better');
    expectPushed(await hers.run('push', '-q', '--force', 'origin', 'HEAD:topic'));
    expect(await forge.tip('topic')).toBe(await hers.head());
  });

  it('of more than a thousand files is asked about in batches, also in SHA-256 repositories', async () => {
    const { ann, hers } = await scene(undefined, 'sha256');
    await ann.acquire({ patterns: ['gen/**'] });
    const files = Object.fromEntries(Array.from({ length: 1200 }, (_, i) => [`gen/${i}.ts`, `${i}\n`]));
    await hers.commit('Generate', files);
    expectPushed(await hers.run('push', '-q', 'origin', 'main'));
    await hers.commit('More', { ...files, 'gen/7.ts': 'x', 'other/1.ts': 'x', 'caf\u00e9 \u2713.ts': 'x' });
    expectRefused(await hers.run('push', '-q', 'origin', 'main'), /covers 2 of the 3 path/);
  });

  it('of a path that no lease can name is refused', async () => {
    const { hers } = await scene();
    await hers.commit('Odd', { 'tab\there': 'x' });
    expectRefused(
      await hers.run('push', '-q', 'origin', 'main'),
      /no lease can name these paths; rename them: "tab\\there"/,
    );
  });
});

describe('an edit that no lease covers', () => {
  it('goes through and is shown where that is configured; a collision and a lost lease do not', async () => {
    const { forge, ann, bob, hers } = await scene({ 'a.ts': 'A\n', 'b.ts': 'B\n', 'c.ts': 'C\n' });
    await hers.git('config', 'signalbox.unleased', 'report');
    await hers.commit('By hand', { 'c.ts': 'C2\n' });
    const shown = await hers.as({ SIGNALBOX_RUN: '' }).run('push', '-q', 'origin', 'main');
    expect(shown.code, shown.err).toBe(0);
    expect(shown.err).toBe('signalbox: unleased: no lease covers 1 path(s) that this push changes: c.ts\n');
    expect(await forge.tip('main')).toBe(await hers.head());
    await ann.acquire({ paths: ['a.ts'] });
    await bob.acquire({ paths: ['b.ts'] });
    await hers.commit('Collides', { 'b.ts': 'B2\n' });
    expect((await hers.run('push', '-q', 'origin', 'main')).err).toMatch(/push refused: [^]* b\.ts: held by loop/);
    await hers.git('reset', '-q', '--hard', 'HEAD~');
    await hers.commit('Mine', { 'a.ts': 'A2\n' });
    await runOut(ann);
    const lost = await hers.run('push', '-q', 'origin', 'main');
    expect(lost.code).toBe(1);
    expect(lost.err).toMatch(/a\.ts: no lease covers it, and nobody holds it now\.\n.*\(its time ran out\)\.\n/);
  });

  it('is seen whatever the clone shows in its place, and however it prints signatures', async () => {
    const { ann, hers } = await scene();
    await ann.acquire({ paths: ['a.ts'] });
    await hers.git('config', 'log.showSignature', 'true');
    await hers.commit('Mine', { 'a.ts': 'A2\n' });
    const honest = await hers.head();
    await hers.git('reset', '-q', '--hard', 'HEAD~');
    await hers.commit('Not mine', { 'b.ts': 'B2\n' });
    await hers.git('replace', 'HEAD', honest);
    expectRefused(await hers.run('push', '-q', 'origin', 'main'), /b\.ts: no lease covers it/);
    await hers.git('replace', '-d', await hers.head());
    const [head, ...message] = (await hers.git('cat-file', 'commit', honest)).out.split('\n\n');
    const signature = 'gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----';
    await hers.write({ '.git/signed': `${head}\n${signature}\n\n${message.join('\n\n')}\n` });
    const signed = (await hers.git('hash-object', '-t', 'commit', '-w', '.git/signed')).out;
    expectPushed(await hers.run('push', '-q', 'origin', `${signed}:main`));
  });
});

describe('when the server cannot be asked', () => {
  it('nothing is pushed, unless the repository is configured otherwise; a refused key is a no either way', async () => {
    const { forge, ann, hers } = await scene();
    await ann.acquire({ paths: ['a.ts'] });
    await hers.commit('Mine', { 'a.ts': 'A2\n' });
    const away = hers.as({ SIGNALBOX_URL: await nobodyThere() });
    expectRefused(await away.run('push', '-q', 'origin', 'main'), /could not be asked.*ECONNREFUSED/);
    const wrong = hers.as({ SIGNALBOX_KEY: 'sb_wrong' });
    expectRefused(await wrong.run('push', '-q', 'origin', 'main'), /401/);
    expectRefused(await hers.as({ SIGNALBOX_KEY: '' }).run('push', '-q', 'origin', 'main'), /SIGNALBOX_KEY/);
    await hers.git('config', 'signalbox.pushFailOpen', 'true');
    expectRefused(await wrong.run('push', '-q', 'origin', 'main'), /401/);
    const pushed = await away.run('push', '-q', 'origin', 'main');
    expect(pushed.code).toBe(0);
    expect(pushed.err).toContain('the leases were not verified (ECONNREFUSED)');
    expect(await forge.tip('main')).toBe(await hers.head());
  });

  it.each([
    ['an empty object', 200, '{}'],
    [
      'a yes to all',
      200,
      '{"items":[{"id":"x","fence":1,"state":"live"}],"nextCursor":null,"uncovered":[],"stale":[]}',
    ],
    ['a page', 200, '<html>welcome</html>'],
    ['a failure', 502, '{"uncovered":[],"stale":[]}', /it answered 502/],
    ['a failure in words of its own', 429, '<html>slow down</html>', /it answered 429/],
    ['a redirection', 302, ''],
  ])('%s is not taken for a yes', async (_what, status, text, told = /could not be asked/) => {
    const { hers } = await scene();
    await hers.commit('Mine', { 'a.ts': 'A2\n' });
    const portal = createServer((_request, response) => response.writeHead(status, { location: server.url }).end(text));
    await new Promise<void>((resolve) => portal.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(portal.address() as AddressInfo).port}`;
    const ran = await hers.as({ SIGNALBOX_URL: url }).run('push', '-q', 'origin', 'main');
    portal.closeAllConnections();
    portal.close();
    expectRefused(ran, told);
  });
});

describe('a push that asks the wrong place', () => {
  it('is refused with the name of what is not there, also where unleased edits are let through', async () => {
    const { ann, hers } = await scene();
    await hers.git('config', 'signalbox.unleased', 'report');
    const stranger = await newRunner(await server.newOrg());
    await ann.acquire({ paths: ['a.ts'] });
    await hers.commit('Mine', { 'a.ts': 'A2\n' });
    const id = '01a202c7-2006-700d-a327-62d3cc2dbd4a';
    for (const [env, told] of [
      [
        { SIGNALBOX_KEY: (await (await server.newOrg()).key('viewer')).secret },
        /knows no repo acme\/shop under SIGNALBOX_KEY; its name comes from the URL/,
      ],
      [
        { SIGNALBOX_REPO: 'acme/typo' },
        /knows no repo acme\/typo under SIGNALBOX_KEY; its name comes from SIGNALBOX_REPO/,
      ],
      [{ SIGNALBOX_RUN: id }, new RegExp(`knows no run ${id} under SIGNALBOX_KEY; SIGNALBOX_RUN`)],
      [{ SIGNALBOX_RUN: stranger.runId }, /knows no run/],
      [{ SIGNALBOX_RUN: 'xyz' }, /SIGNALBOX_RUN \(or git config signalbox\.run\) is no id of a run: "xyz"/],
    ] as const)
      expectRefused(await hers.as(env).run('push', '-q', 'origin', 'main'), told);
    expectPushed(await hers.as({ SIGNALBOX_RUN: ann.runId.toUpperCase() }).run('push', '-q', 'origin', 'main'));
  });

  it('or comes from a run that is over is told so', async () => {
    const { ann, hers } = await scene();
    await ann.acquire({ paths: ['a.ts'] });
    await hers.commit('Mine', { 'a.ts': 'A2\n' });
    await finish(ann);
    expectRefused(
      await hers.run('push', '-q', 'origin', 'main'),
      /this run is finished, so no lease of it covers 1 of/,
    );
  });
});
