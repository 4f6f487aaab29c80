import { execFile } from 'node:child_process';
import { appendFile, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { REPO } from '../../modules/leases/support.ts';
import { between, nobodyThere, type Ran } from './checkout.ts';
import { expectPushed, expectRefused, guarded, push, runOut } from './guarded.ts';

const { there, scene } = guarded();

describe('a holder that was paused past its expiry while another took over', () => {
  it('cannot push, whatever its own hook and clock say; it can again with leases and commits of its own', async () => {
    const { forge, ann, bob, hers, ...more } = await scene();
    const his = await more.his();
    const { lease } = (await ann.acquire({ paths: ['a.ts'] })).body;
    const paused = hers.as({ GIT_COMMITTER_DATE: '2001-01-01T00:00:00Z', GIT_AUTHOR_DATE: '2037-01-01T00:00:00Z' });
    await paused.commit('Slow work', { 'a.ts': 'hers\n' });
    await runOut(there.server, ann);
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
    await runOut(there.server, ann);
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
    await runOut(there.server, ann);
    let stale: Record<string, unknown> = {};
    const proxy = await between(there.server.url, async (target, sent, answer) => {
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
    await runOut(there.server, ann);
    const lost = await push(hers, 'main');
    expectHeld(lost, /covers 1 of the 2 path\(s\)[^]*a\.ts: no lease covers it, and nobody holds it now/);
    expect(lost.err).toMatch(/unleased: no lease covers 1 path\(s\) .*: c\.ts *$/m);
    expect(lost.err).toContain('(its time ran out)');
    expect(await forge.tip('main')).toBe(await theirs.head('HEAD~'));
  });
});

describe('where the remote only reports', () => {
  it('what was covered has to be covered still after the rest was asked about', async () => {
    const { forge, ann, bob, hers } = await scene({ unleased: 'report' });
    await ann.acquire({ paths: ['a.ts'] });
    await hers.commit('Mine, and more', { 'a.ts': 'A2\n', 'c.ts': 'C\n' });
    // The server takes its time for the last question about c.ts: meanwhile Bob takes a.ts over.
    const proxy = await between(there.server.url, async (target, _sent, answer) => {
      if (!/\/changes\/[^/]+$/.test(target)) return { body: await answer() };
      await runOut(there.server, ann);
      expect((await bob.acquire({ paths: ['a.ts'] })).status).toBe(201);
      return { body: await answer() };
    });
    await forge.remote.git('config', 'signalbox.url', proxy.url);
    const before = await forge.tip('main');
    expectHeld(await push(hers, 'main'), /covers 1 of the 2 path\(s\)[^]* a\.ts: held by loop/);
    expect(await forge.tip('main')).toBe(before);
    proxy.close();
  });

  it('and all is covered, nothing else is asked', async () => {
    const { forge, ann, hers } = await scene({ unleased: 'report' });
    await ann.acquire({ paths: ['a.ts'] });
    await hers.commit('Mine', { 'a.ts': 'A2\n' });
    const asked: string[] = [];
    const proxy = await between(there.server.url, async (target, _sent, answer) => {
      asked.push(target.replace(/^\/api\/v1/, '').replace(/[0-9a-f]{40}|[0-9a-f-]{36}/g, '…'));
      return { body: await answer() };
    });
    await forge.remote.git('config', 'signalbox.url', proxy.url);
    expectPushed(await push(hers, 'main'));
    expect(asked).toEqual([
      '/repos?name=acme%2Fshop&limit=1',
      '/changes?repo=acme%2Fshop&commit=…&limit=1',
      '/leases?repo=acme%2Fshop&limit=500&runId=…',
      '/leases/verify',
    ]);
    proxy.close();
  });
});

/** Refused where edits without a lease are otherwise let through. */
function expectHeld(ran: Ran, told: RegExp): void {
  expect(ran.code, ran.err).toBe(1);
  expect(ran.err).toMatch(told);
}

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

  it('its settings are read as git reads them', async () => {
    const { forge, hers } = await scene({ unleased: 'refuse', url: await nobodyThere() });
    await hers.commit('Not mine', { 'a.ts': 'A2\n' });
    const key = (await forge.remote.git('config', 'signalbox.keyFile')).out;
    const home = path.dirname(key);
    const from = hers.as({ HOME: home });
    await forge.remote.git('config', 'signalbox.keyFile', `~/${path.basename(key)}`);
    expectRefused(await push(from, 'main'), /could not be asked.*ECONNREFUSED/);
    await forge.remote.git('config', 'signalbox.keyFile', '~/none');
    expectSetUp(await push(from, 'main'), /there is no API key in the file/);
    await forge.remote.git('config', 'signalbox.keyFile', key);
    await forge.remote.git('config', 'signalbox.pushFailOpen', 'off');
    expectRefused(await push(from, 'main'), /could not be asked/);
    await appendFile(path.join(forge.remote.directory, 'config'), '[SIGNALBOX]\n\tPUSHfailopen\n');
    expect((await push(from, 'main')).err).toContain('the leases were not verified (ECONNREFUSED)');
    // The last one counts, and of what is set to nothing none.
    await forge.remote.git('config', '--add', 'signalbox.url', there.server.url);
    await forge.remote.git('config', '--add', 'signalbox.unleased', 'report');
    await hers.commit('Not mine', { 'a.ts': 'A3\n' });
    const reported = await push(from, 'main');
    expect(reported).toMatchObject({ code: 0, err: expect.stringContaining('a.ts') as string });
    await forge.remote.git('config', '--add', 'signalbox.repo', '');
    await hers.commit('Not mine', { 'a.ts': 'A4\n' });
    expectSetUp(await push(from, 'main'), /which repo this is cannot be told/);
  });

  it('a key of another org, a wrong one or none lets nothing through', async () => {
    const { forge, hers } = await scene({ unleased: 'report' });
    await hers.commit('Not mine', { 'a.ts': 'A2\n' });
    const key = (await forge.remote.git('config', 'signalbox.keyFile')).out;
    const stranger = await (await there.server.newOrg()).key('viewer');
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
    const mine = path.join(hers.directory, '.git', 'mine');
    const wishes = { unleased: 'report', pushFailOpen: 'true', trunk: 'x', repo: 'acme/none', url: 'http://x.invalid' };
    const lines = Object.entries(wishes).map(([name, value]) => `\t${name} = ${value}\n`);
    await writeFile(mine, `[signalbox]\n${lines.join('')}`);
    expectRefused(await push(hers.as({ GIT_CONFIG_GLOBAL: mine }), 'main'), /a\.ts: no lease covers it/);
    await forge.remote.git('config', '--unset', 'signalbox.repo');
    expectSetUp(await push(hers.as({ GIT_CONFIG_GLOBAL: mine }), 'main'), /which repo this is cannot be told/);
    expectSetUp(await push(hers, 'main'), /which repo this is cannot be told/);
    await forge.remote.write({ shared: `[signalbox]\n\trepo = ${REPO}\n` });
    await forge.remote.git('config', 'include.path', 'shared');
    expectRefused(await push(hers, 'main'), /a\.ts: no lease covers it/);
    await forge.remote.git('config', 'signalbox.unleased', 'whatever');
    expectSetUp(await push(hers, 'main'), /neither refuse nor report/);
    await forge.remote.git('config', '--unset', 'signalbox.unleased');
    const bin = await binWithoutNode(forge.remote.directory);
    expectSetUp(await push(hers.as({ PATH: bin }), 'main'), /node is not on the PATH there/);
    await forge.remote.git('config', '--unset', 'signalbox.url');
    expectPushed(await push(hers.as({ PATH: bin, GIT_CONFIG_GLOBAL: mine }), 'main'));
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
