import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { newRunner, REPO } from '../leases/support.ts';
import { blob, file, newCommit, report } from './support.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(() => server?.close());

const changesOf = (orgId: string) => server.sql('SELECT * FROM change WHERE org_id = $1', [orgId]);

describe('recording a change', () => {
  it('keeps commit, intent, blobs and leases, and appends one event in the same transaction', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const { body } = await ann.acquire({ paths: ['src/a.ts'], patterns: ['docs/**'] });
    const lease = { id: body.lease.id, fence: body.lease.fence };
    const commit = newCommit();
    const files = [file('src/a.ts', 'one', 'two'), file('docs/x/y.md', null, 'new'), file('src/b.ts', 'old', null)];
    const reply = await report(ann, { commit, intent: 'Round half to even', files, leases: [lease] });
    expect(reply).toMatchObject({
      status: 201,
      body: { verdict: 'clear', reverts: [], unleased: ['src/b.ts'], unleasedCount: 1, stale: [] },
    });
    const whole = await ann.caller.get(`/changes/${reply.body.id}`);
    expect(whole.body).toMatchObject({
      repo: REPO,
      commit,
      runId: ann.runId,
      loopId: ann.loopId,
      recordedBy: ann.caller.memberId,
      intent: 'Round half to even',
      fileCount: 3,
      unleasedCount: 1,
      leases: [lease],
      files: files.map((one) => ({ ...one, leased: one.path !== 'src/b.ts' })),
    });
    const recorded = (await org.events()).filter(({ kind }) => kind === 'change.recorded');
    expect(recorded).toMatchObject([
      { subject: { kind: 'change', id: reply.body.id }, data: { commit, runId: ann.runId, unleased: ['src/b.ts'] } },
    ]);
  });

  it('takes 64-digit names and upper case, and a report without a run', async () => {
    const org = await server.newOrg();
    const { admin } = org;
    const [commit, afterBlob] = ['ab'.repeat(32), 'CD'.repeat(32)];
    const reply = await admin.post('/changes', {
      repo: REPO,
      commit,
      files: [{ path: 'a', beforeBlob: null, afterBlob }],
    });
    expect(reply).toMatchObject({ status: 201, body: { unleased: ['a'] } });
    const { body } = await admin.get(`/changes/${reply.body.id}`);
    expect(body).toMatchObject({
      runId: null,
      recordedBy: admin.keyId,
      files: [{ afterBlob: afterBlob.toLowerCase() }],
    });
  });

  it('answers the same report again with what it answered first, and refuses another one of that commit', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const body = { commit: newCommit(), intent: 'tidy', files: [file('a', '1', '2'), file('b', '1', '2')] };
    const first = await report(ann, body);
    const again = await report(ann, { ...body, files: body.files.toReversed() });
    expect(again).toMatchObject({ status: 200, body: first.body });
    for (const other of [{ intent: 'else' }, { files: [file('a', '1', '3')] }, { runId: null }]) {
      expect(await report(ann, { ...body, ...other })).toMatchObject({
        status: 409,
        body: { code: 'commit_recorded' },
      });
    }
    // A commit is one repo's.
    expect((await report(ann, { ...body, repo: 'acme/other' })).status).toBe(201);
    expect(await changesOf(org.id)).toHaveLength(2);
    expect((await org.events()).filter(({ kind }) => kind === 'change.recorded')).toHaveLength(2);
  });

  it('records once when the same report comes many times at once', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const body = { commit: newCommit(), files: [file('a', '1', '2')] };
    const key = { 'idempotency-key': randomUUID() };
    const replies = await Promise.all(Array.from({ length: 8 }, (_, i) => report(ann, body, i % 2 === 0 ? key : {})));
    expect(new Set(replies.map((reply) => reply.body.id))).toHaveProperty('size', 1);
    expect(replies.map(({ status }) => status).every((status) => status === 201 || status === 200)).toBe(true);
    expect(await changesOf(org.id)).toHaveLength(1);
    expect(await report(ann, { ...body, intent: 'x' }, key)).toMatchObject({ body: { code: 'idempotency_mismatch' } });
  });

  it('is a beat of its run', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    await server.sql(`UPDATE run SET last_beat_at = now() - interval '1 hour', status = 'stalled' WHERE id = $1`, [
      ann.runId,
    ]);
    expect((await report(ann, { files: [file('a', '1', '2')] })).status).toBe(201);
    expect((await ann.caller.get(`/runs/${ann.runId}`)).body.status).toBe('running');
  });
});

describe('a bad report', () => {
  it.each([
    ['path_absolute', { files: [file('/etc/passwd', null, 'x')] }],
    ['path_dot_segment', { files: [file('a/../b', null, 'x')] }],
    ['path_control_character', { files: [file('a\nb', null, 'x')] }],
    ['path_twice', { files: [file('caf\u00e9', null, 'x'), file('cafe\u0301', null, 'y')] }],
    ['blob_missing', { files: [file('a', null, null)] }],
    ['blob_null', { files: [{ path: 'a', beforeBlob: '0'.repeat(40), afterBlob: blob('x') }] }],
    ['object_format_mixed', { files: [{ path: 'a', beforeBlob: null, afterBlob: 'a'.repeat(64) }] }],
    ['invalid_request', { files: [] }],
    ['invalid_request', { files: [{ path: 'a', beforeBlob: null, afterBlob: 'a'.repeat(41) }] }],
    ['invalid_request', { commit: 'HEAD', files: [file('a', null, 'x')] }],
    ['invalid_request', { files: [file('a', null, 'x')], surplus: 1 }],
    ['invalid_request', { files: Array.from({ length: 5001 }, (_, i) => file(`f${i}`, null, 'x')) }],
  ])('is %s and leaves nothing behind', async (code, body) => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const before = await org.events();
    expect(await report(ann, { repo: 'acme/unseen', ...body })).toMatchObject({ status: 422, body: { code } });
    expect(await changesOf(org.id)).toEqual([]);
    expect(await org.events()).toEqual(before);
  });

  it("names what the org does not have in the same words as another org's, and leaves nothing behind", async () => {
    const [org, other] = [await server.newOrg(), await server.newOrg()];
    const [ann, eve] = [await newRunner(org), await newRunner(other)];
    const held = (await eve.acquire({ paths: ['a'] })).body.lease;
    const theirs = (await report(eve, { files: [file('a', '1', '2')] })).body.id;
    const before = await org.events();
    const files = [file('a', '1', '2')];
    const missing = randomUUID();
    for (const [foreign, unknown] of [
      [{ runId: eve.runId }, { runId: missing }],
      [{ leases: [{ id: held.id, fence: held.fence }] }, { leases: [{ id: missing, fence: held.fence }] }],
      [{ undoes: [theirs] }, { undoes: [missing] }],
    ]) {
      const replies = [await report(ann, { files, ...foreign }), await report(ann, { files, ...unknown })];
      const [a, b] = replies.map(({ status, body }) => ({ status, body: { ...body, requestId: null } }));
      expect(a).toMatchObject({ status: 404, body: { code: 'not_found' } });
      expect(a).toEqual(b);
    }
    expect((await ann.caller.get(`/changes/${theirs}`)).status).toBe(404);
    expect((await ann.caller.get(`/changes?runId=${eve.runId}`)).body.items).toEqual([]);
    expect(await changesOf(org.id)).toEqual([]);
    expect(await org.events()).toEqual(before);
  });

  it("does not speak for somebody else's run", async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const reply = await report(ann, { runId: bob.runId, files: [file('a', '1', '2')] });
    expect(reply).toMatchObject({ status: 403, body: { code: 'not_your_run' } });
    const viewer = await org.key('viewer');
    const denied = await viewer.post('/changes', { repo: REPO, commit: newCommit(), files: [file('a', '1', '2')] });
    expect(denied.status).toBe(403);
  });
});

describe('the leases it was made under', () => {
  const move = (id: string, change: string) => server.sql(`UPDATE lease SET ${change} WHERE id = $1`, [id]);

  async function oneFile(leaseOf: (lease: { id: string; fence: number }) => Promise<Record<string, unknown>>) {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const { body } = await ann.acquire({ paths: ['a'] });
    const { id, fence } = body.lease;
    return report(ann, { files: [file('a', '1', '2')], leases: [{ id, fence }], ...(await leaseOf({ id, fence })) });
  }

  it.each([
    ['expired', `expires_at = clock_timestamp() - interval '1 ms'`],
    ['ended', `ended_at = clock_timestamp() - interval '1 ms'`],
  ])('do not count once %s, which is told and loses nothing', async (reason, change) => {
    const reply = await oneFile(async ({ id }) => (await move(id, change), {}));
    expect(reply).toMatchObject({ status: 201, body: { unleased: ['a'], stale: [{ reason }] } });
  });

  it('do not count with another fence, or when they are of another repo or run', async () => {
    const wrong = await oneFile(async ({ id, fence }) => ({ leases: [{ id, fence: fence + 1 }] }));
    expect(wrong.body).toMatchObject({ unleased: ['a'], stale: [{ reason: 'fence' }] });
    const elsewhere = await oneFile(async () => ({ repo: 'acme/other' }));
    expect(elsewhere.body).toMatchObject({ unleased: ['a'], stale: [{ reason: 'other_repo' }] });
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const { lease } = (await bob.acquire({ paths: ['a'] })).body;
    const body = { files: [file('a', '1', '2')], leases: [{ id: lease.id, fence: lease.fence }] };
    expect((await report(ann, body)).body).toMatchObject({ unleased: ['a'], stale: [{ reason: 'other_run' }] });
    expect((await report(ann, { ...body, runId: null })).body).toMatchObject({ stale: [{ reason: 'other_run' }] });
    expect((await report(bob, { ...body, runId: null })).body).toMatchObject({ unleased: [], stale: [] });
  });

  it('count for a commit that is reported late if they ended after it was made', async () => {
    const committedAt = new Date(Date.now() - 60_000).toISOString();
    const held = `granted_at = clock_timestamp() - interval '2 min'`;
    const after = await oneFile(async ({ id }) => {
      await move(id, `${held}, ended_at = clock_timestamp() - interval '30 s'`);
      return { committedAt };
    });
    expect(after.body).toMatchObject({ unleased: [], stale: [] });
    const before = await oneFile(async ({ id }) => {
      await move(id, `${held}, expires_at = clock_timestamp() - interval '90 s'`);
      return { committedAt };
    });
    expect(before.body).toMatchObject({ unleased: ['a'], stale: [{ reason: 'expired' }] });
    // Taken only after the commit: the edit was made without it.
    expect((await oneFile(async () => ({ committedAt }))).body).toMatchObject({ stale: [{ reason: 'not_yet' }] });
    const ahead = new Date(Date.now() + 3_600_000).toISOString();
    expect((await oneFile(async () => ({ committedAt: ahead }))).body).toMatchObject({ unleased: [], stale: [] });
  });

  it('cover paths as the repo compares them, by case or not', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const [repo] = (await org.admin.get('/repos')).body.items;
    await org.admin.patch(`/repos/${repo.id}`, { caseSensitive: false });
    const { lease } = (await ann.acquire({ paths: ['README.md'], patterns: ['Docs/**'] })).body;
    const leases = [{ id: lease.id, fence: lease.fence }];
    const files = [file('readme.MD', '1', '2'), file('docs/a', '1', '2'), file('doc', '1', '2')];
    expect((await report(ann, { files, leases })).body.unleased).toEqual(['doc']);
  });
});

describe('going back', () => {
  it('is seen when a run restores the blob that another run replaced', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const fix = await report(ann, { intent: 'Round half to even', files: [file('a', 'A', 'B'), file('b', '1', '2')] });
    const back = await report(bob, { files: [file('a', 'B', 'A'), file('b', '2', '3')] });
    expect(back.body.verdict).toBe('clear');
    expect(back.body.reverts).toMatchObject([
      {
        path: 'a',
        blob: blob('A'),
        declared: false,
        undone: [{ changeId: fix.body.id, runId: ann.runId, intent: 'Round half to even' }],
      },
    ]);
    // And once more: A-B-A-B, now on purpose.
    const again = await report(ann, { files: [file('a', 'A', 'B')], undoes: [back.body.id] });
    expect(again.body.reverts).toMatchObject([{ path: 'a', declared: true, undone: [{ changeId: back.body.id }] }]);
    expect((await ann.caller.get(`/changes/${back.body.id}`)).body.reverts).toEqual(back.body.reverts);
  });

  it('is followed over several changes, one of them a deletion', async () => {
    const org = await server.newOrg();
    const [ann, bob, eve] = [await newRunner(org), await newRunner(org), await newRunner(org)];
    const first = await report(ann, { files: [file('a', 'A', 'B')] });
    const second = await report(bob, { files: [file('a', 'B', null)] });
    const back = await report(eve, { files: [file('a', null, 'A')] });
    expect(back.body.reverts[0].undone.map((one: { changeId: string }) => one.changeId)).toEqual([
      first.body.id,
      second.body.id,
    ]);
  });

  it('is not seen in A→B→C→D, on an empty file, on one’s own steps, on another branch or path', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const steps: [typeof ann, ReturnType<typeof file>][] = [
      [ann, file('a', 'A', 'B')],
      [bob, file('a', 'B', 'C')],
      [ann, file('a', 'C', 'D')],
      [ann, file('empty', '', 'x')],
      [bob, file('empty', 'x', '')],
      [ann, file('own', 'A', 'B')],
      [ann, file('own', 'B', 'A')],
      [ann, file('picked', 'A', 'B')],
      [ann, file('picked', 'B', 'C')],
      [bob, file('picked', 'A', 'B')],
      [ann, file('moved', 'A', 'B')],
      [bob, file('moved2', 'B', 'A')],
      [ann, file('mode', 'A', 'B')],
      [bob, file('mode', 'A', 'A')],
      [bob, file('side', 'A', 'C')],
      [ann, file('side', 'A', 'B')],
      [bob, file('side', 'C', 'A')],
    ];
    for (const [who, step] of steps) {
      expect((await report(who, { files: [step] })).body, JSON.stringify(step)).toMatchObject({ reverts: [] });
    }
  });
});

describe('reports at the same moment', () => {
  it('have an order, on several servers: of two opposite steps exactly one goes back on the other', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const elsewhere = await startTestServer({ database: server.database, start: false });
    const there = { ...bob, caller: { ...bob.caller, post: elsewhere.caller(bob.caller.secret).post } };
    const reverts = await Promise.all(
      Array.from({ length: 16 }, async (_, n) => {
        // Half of them in repos that nobody named before.
        const repo = n % 2 === 0 ? REPO : `acme/new-${n}`;
        const [forth, back] = [file(`f${n}`, 'A', 'B'), file(`f${n}`, 'B', 'A')];
        const replies = await Promise.all([
          report(ann, { repo, files: [forth] }),
          report(there, { repo, files: [back] }),
        ]);
        return replies.map(({ status, body }) => (status === 201 ? body.reverts.length : body));
      }),
    );
    await elsewhere.close();
    for (const [forth, back] of reverts) expect([forth, back]).toContain(0);
    for (const [forth, back] of reverts) expect([forth, back]).toContain(1);
  });
});

describe('reading changes', () => {
  it('lists them newest first, by repo, path, run and commit, page by page', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const commit = newCommit();
    const ids = [
      await report(ann, { files: [file('src/a.ts', '1', '2')] }),
      await report(bob, { commit, files: [file('src/a.ts', '2', '3'), file('src/b.ts', '1', '2')] }),
      await report(ann, { files: [file('src/b.ts', '2', '3')] }),
      await report(ann, { repo: 'acme/other', files: [file('src/a.ts', '1', '2')] }),
    ].map((reply) => reply.body.id as string);
    const list = async (query: string) =>
      (await ann.caller.get(`/changes?${query}`)).body.items.map((one: { id: string }) => ids.indexOf(one.id));
    expect(await list('')).toEqual([3, 2, 1, 0]);
    expect(await list(`repo=${REPO}`)).toEqual([2, 1, 0]);
    expect(await list(`repo=${REPO}&path=src/a.ts`)).toEqual([1, 0]);
    expect(await list(`repo=${REPO}&path=src/a.ts&runId=${bob.runId}`)).toEqual([1]);
    expect(await list(`commit=${commit}`)).toEqual([1]);
    expect(await list('repo=acme/nothing')).toEqual([]);
    const seen: number[] = [];
    for (let cursor = ''; ; ) {
      const { body } = await ann.caller.get(`/changes?repo=${REPO}&path=src/b.ts&limit=1${cursor}`);
      seen.push(...body.items.map((one: { id: string }) => ids.indexOf(one.id)));
      if (body.nextCursor === null) break;
      cursor = `&cursor=${body.nextCursor}`;
    }
    expect(seen).toEqual([2, 1]);
    expect(await ann.caller.get('/changes?path=a')).toMatchObject({ status: 422, body: { code: 'repo_required' } });
    expect((await ann.caller.get('/changes?cursor=bad')).body.code).toBe('cursor_invalid');
  });

  it('holds a commit of 5000 files', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const { lease } = (await ann.acquire({ patterns: ['vendor/**'] })).body;
    const files = Array.from({ length: 5000 }, (_, i) => file(`vendor/pkg/${i}.js`, 'old', `new ${i}`));
    const reply = await report(ann, { files, leases: [{ id: lease.id, fence: lease.fence }], filesOmitted: 7 });
    expect(reply).toMatchObject({ status: 201, body: { unleasedCount: 0 } });
    const back = files.map(({ path, beforeBlob, afterBlob }) => ({
      path,
      beforeBlob: afterBlob,
      afterBlob: beforeBlob,
    }));
    const undone = await report(await newRunner(org), { files: back });
    expect(undone.body.reverts).toHaveLength(500);
    expect((await ann.caller.get(`/changes/${reply.body.id}`)).body).toMatchObject({
      fileCount: 5000,
      filesOmitted: 7,
    });
  });
});

describe('the ledger in the database', () => {
  it('cannot be rewritten by the server, and shows no row without its org', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    await report(ann, { files: [file('a', '1', '2')] });
    for (const statement of ['UPDATE change SET intent = NULL', 'DELETE FROM change_file']) {
      await expect(server.pools.ordinary.query(statement)).rejects.toThrow(/permission denied/);
    }
    for (const table of ['change', 'change_file']) {
      expect((await server.pools.ordinary.query(`SELECT * FROM ${table}`)).rows).toEqual([]);
    }
  });
});
