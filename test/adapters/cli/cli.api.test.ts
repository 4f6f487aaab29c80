import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Caller, startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { type Ended, signalbox } from './process.ts';

// Each command is a process that compiles its sources first.
vi.setConfig({ testTimeout: 90_000 });

const REPO = 'acme/shop';
const HOSTILE = 'nice\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}txt.exe\nroot# rm';

let server: TestServer;
let folder: string;
beforeAll(async () => {
  server = await startTestServer();
  folder = await mkdtemp(join(tmpdir(), 'signalbox-cli-'));
});
afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

const as = (caller: Pick<Caller, 'secret'>, args: readonly string[], directory = folder): Promise<Ended> =>
  signalbox(args, { env: { SIGNALBOX_URL: server.url, SIGNALBOX_KEY: caller.secret }, directory });

const cells = (line: string | undefined) => line?.split(/ {2,}/);

async function runOf(caller: Caller, name: string): Promise<{ loopId: string; id: string }> {
  const loop = await caller.post('/loops', { name, repo: REPO });
  expect(loop.status).toBe(201);
  const run = await caller.post(`/loops/${loop.body.id}/runs`, {});
  expect(run.status).toBe(201);
  return { loopId: loop.body.id, id: run.body.id };
}

async function hold(caller: Caller, runId: string, more: object): Promise<void> {
  const reply = await caller.post('/leases', { repo: REPO, runId, ...more });
  expect(reply.body).toMatchObject({ lease: {} });
}

/** An org whose deploys need one other person, and one deploy of a loop's that waits for that. */
async function waiting(subject: object = {}): Promise<{ org: TestOrg; asker: Caller; id: string; runId: string }> {
  const org = await server.newOrg();
  const rule = { id: 'ask', effect: 'require_approval', actions: ['deploy'], approvers: {}, reason: 'Look first.' };
  await org.admin.put('/policies/deploys/draft', { defaults: { deploy: 'allow' }, rules: [rule] });
  expect((await org.admin.post('/policies/deploys/publish')).status).toBe(200);
  const asker = await org.member();
  const run = await runOf(asker, 'release');
  const whole = { repo: REPO, service: 'shop', environment: 'production', ...subject };
  const { body } = await asker.post('/decisions', { action: 'deploy', subject: whole, runId: run.id });
  expect(body.outcome).toBe('require_approval');
  return { org, asker, id: body.approvalId, runId: run.id };
}

describe('signalbox status', () => {
  it('tells who holds what, those first that need attention', async () => {
    const org = await server.newOrg();
    const [ada, grace] = [await org.member(), await org.member()];
    const [busy, gone, idle] = [await runOf(ada, 'busy'), await runOf(grace, 'gone'), await runOf(grace, 'idle')];
    await hold(ada, busy.id, { paths: ['src/a.ts'], ttlSeconds: 900, purpose: 'Moves A.' });
    await hold(ada, busy.id, { patterns: ['docs/**'], mode: 'shared', ttlSeconds: 300 });
    await hold(grace, gone.id, { paths: ['src/b.ts'], ttlSeconds: 3600 });
    const wish = { repo: REPO, runId: idle.id, paths: ['src/a.ts'], resources: ['port:1'], waitSeconds: 0.01 };
    expect((await grace.post('/leases', wish)).status).toBe(202);
    await server.sql(`UPDATE run SET last_beat_at = last_beat_at - interval '1 hour' WHERE id = $1`, [gone.id]);

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
    const org = await server.newOrg();
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
    const org = await server.newOrg();
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
    const checkout = await mkdtemp(join(folder, 'checkout-'));
    const git = (...args: string[]) => promisify(execFile)('git', args, { cwd: checkout });
    await git('init', '--quiet');
    await git('remote', 'add', 'origin', 'https://user:token-of-mine@forge.example.com/acme/shop.git');
    const org = await server.newOrg();
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

describe('signalbox approvals', () => {
  it('lists what waits, whole', async () => {
    const { org, asker, id } = await waiting({ service: `shop ${HOSTILE}` });
    const { code, stdout } = await as(org.admin, ['approvals']);
    expect(code).toBe(0);
    const [first, ...facts] = stdout.trimEnd().split('\n');
    expect(first).toBe(`${id}  pending`);
    expect(facts.map((line) => [line.slice(2, 12).trim(), line.slice(12)])).toEqual([
      [
        'asks',
        expect.stringMatching(/^deploy service shop nice\\u\{1b\}\]0;.*exe\\nroot# rm, environment production$/),
      ],
      ['repo', REPO],
      ['asked by', expect.stringMatching(/, loop release, \d+s ago$/)],
      ['because', 'Look first.'],
      ['needs', '1 more from any other member'],
      ['ends in', expect.stringMatching(/^\d+[hd]/)],
    ]);
    expect(stdout.replaceAll('\n', '')).not.toMatch(/\p{C}/u);
    // Who asked cannot vote: it is not in the list of what they may vote on.
    expect((await as(asker, ['approvals', 'list', '--mine'])).stdout).toBe('No approval waits for your vote.\n');
    const listed = JSON.parse((await as(asker, ['approvals', '--json', '--repo', REPO])).stdout);
    expect(listed).toEqual((await asker.get('/approvals?status=pending')).body);
  });

  it('votes, and says what came of it', async () => {
    const { org, id } = await waiting();
    const voter = await org.member();
    const approved = await as(voter, ['approvals', 'approve', id, '--comment', 'Seen.']);
    expect(approved).toMatchObject({ code: 0, stderr: '' });
    expect(approved.stdout).toMatch(
      /^approved: deploy service shop, environment production \(asked by .+, loop release\)\n$/,
    );
    expect((await voter.get(`/approvals/${id}`)).body).toMatchObject({
      status: 'approved',
      votes: [{ principal: { id: voter.memberId }, verdict: 'approve', comment: 'Seen.' }],
    });
    const { stdout } = await as(voter, ['approvals', '--status', 'approved']);
    expect(stdout).toMatch(new RegExp(`^${id} {2}approved\n[^]* {2}vote {6}approve by .+: Seen\\.\n`));
  });

  it('rejects, with the approval as JSON', async () => {
    const { org, id } = await waiting();
    const voter = await org.member();
    const { code, stdout } = await as(voter, ['approvals', 'reject', id, '--comment', 'Not today.', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual((await voter.get(`/approvals/${id}`)).body);
    expect(JSON.parse(stdout)).toMatchObject({ status: 'rejected', votes: [{ comment: 'Not today.' }] });
  });

  it("refuses the asker's own vote in the server's words", async () => {
    const { asker, id } = await waiting();
    const { body } = await asker.post(`/approvals/${id}/votes`, { verdict: 'approve' });
    expect(body.code).toBe('own_request');
    const refused = await as(asker, ['approvals', 'approve', id]);
    expect(refused).toEqual({ code: 1, stdout: '', stderr: `signalbox: ${body.detail} (own_request)\n` });
    expect((await asker.get(`/approvals/${id}`)).body).toMatchObject({ status: 'pending', votes: [] });
  });
});

describe('what goes wrong', () => {
  it('is a line and exit 1: a wrong key', async () => {
    const { code, stdout, stderr } = await as({ secret: 'sbx_wrong' }, ['status', '--repo', REPO]);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^signalbox: [^\n]+ \(unauthenticated\)\n$/);
    expect(stderr).not.toContain('sbx_wrong');
  });

  it('is a line and exit 1: no server', async () => {
    const gone = createServer();
    await new Promise<void>((resolve) => gone.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(gone.address() as AddressInfo).port}`;
    await new Promise((resolve) => gone.close(resolve));
    expect(await as({ secret: 'sbx_x' }, ['approvals', '--url', url])).toEqual({
      code: 1,
      stdout: '',
      stderr: `signalbox: no answer from ${url}: connection refused; is the server running?\n`,
    });
  });

  it('is a line and exit 1: another server, whose redirect does not get the key', async () => {
    const asked: string[] = [];
    const other = createServer((request, reply) => {
      asked.push(request.url!);
      const isMoved = request.url!.startsWith('/moved/');
      const isLiar = request.url!.startsWith('/liar/');
      if (isMoved) reply.writeHead(302, { location: '/elsewhere' }).end();
      else if (isLiar) reply.end('{"items":[{"id":"1"}],"nextCursor":null}');
      else reply.writeHead(404).end('<h1>\u{1b}[2J</h1>');
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
    try {
      const ask = async (path: string) => {
        const { code, stdout, stderr } = await as({ secret: 'sbx_x' }, ['approvals', '--url', `${url}${path}`]);
        expect([code, stdout]).toEqual([1, '']);
        return stderr;
      };
      expect(await ask('')).toBe(`signalbox: ${url} answered 404, and not as Signalbox does\n`);
      expect(await ask('/moved/')).toBe(`signalbox: ${url}/moved redirects to /elsewhere: name that server itself\n`);
      expect(await ask('/liar')).toMatch(
        /^signalbox: \S+ answered something else than [^\n]*items\.0\.status[^\n]*\n$/,
      );
      expect(asked.filter((path) => path.includes('elsewhere'))).toEqual([]);
    } finally {
      await new Promise((resolve) => other.close(resolve));
    }
  });

  it('is a line and exit 2: what cannot be understood', async () => {
    const { code, stdout, stderr } = await as({ secret: 'sbx_x' }, ['status', '--key', 'sbx_secret']);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^signalbox: a key on the command line can be seen by others[^\n]*\n$/);
    expect(stderr).not.toContain('sbx_secret');
  });

  it('takes a key from a file', async () => {
    const org = await server.newOrg();
    const file = join(folder, 'key');
    await writeFile(file, `${org.admin.secret}\n`, { mode: 0o600 });
    const args = ['approvals', '--key-file', file, '--url', `${server.url}/`];
    expect(await signalbox(args)).toEqual({ code: 0, stdout: 'No approval waits for a person.\n', stderr: '' });
    const missing = await signalbox(['approvals', '--key-file', join(folder, 'none')]);
    expect(missing.code).toBe(1);
    expect(missing.stderr).toMatch(/^signalbox: --key-file: ENOENT[^\n]*\n$/);
  });
});
