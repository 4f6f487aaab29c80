import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { expiredFor, newRunner, REPO } from './support.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(() => server?.close());

describe('listing and verifying', () => {
  it('lists what is held, and what covers a path', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const one = (await ann.acquire({ patterns: ['src/**'] })).body.lease;
    const two = (await bob.acquire({ paths: ['docs/x.md'] })).body.lease;
    const list = async (query: string) =>
      (await org.admin.get(`/leases?${query}`)).body.items.map(({ id }: { id: string }) => id);
    expect(await list(`repo=${REPO}`)).toEqual([two.id, one.id]);
    expect(await list(`repo=${REPO}&path=src/deep/a.ts`)).toEqual([one.id]);
    expect(await list(`runId=${bob.runId}`)).toEqual([two.id]);
    expect(await list('repo=acme/unknown')).toEqual([]);
    expect((await org.admin.get('/leases?path=a')).body.code).toBe('repo_required');
    const page = (await org.admin.get(`/leases?repo=${REPO}&limit=1`)).body;
    expect(page.items).toHaveLength(1);
    const rest = (await org.admin.get(`/leases?repo=${REPO}&limit=1&cursor=${page.nextCursor}`)).body;
    expect(rest.items[0].id).toBe(one.id);
  });

  it('comes to the end, page by page, whatever has expired in between', async () => {
    const org = await server.newOrg();
    await org.admin.patch('/org/settings', { lockDelaySeconds: 0 });
    const runners = await Promise.all(Array.from({ length: 5 }, () => newRunner(org)));
    const ids: string[] = [];
    for (const runner of runners)
      ids.unshift((await runner.acquire({ paths: ['p/q'], mode: 'shared' })).body.lease.id as string);
    const pages = async (query: string) => {
      const found: string[][] = [];
      for (let cursor = ''; found.length < 9; ) {
        const { items, nextCursor } = (await org.admin.get(`/leases?${query}&limit=2${cursor}`)).body;
        found.push(items.map(({ id }: { id: string }) => id));
        if (nextCursor === null) break;
        cursor = `&cursor=${nextCursor}`;
      }
      return found;
    };
    const [a, b, c, d, e] = ids;
    for (const query of [`repo=${REPO}&path=p/q`, `repo=${REPO}`])
      expect(await pages(query)).toEqual([[a, b], [c, d], [e]]);
    for (const id of [a, b]) await expiredFor(server, id!, 1);
    for (const query of [`repo=${REPO}&path=p/q`, `repo=${REPO}`]) expect(await pages(query)).toEqual([[c, d], [e]]);
  });

  it('a page is full though the run of the newest has finished in this moment', async () => {
    const org = await server.newOrg();
    const runners = await Promise.all(Array.from({ length: 4 }, () => newRunner(org)));
    const ids: string[] = [];
    for (const [n, { acquire }] of runners.entries())
      ids.unshift((await acquire({ paths: [`${n}`] })).body.lease.id as string);
    await server.sql(`UPDATE run SET status = 'finished' WHERE id = $1`, [runners[3]!.runId]);
    const page = (await org.admin.get(`/leases?repo=${REPO}&limit=2`)).body;
    expect(page).toMatchObject({ items: [{ id: ids[1] }, { id: ids[2] }], nextCursor: expect.any(String) });
  });

  it('looks no further for a path than to the first lease that covers it', async () => {
    const ann = await newRunner(await server.newOrg());
    const leases = [(await ann.acquire({ patterns: ['src/**'] })).body.lease];
    const others = Array.from({ length: 450 }, (_, n) => `src/*x${n}*/**`);
    leases.push((await ann.acquire({ patterns: others })).body.lease);
    const paths = Array.from({ length: 400 }, (_, n) => `src/${n}/index.ts`);
    const body = { repo: REPO, paths, leases: leases.map(({ id, fence }) => ({ id, fence })) };
    expect(await ann.caller.post('/leases/verify', body)).toMatchObject({ status: 200, body: { ok: true } });
  });

  it('refuses to compare more at once than others should wait for', async () => {
    const ann = await newRunner(await server.newOrg());
    const some = (count: number) => '?'.repeat(count);
    const patterns = Array.from({ length: 400 }, (_, n) => `**/*[a-z]${some(n % 20)}*[0-9]${some(n / 20)}*.ts`);
    const { lease } = (await ann.acquire({ patterns })).body;
    const verify = (extension: string) =>
      ann.caller.post('/leases/verify', {
        repo: REPO,
        paths: Array.from({ length: 500 }, (_, n) => `src/${String.fromCodePoint(0x4e00 + n)}.${extension}`),
        leases: [{ id: lease.id, fence: lease.fence }],
      });
    // The index sees that no pattern ends like these.
    expect((await verify('js')).body.uncovered).toHaveLength(500);
    expect(await verify('ts')).toMatchObject({ status: 422, body: { code: 'verify_too_large' } });
    const more = [];
    for (let n = 0; n < 5; n += 1) {
      const wide = Array.from({ length: 450 }, (_, at) => `d${n}/${at}/**`);
      more.push((await ann.acquire({ patterns: wide })).body.lease);
    }
    const leases = more.map(({ id, fence }) => ({ id, fence }));
    expect((await ann.caller.post('/leases/verify', { repo: REPO, paths: ['x'], leases })).body.code).toBe(
      'verify_too_large',
    );
    expect(
      (await ann.caller.post('/leases/verify', { repo: REPO, paths: ['x'], leases: leases.slice(1) })).status,
    ).toBe(200);
  });

  it('verifies that live leases with their own fences cover what is pushed', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const { id, fence } = (await ann.acquire({ patterns: ['src/**'] })).body.lease;
    const verify = async (paths: string[], leases = [{ id, fence }], repo = REPO) =>
      (await ann.caller.post('/leases/verify', { repo, paths, leases })).body;
    expect(await verify(['src/a.ts', 'src/b/c.ts'])).toEqual({ ok: true, uncovered: [], stale: [] });
    expect(await verify(['src/a.ts', 'README.md'])).toEqual({ ok: false, uncovered: ['README.md'], stale: [] });
    expect(await verify(['src/a.ts'], [{ id, fence }], 'acme/other')).toMatchObject({
      ok: false,
      uncovered: ['src/a.ts'],
      stale: [{ id, reason: 'other_repo' }],
    });
    // Others may have changed the same.
    const shared = (await ann.acquire({ paths: ['docs/a.md'], mode: 'shared' })).body.lease;
    expect(await verify(['docs/a.md'], [{ id: shared.id, fence: shared.fence }])).toEqual({
      ok: false,
      uncovered: ['docs/a.md'],
      stale: [],
    });
    expect(await verify(['src/a.ts'], [{ id, fence: fence + 1 }])).toMatchObject({
      ok: false,
      stale: [{ id, reason: 'fence' }],
    });
    const unknown = randomUUID();
    expect(
      await verify(
        ['src/a.ts'],
        [
          { id, fence },
          { id: unknown, fence: 1 },
        ],
      ),
    ).toMatchObject({ ok: false, uncovered: [], stale: [{ id: unknown, reason: 'unknown' }] });
    await expiredFor(server, id, 1);
    expect(await verify(['src/a.ts'])).toMatchObject({
      ok: false,
      uncovered: ['src/a.ts'],
      stale: [{ reason: 'expired' }],
    });
  });

  it('verifies nothing by a lease whose run has finished, though no row of it says so yet', async () => {
    const ann = await newRunner(await server.newOrg());
    const { id, fence } = (await ann.acquire({ paths: ['a'] })).body.lease;
    await server.sql(`UPDATE run SET status = 'finished' WHERE id = $1`, [ann.runId]);
    const claim = { repo: REPO, paths: ['a'], leases: [{ id, fence }] };
    expect((await ann.caller.post('/leases/verify', claim)).body).toMatchObject({
      ok: false,
      uncovered: ['a'],
      stale: [{ id, reason: 'ended' }],
    });
  });
});
