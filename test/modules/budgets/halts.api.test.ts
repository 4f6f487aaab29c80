import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ActiveHalt, haltsOver } from '../../../src/modules/budgets/index.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';

const NOWHERE = '01a1fef3-0000-7000-8000-000000000000';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server?.close());

async function haltEpoch(org: TestOrg): Promise<number> {
  const [head] = await server.sql<{ e: string }>('SELECT halt_epoch AS e FROM org_head WHERE org_id = $1', [org.id]);
  return Number(head?.e);
}

describe('which halts stand over a run', () => {
  const halt = (scopeKind: ActiveHalt['scopeKind'], scopeId: string | null): ActiveHalt => {
    return { id: `${scopeKind}-${scopeId}`, scopeKind, scopeId, reason: 'r' };
  };
  const all = [halt('org', null), halt('team', 't'), halt('repo', 'r'), halt('loop', 'l')];
  const over = (target: Parameters<typeof haltsOver>[1]) => haltsOver(all, target).map((found) => found.id);

  it('matches each kind by its own id and no other', () => {
    expect(over({ teamIds: ['s', 't'], repoId: 'r', loopId: 'l' })).toEqual(['org-null', 'team-t', 'repo-r', 'loop-l']);
    expect(over({ teamIds: ['r', 'l'], repoId: 'l', loopId: 't' })).toEqual(['org-null']);
    expect(over({ teamIds: [], repoId: null, loopId: null })).toEqual(['org-null']);
  });
});

describe('halts', () => {
  it('are set, listed, lifted once, and told in the log; each change moves the halt epoch', async () => {
    const org = await server.newOrg();
    const sre = await org.key('sre');
    const set = await sre.post('/halts', { scope: { kind: 'org' }, reason: 'incident 7' });
    expect(set.status).toBe(201);
    expect(set.body).toMatchObject({ scope: { kind: 'org', id: null }, reason: 'incident 7', createdBy: sre.keyId });
    expect(await haltEpoch(org)).toBe(1);
    expect((await sre.get('/halts')).body.items).toEqual([set.body]);

    const lifted = await org.admin.delete(`/halts/${set.body.id}`);
    expect(lifted.status).toBe(200);
    expect(lifted.body).toMatchObject({ liftedBy: org.admin.keyId, liftedAt: expect.any(String) });
    expect((await sre.delete(`/halts/${set.body.id}`)).body).toEqual(lifted.body);
    expect(await haltEpoch(org)).toBe(2);
    expect((await sre.get('/halts')).body.items).toEqual([]);
    expect((await sre.get('/halts?all=true')).body.items).toEqual([lifted.body]);

    const told = (await org.events()).filter((event) => event.subject.kind === 'halt');
    const data = { scope: { kind: 'org', id: null }, reason: 'incident 7' };
    expect(told).toMatchObject([
      { kind: 'halt.set', subject: { id: set.body.id }, data },
      { kind: 'halt.lifted', subject: { id: set.body.id }, data },
    ]);
  });

  it('pages newest first', async () => {
    const org = await server.newOrg();
    const ids: string[] = [];
    for (const reason of ['a', 'b', 'c'])
      ids.unshift((await org.admin.post('/halts', { scope: { kind: 'org' }, reason })).body.id);
    const first = (await org.admin.get('/halts?limit=2')).body;
    const second = (await org.admin.get(`/halts?limit=2&cursor=${first.nextCursor}`)).body;
    expect([...first.items, ...second.items].map((halt: { id: string }) => halt.id)).toEqual(ids);
    expect(second.nextCursor).toBeNull();
  });

  it('take a scope that the org has, in its own form', async () => {
    const org = await server.newOrg();
    const other = await server.newOrg();
    const foreign = await other.team();
    const halt = (scope: unknown) => org.admin.post('/halts', { scope, reason: 'x' });
    for (const kind of ['team', 'repo', 'loop']) {
      expect((await halt({ kind, id: NOWHERE })).body).toMatchObject({ code: 'not_found', detail: `No such ${kind}.` });
      expect((await halt({ kind })).status).toBe(422);
    }
    const unknown = await halt({ kind: 'team', id: NOWHERE });
    const hidden = await halt({ kind: 'team', id: foreign });
    expect({ ...hidden.body, requestId: null }).toEqual({ ...unknown.body, requestId: null });
    expect((await halt({ kind: 'org', id: NOWHERE })).status).toBe(422);
    expect((await org.admin.post('/halts', { scope: { kind: 'org' }, reason: '' })).status).toBe(422);
    expect(await haltEpoch(org)).toBe(0);
  });

  it('are for admin and sre to set and lift, for all to see, and never for another org', async () => {
    const org = await server.newOrg();
    const other = await server.newOrg();
    const { body: halt } = await org.admin.post('/halts', { scope: { kind: 'org' }, reason: 'x' });
    for (const role of ['member', 'loop', 'viewer'] as const) {
      const key = await org.key(role);
      expect((await key.post('/halts', { scope: { kind: 'org' }, reason: 'x' })).status).toBe(403);
      expect((await key.delete(`/halts/${halt.id}`)).status).toBe(403);
      expect((await key.get('/halts')).body.items).toHaveLength(1);
    }
    expect((await other.admin.delete(`/halts/${halt.id}`)).status).toBe(404);
    expect((await other.admin.get('/halts?all=true')).body.items).toEqual([]);
    expect((await org.admin.get('/halts')).body.items).toEqual([halt]);
  });

  it('replay by Idempotency-Key', async () => {
    const org = await server.newOrg();
    const body = { scope: { kind: 'org' }, reason: 'x' };
    const send = () => org.admin.post('/halts', body, { 'idempotency-key': 'once' });
    const [first, second] = await Promise.all([send(), send()]);
    expect(second.body).toEqual(first.body);
    expect(await haltEpoch(org)).toBe(1);
  });
});
