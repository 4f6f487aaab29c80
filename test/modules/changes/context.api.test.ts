import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { session } from '../../adapters/agent-hooks/claude-code/support.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { newRunner, REPO } from '../leases/support.ts';
import { file, report } from './support.ts';

let server: TestServer;
let second: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false });
  second = await startTestServer({ database: server.database, start: false });
});
afterAll(async () => {
  await second?.close();
  await server?.close();
});

const age = (changeId: string, interval: string) =>
  server.sql(`UPDATE change SET at = clock_timestamp() - $2::interval WHERE id = $1`, [changeId, interval]);

describe('GET /context', () => {
  it('shows what others hold and what they just changed near the paths, with intent, age and owner', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    await ann.acquire({ paths: ['src/api/held.ts'], purpose: 'rename' });
    await ann.acquire({ paths: ['docs/far.md'] });
    const landed = await report(ann, {
      commit: 'c'.repeat(40),
      intent: 'Round half to even',
      files: [file('src/api/z.ts', '1', '2'), file('src/api/a.ts', '1', '2')],
    });
    await report(ann, { files: [file('docs/other.md', '1', '2')] });
    await age(landed.body.id, '90 minutes');
    const { status, body } = await bob.caller.get(`/context?repo=${REPO}&path=src/api/a.ts&path=src/b.ts`);
    expect(status).toBe(200);
    expect(body.active).toMatchObject([
      { paths: ['src/api/held.ts'], purpose: 'rename', holder: { run: { id: ann.runId } } },
    ]);
    expect(body.recent).toMatchObject([
      {
        changeId: landed.body.id,
        commit: 'c'.repeat(40),
        intent: 'Round half to even',
        paths: ['src/api/a.ts', 'src/api/z.ts'],
        fileCount: 2,
        loop: { id: ann.loopId },
        run: { id: ann.runId },
        owner: { kind: 'member', id: ann.caller.memberId },
      },
    ]);
    expect(body).toMatchObject({ upcoming: [], protected: [] });
    expect(body.recent[0].ageSeconds).toBeGreaterThanOrEqual(0);
  });

  it('without a path shows the whole repo, newest first, and leaves out the run that asks', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const ids = [
      await report(ann, { files: [file('a', '1', '2')] }),
      await report(bob, { files: [file('b', '1', '2')] }),
      await report(ann, { runId: null, files: [file('c/d', '1', '2')] }),
    ].map((reply) => reply.body.id as string);
    await bob.acquire({ paths: ['b'] });
    const recent = async (query = '') =>
      (await ann.caller.get(`/context?repo=${REPO}${query}`)).body.recent.map((one: { changeId: string }) =>
        ids.indexOf(one.changeId),
      );
    expect(await recent()).toEqual([2, 1, 0]);
    expect(await recent(`&runId=${ann.runId}`)).toEqual([2, 1]);
    const { body } = await ann.caller.get(`/context?repo=${REPO}`);
    expect(body.active).toHaveLength(1);
    expect(body.recent[0]).toMatchObject({ loop: null, run: null, owner: { kind: 'member', id: ann.caller.memberId } });
  });

  it('knows at once what another server recorded, and nothing of another org or of a repo nobody named', async () => {
    const [org, other] = [await server.newOrg(), await server.newOrg()];
    const [ann, eve] = [await newRunner(org), await newRunner(other)];
    const there = second.caller(ann.caller.secret);
    expect((await there.get(`/context?repo=${REPO}`)).body.recent).toEqual([]);
    const [first, next] = [file('a', '1', '2'), file('a', '2', '3')];
    for (const [index, one] of [first, next].entries()) {
      await report(ann, { files: [one] });
      expect((await there.get(`/context?repo=${REPO}`)).body.recent).toHaveLength(index + 1);
    }
    const nothing = { active: [], recent: [], upcoming: [], protected: [] };
    expect((await eve.caller.get(`/context?repo=${REPO}`)).body).toEqual(nothing);
    expect((await ann.caller.get('/context?repo=acme/unseen')).body).toEqual(nothing);
    expect((await org.admin.get('/repos')).body.items).toHaveLength(1);
    expect((await ann.caller.get(`/context?repo=${REPO}&path=/a`)).body.code).toBe('path_absolute');
  });

  it('forgets what is older than a week', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const old = await report(ann, { files: [file('a', '1', '2')] });
    const young = await report(ann, { files: [file('a', '2', '3')] });
    await age(old.body.id, '7 days 1 second');
    await age(young.body.id, '6 days 23 hours');
    const { body } = await second.caller(ann.caller.secret).get(`/context?repo=${REPO}&path=a`);
    expect(body.recent).toMatchObject([{ changeId: young.body.id, ageSeconds: expect.closeTo(601_200, -2) }]);
  });
});

describe('the context of an admission', () => {
  it('holds recent changes of others at once, never its own, and those of the very path when there are many', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const admit = async () => (await bob.admit({ paths: ['src/api/a.ts'] })).body.context.recent;
    expect(await admit()).toEqual([]);
    const exact = await report(ann, { intent: 'why', files: [file('src/api/a.ts', '1', '2')] });
    expect(await admit()).toMatchObject([{ changeId: exact.body.id, intent: 'why', run: { id: ann.runId } }]);
    await report(bob, { files: [file('src/api/a.ts', '2', '3')] });
    for (let n = 0; n < 12; n += 1) await report(ann, { files: [file(`src/api/${n}.ts`, '1', '2')] });
    const recent = await admit();
    expect(recent).toHaveLength(10);
    expect(recent.map((one: { changeId: string }) => one.changeId)).toContain(exact.body.id);
    expect(recent.every((one: { run: { id: string } }) => one.run.id === ann.runId)).toBe(true);
    const times = recent.map((one: { at: string }) => one.at);
    expect(times).toEqual(times.toSorted().toReversed());
  });

  it('comes with a wait and a deny too, and is empty for an action without paths', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    await report(ann, { files: [file('a', '1', '2')] });
    await ann.acquire({ paths: ['a'] });
    const waiting = await bob.admit({ paths: ['a'] });
    expect(waiting.body).toMatchObject({ outcome: 'wait', context: { recent: [{ paths: ['a'] }] } });
    const command = await bob.admit({ action: 'command.run', command: 'ls' });
    expect(command.body.context).toEqual({ active: [], recent: [], upcoming: [], protected: [] });
  });
});

describe("an agent hook's answer", () => {
  it('tells the agent what others just changed where it is about to edit', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const path = 'src/coupons.ts';
    await report(ann, { intent: 'Round half to even', files: [file(path, '1', '2')] });
    const agent = session(server, bob.caller.secret, 'session-of-bob');
    const told = (await agent('pre-write')).hookSpecificOutput.additionalContext;
    expect(told).toContain('src/coupons.ts');
    expect(told).toMatch(/ago by loop "loop-\d+" of "Member \d+", intent "Round half to even"/);
  });
});
