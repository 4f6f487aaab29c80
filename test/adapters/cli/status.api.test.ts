import { execFile } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { Caller } from '../../support/server.ts';
import { HOSTILE, office, REPO, runOf } from './office.ts';

const { at, as, waiting } = office();

const cells = (line: string | undefined) => line?.split(/ {2,}/);

async function hold(caller: Caller, runId: string, more: object): Promise<void> {
  const reply = await caller.post('/leases', { repo: REPO, runId, ...more });
  expect(reply.body).toMatchObject({ lease: {} });
}

describe('signalbox status', () => {
  it('tells who holds what, those first that need attention', async () => {
    const org = await at.server.newOrg();
    const [ada, grace] = [await org.member(), await org.member()];
    const [busy, gone, idle] = [await runOf(ada, 'busy'), await runOf(grace, 'gone'), await runOf(grace, 'idle')];
    await hold(ada, busy.id, { paths: ['src/a.ts'], ttlSeconds: 900, purpose: 'Moves A.' });
    await hold(ada, busy.id, { patterns: ['docs/**'], mode: 'shared', ttlSeconds: 300 });
    await hold(grace, gone.id, { paths: ['src/b.ts'], ttlSeconds: 3600 });
    const wish = { repo: REPO, runId: idle.id, paths: ['src/a.ts'], resources: ['port:1'], waitSeconds: 0.01 };
    expect((await grace.post('/leases', wish)).status).toBe(202);
    await at.server.sql(`UPDATE run SET last_beat_at = last_beat_at - interval '1 hour' WHERE id = $1`, [gone.id]);

    const { code, stdout, stderr } = await as(org.admin, ['status', '--repo', REPO]);
    expect([code, stderr]).toEqual([0, '']);
    const [heading, blank, titles, ...rows] = stdout.trimEnd().split('\n');
    expect([heading, blank]).toEqual(['acme/shop: 3 runs, 3 leases, 1 waiting', '']);
    expect(cells(titles)).toEqual(['STATE', 'LOOP', 'OWNER', 'HOLDS', 'MODE', 'LEFT', 'PURPOSE']);
    const members = (await org.admin.get('/members')).body.items as { id: string; name: string }[];
    const nameOf = (caller: Caller) => members.find(({ id }) => id === caller.memberId)!.name;
    expect(rows.map(cells)).toEqual([
      ['stalled', 'gone', nameOf(grace), 'src/b.ts', 'exclusive', expect.stringMatching(/^59m|1h$/)],
      ['running', 'busy', nameOf(ada), 'docs/**', 'shared', expect.stringMatching(/^[45]m$/)],
      ['running', 'busy', nameOf(ada), 'src/a.ts', 'exclusive', expect.stringMatching(/^1[45]m$/), 'Moves A.'],
      ['waiting', 'idle', nameOf(grace), 'for src/a.ts, port:1', 'exclusive'],
    ]);
    // Aligned: every row's path stands under its title.
    for (const row of rows.slice(0, 3)) expect(row.search(/src|docs/)).toBe(titles!.indexOf('HOLDS'));
  });

  it('takes a run for live that holds leases here and whose loop is registered for another repo', async () => {
    const org = await at.server.newOrg();
    const ada = await org.member();
    const away = await runOf(ada, 'away');
    await hold(ada, away.id, { repo: 'acme/other', paths: ['src/a.ts'] });
    const { stdout } = await as(org.admin, ['status', '--repo', 'acme/other']);
    const [heading, , , ...rows] = stdout.trimEnd().split('\n');
    expect(heading).toBe('acme/other: 1 run, 1 lease');
    expect(rows.map((row) => cells(row)?.slice(0, 2))).toEqual([['running', 'away']]);
  });

  it("prints the API's own answers as JSON", async () => {
    const { org, runId, asker } = await waiting();
    await hold(asker, runId, { paths: ['src/a.ts'], purpose: HOSTILE });
    const halt = await org.admin.post('/halts', { scope: { kind: 'org' }, reason: 'Production is down.' });
    const { code, stdout } = await as(org.admin, ['status', '--repo', REPO, '--json']);
    expect(code).toBe(0);
    const items = async (path: string) => (await org.admin.get(path)).body.items;
    expect(JSON.parse(stdout)).toEqual({
      repo: REPO,
      runs: await items(`/runs?repo=${REPO}`),
      leases: await items(`/leases?repo=${REPO}`),
      tickets: [],
      halts: [halt.body],
      approvals: await items(`/approvals?repo=${REPO}`),
    });
    // A terminal that JSON is printed to is not steered by it either.
    expect(stdout.replaceAll('\n', '')).not.toMatch(/\p{C}/u);
  });

  it('tells of halts over this repo, and of approvals that wait', async () => {
    const { org, asker } = await waiting();
    const other = await asker.post('/loops', { name: 'elsewhere', repo: 'acme/other' });
    const repos = (await org.admin.get('/repos')).body.items as { id: string; name: string }[];
    const idOf = (name: string) => repos.find((repo) => repo.name === name)!.id;
    for (const [scope, reason] of [
      [{ kind: 'repo', id: idOf('acme/other') }, 'Not here.'],
      [{ kind: 'repo', id: idOf(REPO) }, 'Frozen.'],
      [{ kind: 'team', id: await org.team('payments') }, 'Payday.'],
      [{ kind: 'org' }, HOSTILE],
    ] as const) {
      expect((await org.admin.post('/halts', { scope, reason })).status).toBe(201);
    }
    expect(other.status).toBe(201);
    const { stdout } = await as(org.admin, ['status', '--repo', REPO]);
    const lines = stdout.split('\n');
    expect(lines[0]).toBe('acme/shop: 1 run, 0 leases, 1 approval waits for a person');
    expect(lines.slice(1, 4)).toEqual([
      expect.stringMatching(/^HALT over the whole org for \d+s: nice\\u\{1b\}\]0;owned/),
      expect.stringMatching(/^HALT over team payments for \d+s: Payday\.$/),
      expect.stringMatching(/^HALT over acme\/shop for \d+s: Frozen\.$/),
    ]);
    expect(stdout).not.toContain('Not here.');
    expect(cells(lines.at(-2))).toEqual(['approval', 'release', expect.any(String)]);
  });

  it('shows hostile text without letting the terminal act on it', async () => {
    const org = await at.server.newOrg();
    const member = await org.member();
    const run = await runOf(member, 'triage');
    await hold(member, run.id, { paths: ['src/a.ts'], purpose: HOSTILE });
    const { stdout } = await as(member, ['status', '--repo', REPO]);
    expect(stdout).toContain('nice\\u{1b}]0;owned\\u{7}\\u{1b}[2J\\u{9b}31m\\u{202e}txt.exe root# rm\n');
    expect(stdout.replaceAll('\n', '')).not.toMatch(/\p{C}/u);
  });

  it('is of use to a key that may not list approvals', async () => {
    const { org, runId, asker } = await waiting();
    await hold(asker, runId, { paths: ['src/a.ts'] });
    const loop = await org.key('loop');
    const { code, stdout } = await as(loop, ['status', '--repo', REPO]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^acme\/shop: 1 run, 1 lease, approvals: this key may not list them\n/);
    expect(stdout).toContain('src/a.ts');
    const { approvals } = JSON.parse((await as(loop, ['status', '--repo', REPO, '--json'])).stdout);
    expect(approvals).toBeNull();
  });

  it('takes the repo from the checkout, and says so where there is none', async () => {
    const checkout = await mkdtemp(join(at.folder, 'checkout-'));
    const git = (...args: string[]) => promisify(execFile)('git', args, { cwd: checkout });
    await git('init', '--quiet');
    await git('remote', 'add', 'origin', 'https://user:token-of-mine@forge.example.com/acme/shop.git');
    const org = await at.server.newOrg();
    expect(await as(org.admin, ['status'], checkout)).toEqual({
      code: 0,
      stdout: 'acme/shop: nobody is at work\n',
      stderr: '',
    });
    await git('remote', 'set-url', 'origin', 'https://user:token-of-mine@forge.example.com/shop.git');
    const unnamed = await as(org.admin, ['status'], checkout);
    expect(unnamed.code).toBe(2);
    expect(unnamed.stderr).toMatch(/^signalbox: the remote "origin" names no repository[^\n]*--repo[^\n]*\n$/);
    expect(unnamed.stderr).not.toContain('token-of-mine');
    const outside = await as(org.admin, ['status']);
    expect([outside.code, outside.stdout]).toEqual([2, '']);
    expect(outside.stderr).toMatch(/^signalbox: this folder is in no git checkout[^\n]*\n$/);
  });
});
