import { execFile } from 'node:child_process';
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { newRunner, REPO, type Runner } from '../../modules/leases/support.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { between, type Checkout, createForge, type Forge, nobodyThere, type Ran } from './checkout.ts';

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
  /** Ann's clone, and as they are needed Bob's, and one of somebody who works without Signalbox. */
  readonly hers: Checkout;
  his(): Promise<Checkout>;
  theirs(): Promise<Checkout>;
}

/** A guarded remote, two developers with a run and a clone each, and a third one without either. */
async function scene(
  config: Record<string, string> = {},
  files: Record<string, string> = { 'a.ts': 'A\n', 'b.ts': 'B\n' },
  format?: 'sha256',
): Promise<Scene> {
  const [forge, org] = await Promise.all([createForge(files, format), server.newOrg()]);
  forges.push(forge);
  const [ann, bob, gate] = await Promise.all([newRunner(org), newRunner(org), org.key('viewer')]);
  const guarding = forge.guard(gate.secret, { url: server.url, repo: REPO, ...config });
  const [hers] = await Promise.all([forge.clone('hers', envOf(ann)), guarding]);
  return {
    forge,
    org,
    ann,
    bob,
    hers,
    his: () => forge.clone('his', envOf(bob)),
    theirs: () => forge.clone('theirs', {}),
  };
}

/** Its time is up, lock delay and all. */
const runOut = (runner: Runner) =>
  server.sql(`UPDATE lease SET expires_at = clock_timestamp() - interval '1 hour' WHERE run_id = $1`, [runner.runId]);

/** Past the pusher's own hook: what the remote itself says. */
const push = (from: Checkout, ...args: string[]) => from.run('push', '-q', '--no-verify', 'origin', ...args);

function expectRefused(ran: Ran, told: RegExp): void {
  expect(ran.code, ran.err).toBe(1);
  expect(ran.err).toMatch(/^remote: signalbox: push refused: /m);
  expect(ran.err).toMatch(told);
  expect(ran.err).not.toMatch(/no-verify|hooksPath|pushFailOpen|unleased|report mode|bypass|skip/i);
}

function expectPushed(ran: Ran): void {
  expect(ran.err).not.toContain('signalbox');
  expect(ran.code, ran.err).toBe(0);
}

describe('a holder that was paused past its expiry while another took over', () => {
  it('cannot push, whatever its own hook and clock say; it can again with leases and commits of its own', async () => {
    const { forge, ann, bob, hers, ...more } = await scene();
    const his = await more.his();
    const { lease } = (await ann.acquire({ paths: ['a.ts'] })).body;
    const paused = hers.as({ GIT_COMMITTER_DATE: '2001-01-01T00:00:00Z', GIT_AUTHOR_DATE: '2037-01-01T00:00:00Z' });
    await paused.commit('Slow work', { 'a.ts': 'hers\n' });
    await runOut(ann);
    const next = (await bob.acquire({ paths: ['a.ts'], purpose: 'Move the prices' })).body.lease;
    expect(next.fence).toBeGreaterThan(lease.fence);
    const before = await forge.tip('main');

    const own = await paused.run('push', '-q', 'origin', 'main');
    expect(own.code).toBe(1);
    expect(own.err).toMatch(/^signalbox: push refused: no live lease of this run covers 1 of the 1 path/m);
    const refused = await push(paused, 'main');
    expectRefused(refused, /covers 1 of the 1 path\(s\)/);
    expect(refused.err).toMatch(/ a\.ts: held by loop "loop-\d+" of "Member \d+", purpose "Move the prices", until 20/);
    expect(refused.err).toContain(`${lease.id} with fence ${lease.fence} (it has ended)`);
    expectRefused(await push(paused, 'HEAD:refs/heads/elsewhere', 'HEAD:refs/tags/v1'), /a\.ts: held by/);
    expect(await forge.tip('main')).toBe(before);

    await his.commit('Quick work', { 'a.ts': 'his\n' });
    expectPushed(await his.run('push', '-q', 'origin', 'main'));
    await bob.caller.post(`/leases/${next.id}/release`, { fence: next.fence });
    // Its turn again: on top of what the other one did.
    await ann.acquire({ paths: ['a.ts'] });
    await hers.git('fetch', '-q');
    await hers.run('rebase', '-q', 'origin/main');
    await hers.write({ 'a.ts': 'both\n' });
    await hers.git('add', 'a.ts');
    await hers.git('-c', 'core.editor=true', 'rebase', '--continue');
    expectPushed(await hers.run('push', '-q', 'origin', 'main'));
    expect(await forge.tip('main')).toBe(await hers.head());
  });

  it('cannot hide behind a commit of the one that took over; what that one built on is its own', async () => {
    const { ann, bob, hers, forge, ...more } = await scene();
    const his = await more.his();
    await ann.acquire({ paths: ['a.ts'] });
    await hers.commit('Slow work', { 'a.ts': 'hers\n' });
    await runOut(ann);
    await bob.acquire({ paths: ['a.ts', 'b.ts'] });
    const slow = await hers.head();
    await his.commit('His', { 'b.ts': 'B2\n' });
    await his.git('push', '-q', '--no-verify', hers.directory, 'main:refs/heads/his');
    // Beside his commit, and then below it.
    await hers.git('merge', '-q', '--no-edit', 'his');
    expectRefused(await push(hers, 'main'), /a\.ts: held by/);
    await his.git('fetch', '-q', hers.directory, slow);
    await his.git('reset', '-q', '--hard', 'FETCH_HEAD');
    await his.commit('On top of hers', { 'b.ts': 'B3\n' });
    expectPushed(await his.run('push', '-q', 'origin', 'main'));
    expect(await forge.tip('main')).toBe(await his.head());
  });

  it('is told why its lease stands no more, also for reasons that this hook has never heard of', async () => {
    const { forge, ann, hers } = await scene();
    await ann.acquire({ paths: ['a.ts'] });
    await hers.commit('Mine', { 'a.ts': 'A2\n' });
    await runOut(ann);
    let stale: Record<string, unknown> = {};
    const proxy = await between(server.url, async (target, sent, answer) => {
      if (!target.endsWith('/leases/verify')) return { body: await answer() };
      const asked = JSON.parse(sent) as { leases: object[]; paths: string[] };
      return { body: { ok: false, uncovered: asked.paths, stale: asked.leases.map((one) => ({ ...one, ...stale })) } };
    });
    await forge.remote.git('config', 'signalbox.url', proxy.url);
    const told = async (reason: Record<string, unknown>) => {
      stale = reason;
      const ran = await push(hers, 'main');
      expectRefused(ran, /a\.ts: no lease covers it, and nobody holds it now/);
      return /with fence \d+ \((.*)\)\. *$/m.exec(ran.err)?.[1];
    };
    expect(await told({ reason: 'revoked', message: 'Wrong\nbranch' })).toBe('it was revoked: "Wrong branch"');
    expect(await told({ reason: 'eaten by \u001b[2Jcats', message: null })).toBe('"eaten by  [2Jcats"');
    expect(await told({ reason: 'constructor' })).toBe('"constructor"');
    proxy.close();
  });
});

describe('an edit that no lease covers', () => {
  it('is refused and shown as such: of nobody, of a run without a lease, in whichever commit it is', async () => {
    const { forge, ann, bob, hers, ...more } = await scene();
    const theirs = await more.theirs();
    await theirs.commit('By hand', { 'a.ts': 'theirs\n' });
    const nobodys = await push(theirs, 'main');
    expectRefused(nobodys, /a\.ts: no lease covers it, and nobody holds it now/);
    expect(nobodys.err).toContain(`commit ${(await theirs.head()).slice(0, 12)} is not on record: no run reported it.`);
    await ann.acquire({ paths: ['a.ts'] });
    await bob.acquire({ paths: ['b.ts'] });
    await hers.commit('Mine', { 'a.ts': 'A2\n' });
    await hers.commit('Not mine', { 'b.ts': 'B2\n' });
    await hers.commit('Not mine, undone', { 'b.ts': 'B\n' });
    expectRefused(await push(hers, 'main'), /covers 1 of the 2 path[^]*b\.ts: held by loop/);
    expectPushed(await push(hers, 'HEAD~2:main'));
    expect(await forge.tip('main')).toBe(await hers.head('HEAD~2'));
  });

  it('is not covered by a lease of somebody else that the report of its commit names', async () => {
    const { ann, bob, ...more } = await scene();
    const theirs = await more.theirs();
    const { id, fence } = (await bob.acquire({ paths: ['a.ts'] })).body.lease;
    await theirs.commit('Borrowed', { 'a.ts': 'A2\n' });
    const files = [{ path: 'a.ts', beforeBlob: null, afterBlob: await theirs.blob('HEAD:a.ts') }];
    const report = { repo: REPO, commit: await theirs.head(), files, leases: [{ id, fence }] };
    expect((await ann.caller.post('/changes', report)).body.stale).toMatchObject([{ reason: 'other_run' }]);
    expectRefused(await push(theirs, 'main'), /a\.ts: held by/);
    // His own report, also without his run, is another matter.
    await theirs.commit('Lent', { 'a.ts': 'A3\n' });
    const lent = { ...report, commit: await theirs.head(), leases: [{ id, fence }] };
    expect((await bob.caller.post('/changes', lent)).body.stale).toEqual([]);
    expectPushed(await push(theirs, 'main'));
  });

  it('goes through and is shown where the remote only reports; a collision and a lost lease are refused there, too', async () => {
    const { forge, ann, bob, hers, ...more } = await scene({ unleased: 'report' });
    const theirs = await more.theirs();
    await theirs.commit('By hand', { 'a.ts': 'theirs\n', 'tab\there': 'x', 'c.ts': 'C\n' });
    const shown = await push(theirs, 'main');
    expect(shown.code, shown.err).toBe(0);
    expect(shown.err).toMatch(/signalbox: unleased: no lease covers 3 path\(s\) .*: "tab\\there", a\.ts, c\.ts/);
    await bob.acquire({ paths: ['b.ts'] });
    await theirs.commit('Collides', { 'b.ts': 'theirs\n' });
    expectHeld(await push(theirs, 'main'), /b\.ts: held by loop/);
    await hers.git('pull', '-q');
    await ann.acquire({ paths: ['a.ts'] });
    await hers.commit('Mine', { 'a.ts': 'A2\n', 'c.ts': 'C2\n' });
    await runOut(ann);
    const lost = await push(hers, 'main');
    expectHeld(lost, /covers 1 of the 2 path\(s\)[^]*a\.ts: no lease covers it, and nobody holds it now/);
    expect(lost.err).toMatch(/unleased: no lease covers 1 path\(s\) .*: c\.ts *$/m);
    expect(lost.err).toContain('(its time ran out)');
    expect(await forge.tip('main')).toBe(await theirs.head('HEAD~'));
  });
});

/** Refused where edits without a lease are otherwise let through. */
function expectHeld(ran: Ran, told: RegExp): void {
  expect(ran.code, ran.err).toBe(1);
  expect(ran.err).toMatch(told);
}

describe('a push', () => {
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
    expectRefused(await push(hers, '--force', 'HEAD~:main'), /would be taken away; a commit that undoes it/);
    // Not even its holder without a word: nothing says who pushes.
    expectRefused(await push(his, '--force', 'HEAD~:main'), /b\.ts: held by loop/);
    expect(await forge.tip('main')).toBe(tip);
    expectPushed(await push(hers, 'HEAD:topic'));
    await hers.git('commit', '-q', '--amend', '-m', 'Hers, better');
    expectPushed(await push(hers, '--force', 'HEAD:topic'));
    // Another branch keeps them: nothing is taken away.
    expectPushed(await push(his, 'main:kept'));
    expectPushed(await push(his, '--force', 'HEAD~:main'));
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
    const proxy = await between(server.url, async (target, sent, answer) => {
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
    await forge.remote.git('config', 'signalbox.url', server.url);
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

  it('to a trunk is verified whatever branch its commits waited on', async () => {
    const { forge, ann, bob, hers } = await scene({ trunk: 'main' });
    await ann.acquire({ paths: ['a.ts'] });
    await hers.commit('Mine', { 'a.ts': 'A2\n' });
    expectPushed(await push(hers, 'HEAD:topic'));
    expectPushed(await push(hers, 'HEAD~:refs/heads/first', 'HEAD:main'));
    await hers.commit('More', { 'a.ts': 'A3\n' });
    expectPushed(await push(hers, 'HEAD:topic'));
    await runOut(ann);
    await bob.acquire({ paths: ['a.ts'] });
    expectPushed(await push(hers, 'HEAD:other'));
    expectRefused(await push(hers, 'main'), /a\.ts: held by loop/);
    // Nor does it lose what another branch keeps.
    expectRefused(await push(hers, '--force', 'HEAD~2:main'), /a\.ts: held by loop/);
    await forge.remote.git('config', 'signalbox.trunk', 'release/*');
    expectRefused(await push(hers, 'main'), /signalbox\.trunk names one branch each/);
  });
});

describe('when the server cannot be asked, or is the wrong one', () => {
  it('nothing lands, unless the remote is configured otherwise', async () => {
    const { forge, ann, hers } = await scene({ url: await nobodyThere() });
    await ann.acquire({ paths: ['a.ts'] });
    await hers.commit('Mine', { 'a.ts': 'A2\n' });
    expectRefused(await push(hers, 'main'), /could not be asked.*ECONNREFUSED/);
    await forge.remote.git('config', 'signalbox.pushFailOpen', 'true');
    const pushed = await push(hers, 'main');
    expect(pushed.code).toBe(0);
    expect(pushed.err).toContain('the leases were not verified (ECONNREFUSED)');
    expect(await forge.tip('main')).toBe(await hers.head());
  });

  it('a key of another org, a wrong one or none lets nothing through', async () => {
    const { forge, hers } = await scene({ unleased: 'report' });
    await hers.commit('Not mine', { 'a.ts': 'A2\n' });
    const key = (await forge.remote.git('config', 'signalbox.keyFile')).out;
    const stranger = await (await server.newOrg()).key('viewer');
    await writeFile(key, stranger.secret);
    expectSetUp(await push(hers, 'main'), /the server knows no repo acme\/shop under this repository's key/);
    await writeFile(key, 'sbx_wrong');
    expectSetUp(await push(hers, 'main'), /401/);
    await rm(key);
    expectSetUp(await push(hers, 'main'), /there is no API key in the file/);
  });

  it('only its own configuration counts, and without a server in it nothing is asked', async () => {
    const { forge, hers } = await scene();
    await hers.commit('Not mine', { 'a.ts': 'A2\n' });
    for (const env of [{ SIGNALBOX_URL: '' }, { SIGNALBOX_URL: await nobodyThere() }, { SIGNALBOX_REPO: 'acme/none' }])
      expectRefused(await push(hers.as(env), 'main'), /a\.ts: no lease covers it, and nobody holds it now/);
    await forge.remote.git('config', '--unset', 'signalbox.repo');
    expectSetUp(await push(hers, 'main'), /which repo this is cannot be told/);
    await forge.remote.git('config', 'signalbox.repo', REPO);
    await forge.remote.git('config', 'signalbox.unleased', 'whatever');
    expectSetUp(await push(hers, 'main'), /neither refuse nor report/);
    await forge.remote.git('config', '--unset', 'signalbox.unleased');
    const bin = await binWithoutNode(forge.remote.directory);
    expectSetUp(await push(hers.as({ PATH: bin }), 'main'), /node is not on the PATH there/);
    await forge.remote.git('config', '--unset', 'signalbox.url');
    expectPushed(await push(hers.as({ PATH: bin }), 'main'));
  });
});

/** A PATH with what git and the hook's own shell need. */
async function binWithoutNode(directory: string): Promise<string> {
  const bin = path.join(directory, 'bin');
  await mkdir(bin);
  const which = async (name: string) => (await promisify(execFile)('sh', ['-c', `command -v ${name}`])).stdout.trim();
  for (const name of ['git', 'dirname', 'sh']) await symlink(await which(name), path.join(bin, name));
  return bin;
}

function expectSetUp(ran: Ran, told: RegExp): void {
  expect(ran.code, ran.err).toBe(1);
  expect(ran.err).toMatch(/^remote: signalbox: push refused: /m);
  expect(ran.err).toMatch(told);
}
