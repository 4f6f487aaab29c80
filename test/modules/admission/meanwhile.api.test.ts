import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { withClient } from '../../support/database.ts';
import { untilBlocked } from '../../support/locks.ts';
import { type Reply, startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { finish, newRunner, REPO, type Runner, through } from '../leases/support.ts';

let server: TestServer;
let other: TestServer;
let org: TestOrg;
let ann: Runner;
beforeAll(async () => {
  server = await startTestServer({ start: false });
  other = await startTestServer({ start: false, database: server.database });
});
afterAll(async () => {
  await other?.close();
  await server?.close();
});
beforeEach(async () => {
  org = await server.newOrg();
  ann = await newRunner(org, { loop: { name: 'narrow', scope: ['src/**'] } });
});

/** One comes to the log just before the other, which was decided before that. */
async function oneBefore(first: () => Promise<Reply>, then: () => Promise<Reply>): Promise<[Reply, Reply]> {
  return withClient(server.database.url, async (client) => {
    await client.query('BEGIN');
    await client.query('SELECT FROM org_head WHERE org_id = $1 FOR UPDATE', [org.id]);
    const one = first();
    await untilBlocked(server, 'append_events');
    const two = then();
    await untilBlocked(server, 'hot_');
    await client.query('COMMIT');
    return [await one, await two];
  });
}

const kinds = async () => (await org.events()).map(({ kind }) => kind);

describe('what comes to the log after what it was decided without', () => {
  it.each([
    { action: 'path.edit', paths: ['src/a.ts'], lease: false },
    { action: 'path.edit', paths: ['src/a.ts'] },
    { action: 'command.run', command: 'make deploy' },
  ])('is nothing for a run that has finished: %o', async (asked) => {
    const ask = () => through(other, ann).caller.post('/admissions', { repo: REPO, runId: ann.runId, ...asked });
    const [finished, admitted] = await oneBefore(() => finish(ann), ask);
    expect(finished.status).toBe(200);
    expect(admitted).toMatchObject({ status: 409, body: { code: 'run_finished' } });
    expect((await kinds()).at(-1)).toBe('run.finished');
  });

  it('spends no approval for it either', async () => {
    const yaml = { 'content-type': 'application/yaml' };
    const policy =
      'name: p\ndefaults: { path.edit: allow }\nrules:\n  - { id: v, effect: require_approval, actions: [path.edit], approvers: { count: 1 } }\n';
    expect((await org.admin.put('/policies/p/draft', policy, yaml)).status).toBe(200);
    expect((await org.admin.post('/policies/p/publish', {})).status).toBe(200);
    const ask = () => through(other, ann).admit({ paths: ['src/a.ts'], lease: false });
    const { approvalId } = (await ask()).body.decision;
    expect((await org.admin.post(`/approvals/${approvalId}/votes`, { verdict: 'approve' })).status).toBe(200);
    const [, admitted] = await oneBefore(() => finish(ann), ask);
    expect(admitted.body.code).toBe('run_finished');
    expect((await org.admin.get(`/approvals/${approvalId}`)).body.status).toBe('approved');
  });

  it('goes by the scope that the loop has by then', async () => {
    const narrow = () => ann.caller.post('/loops', { name: 'narrow', repo: REPO, scope: ['docs/**'] });
    const ask = () => through(other, ann).admit({ paths: ['src/a.ts'] });
    const [narrowed, admitted] = await oneBefore(narrow, ask);
    expect(narrowed.status).toBe(201);
    expect(admitted).toMatchObject({ status: 200, body: { outcome: 'deny' } });
    expect((await kinds()).filter((kind) => kind === 'lease.granted')).toEqual([]);
  });
});

describe('a key that is revoked while its request waits', () => {
  const CALLS: Readonly<Record<string, () => Promise<Reply>>> = {
    heartbeat: () => ann.caller.post(`/runs/${ann.runId}/heartbeat`, { epoch: 1 }),
    finish: () => finish(ann),
  };

  it.each(Object.entries(CALLS))('does nothing more: %s', async (_name, call) => {
    expect((await ann.acquire({ paths: ['src/a.ts'] })).status).toBe(201);
    await withClient(server.database.url, async (client) => {
      await client.query('BEGIN');
      await client.query('SELECT FROM repo WHERE org_id = $1 FOR UPDATE', [org.id]);
      const called = call();
      await untilBlocked(server, 'FROM repo');
      expect((await org.admin.delete(`/api-keys/${ann.caller.keyId}`)).status).toBe(200);
      await client.query('COMMIT');
      expect(await called).toMatchObject({ status: 401, body: { code: 'unauthenticated' } });
    });
    expect((await kinds()).at(-1)).toBe('api_key.revoked');
  });

  it('may revoke itself', async () => {
    const key = await org.key('admin');
    expect((await key.delete(`/api-keys/${key.keyId}`)).status).toBe(200);
    expect((await key.get('/org')).status).toBe(401);
  });
});
