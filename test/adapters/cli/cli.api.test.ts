import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { HOSTILE, office, REPO } from './office.ts';
import { signalbox } from './process.ts';

const { at, as, waiting } = office();

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
    const org = await at.server.newOrg();
    const file = join(at.folder, 'key');
    await writeFile(file, `${org.admin.secret}\n`, { mode: 0o600 });
    const args = ['approvals', '--key-file', file, '--url', `${at.server.url}/`];
    expect(await signalbox(args)).toEqual({ code: 0, stdout: 'No approval waits for a person.\n', stderr: '' });
    const missing = await signalbox(['approvals', '--key-file', join(at.folder, 'none')]);
    expect(missing.code).toBe(1);
    expect(missing.stderr).toMatch(/^signalbox: --key-file: ENOENT[^\n]*\n$/);
  });
});
