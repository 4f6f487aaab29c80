import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { newCommit } from '../changes/support.ts';
import { newRunner } from '../leases/support.ts';
import { deploy, ENVIRONMENT, hoursAgo, type Landed, land, SERVICE } from './support.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(() => server?.close());

async function history(count: number) {
  const org = await server.newOrg();
  const ann = await newRunner(org);
  const landed: Landed[] = [];
  for (let i = 0; i < count; i += 1) landed.push(await land(ann, [`src/${i}.ts`]));
  /** Which of the changes a deploy brought, by number, with what ties them. */
  const brought = async (id: string) => {
    const { body } = await org.admin.get(`/deploys/${id}`);
    const numberOf = (changeId: string) => landed.findIndex((one) => one.id === changeId);
    return body.changes.map((one: { id: string; edge: string }) => `${numberOf(one.id)} ${one.edge}`).toReversed();
  };
  return { org, ann, landed, brought };
}

describe('what a deploy brought', () => {
  it('is what it names, exactly, in the repo that it names', async () => {
    const { org, landed, brought } = await history(4);
    const merge = newCommit();
    const reply = await deploy(org.admin, { commit: merge, commits: [landed[0]!.commit, landed[2]!.commit, merge] });
    expect(reply).toMatchObject({
      status: 201,
      body: {
        service: SERVICE,
        environment: ENVIRONMENT,
        commit: merge,
        basis: 'commits',
        changeCount: 2,
        unknownCommits: [merge],
        rollback: false,
      },
    });
    expect(await brought(reply.body.id)).toEqual(['0 exact', '2 exact']);
    const { body } = await org.admin.get('/deploys');
    expect(body.items).toEqual([reply.body]);
    const events = (await org.events()).filter(({ kind }) => kind === 'deploy.recorded');
    expect(events).toMatchObject([
      { subject: { kind: 'deploy', id: reply.body.id }, data: { changeCount: 2, unknownCount: 1 } },
    ]);
  });

  it('is nothing new when it says so', async () => {
    const { org, landed, brought } = await history(1);
    const reply = await deploy(org.admin, { commit: landed[0]!.commit, commits: [] });
    expect(reply).toMatchObject({ status: 201, body: { changeCount: 0, basis: 'commits' } });
    expect(await brought(reply.body.id)).toEqual([]);
  });

  it('is else what was recorded between its two commits: after the one, up to the other', async () => {
    const { org, landed, brought } = await history(5);
    const reply = await deploy(org.admin, { commit: landed[3]!.commit, previousCommit: landed[1]!.commit });
    expect(reply).toMatchObject({ status: 201, body: { basis: 'between' } });
    expect(await brought(reply.body.id)).toEqual(['2 inferred', '3 exact']);
  });

  it('is else what came since the last deploy of that service and environment', async () => {
    const { org, landed, brought } = await history(5);
    const first = await deploy(org.admin, { commit: landed[1]!.commit });
    expect(first.body.basis).toBe('first');
    expect(await brought(first.body.id)).toEqual(['0 inferred', '1 exact']);
    const elsewhere = await deploy(org.admin, { commit: landed[2]!.commit, environment: 'staging' });
    expect(await brought(elsewhere.body.id)).toEqual(['0 inferred', '1 inferred', '2 exact']);
    const second = await deploy(org.admin, { commit: landed[4]!.commit });
    expect(second.body.basis).toBe('since_last');
    expect(await brought(second.body.id)).toEqual(['2 inferred', '3 inferred', '4 exact']);
    expect((await deploy(org.admin, { commit: landed[4]!.commit })).body).toMatchObject({
      changeCount: 0,
      rollback: false,
    });
  });

  it('goes on from where a rollback went back to', async () => {
    const { org, landed, brought } = await history(4);
    await deploy(org.admin, { commit: landed[0]!.commit });
    await deploy(org.admin, { commit: landed[2]!.commit });
    const back = await deploy(org.admin, { commit: landed[0]!.commit });
    expect(back.body).toMatchObject({ rollback: true, changeCount: 0 });
    const again = await deploy(org.admin, { commit: landed[3]!.commit });
    expect(await brought(again.body.id)).toEqual(['1 inferred', '2 inferred', '3 exact']);
  });

  it('goes on from a merge commit that no change knows if a deploy had it', async () => {
    const { org, landed, brought } = await history(3);
    const merge = newCommit();
    await deploy(org.admin, { commit: merge, commits: [landed[0]!.commit] });
    const next = await deploy(org.admin, { commit: landed[2]!.commit, previousCommit: merge });
    expect(await brought(next.body.id)).toEqual(['1 inferred', '2 exact']);
  });

  it('is told once to deploys at the same moment', async () => {
    const { org, landed } = await history(3);
    const replies = await Promise.all(landed.map(() => deploy(org.admin, { commit: landed[2]!.commit })));
    expect(replies.map(({ body }) => body.changeCount as number).toSorted((a, b) => a - b)).toEqual([0, 0, 3]);
    const key = { 'idempotency-key': 'deploy-1' };
    const body = { commit: landed[2]!.commit, environment: 'canary' };
    const [one, two] = [await deploy(org.admin, body, key), await deploy(org.admin, body, key)];
    expect(two.body).toEqual(one.body);
    expect((await org.admin.get('/deploys?environment=canary')).body.items).toHaveLength(1);
  });
});

describe('a bad deploy', () => {
  it.each([
    ['commit_unknown', () => ({ commit: newCommit() })],
    ['commit_unknown', () => ({ commit: newCommit(), commits: [newCommit()] })],
    ['commit_unknown', () => ({ commit: newCommit(), commits: [] })],
    ['commit_unknown', (known: string) => ({ commit: newCommit(), previousCommit: known })],
    ['commit_unknown', (known: string) => ({ commit: known, previousCommit: newCommit() })],
    ['commit_unknown', (known: string) => ({ commit: known, repo: 'acme/never-seen' })],
    ['time_in_future', (known: string) => ({ commit: known, at: hoursAgo(-1) })],
    ['invalid_request', () => ({ commit: 'main' })],
    ['invalid_request', (known: string) => ({ commit: known, service: '' })],
    ['invalid_request', (known: string) => ({ commit: known, surplus: 1 })],
  ])('is %s and leaves nothing behind', async (code, body) => {
    const { org, landed } = await history(1);
    const before = await org.events();
    expect(await deploy(org.admin, body(landed[0]!.commit))).toMatchObject({ status: 422, body: { code } });
    expect((await org.admin.get('/deploys')).body.items).toEqual([]);
    expect(await org.events()).toEqual(before);
    expect(await server.sql('SELECT * FROM deploy_change WHERE org_id = $1', [org.id])).toEqual([]);
    expect((await org.admin.get('/repos')).body.items).toHaveLength(1);
  });

  it('takes a clock that is a little fast for now', async () => {
    const { org, landed } = await history(1);
    const { body } = await deploy(org.admin, {
      commit: landed[0]!.commit,
      at: new Date(Date.now() + 5000).toISOString(),
    });
    expect(Date.parse(body.at)).toBeLessThanOrEqual(Date.now());
  });

  it("knows nothing of another org's commits and deploys", async () => {
    const [ours, theirs] = [await history(1), await history(1)];
    const reply = await deploy(ours.org.admin, { commit: theirs.landed[0]!.commit });
    expect(reply).toMatchObject({ status: 422, body: { code: 'commit_unknown' } });
    const mixed = [ours.landed[0]!.commit, theirs.landed[0]!.commit];
    const known = await deploy(ours.org.admin, { commit: mixed[0], commits: mixed });
    expect(known.body).toMatchObject({ changeCount: 1, unknownCommits: [mixed[1]] });
    expect((await theirs.org.admin.get(`/deploys/${known.body.id}`)).status).toBe(404);
    expect((await theirs.org.admin.get('/deploys')).body.items).toEqual([]);
  });

  it('is not a viewer’s to record', async () => {
    const { org, landed } = await history(1);
    const viewer = await org.key('viewer');
    expect((await deploy(viewer, { commit: landed[0]!.commit })).status).toBe(403);
    expect((await viewer.get('/deploys')).status).toBe(200);
  });
});

describe('reading deploys', () => {
  it('lists them by repo, service and environment, page by page', async () => {
    const { org, landed } = await history(1);
    const { commit } = landed[0]!;
    const ids: string[] = [];
    for (const more of [{}, { service: 'search' }, { environment: 'staging' }])
      ids.push((await deploy(org.admin, { commit, ...more })).body.id);
    const list = async (query: string) =>
      (await org.admin.get(`/deploys?${query}`)).body.items.map((one: { id: string }) => ids.indexOf(one.id));
    expect(await list('')).toEqual([2, 1, 0]);
    expect(await list(`service=${SERVICE}`)).toEqual([2, 0]);
    expect(await list(`service=${SERVICE}&environment=${ENVIRONMENT}`)).toEqual([0]);
    expect(await list('repo=acme/none')).toEqual([]);
    const { body } = await org.admin.get('/deploys?limit=2');
    expect(await list(`limit=2&cursor=${body.nextCursor}`)).toEqual([0]);
  });
});
