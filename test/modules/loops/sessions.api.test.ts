import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SessionRun } from '../../../src/modules/loops/index.ts';
import type { Principal } from '../../../src/platform/principal.ts';
import { untilBlocked } from '../../support/locks.ts';
import { type Caller, startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { silence, stored } from './support.ts';

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

const hook = { repo: 'acme/shop', loopName: null, sessionId: 's1', trigger: 'session' } as const;

function principal(org: TestOrg, who: Caller, loopId: string | null = null): Principal {
  return { orgId: org.id, keyId: who.keyId, role: 'member', memberId: who.memberId, loopId };
}

const ask = (who: Principal, session: object = {}, on = server): Promise<SessionRun> =>
  on.signalbox.services.sessions.runOfSession(who, { ...hook, ...session });

describe('the run of a session', () => {
  it('is started by its first hook, with repo and loop, and found by the next', async () => {
    const org = await server.newOrg();
    const ann = await org.member();
    const first = await ask(principal(org, ann), { worktree: '/w/1', branch: 'main' });
    expect(first).toMatchObject({
      started: true,
      run: { epoch: 1 },
      loop: { name: 'sessions', ownerId: ann.memberId },
    });
    const next = await ask(principal(org, ann), { worktree: '/w/2' });
    expect(next).toEqual({ ...first, started: false });
    const run = (await ann.get(`/runs/${first.run.id}`)).body;
    expect(run).toMatchObject({
      sessionId: 's1',
      trigger: 'session',
      worktree: '/w/1',
      branch: 'main',
      status: 'running',
    });
    expect((await ann.get(`/loops/${first.loop.id}`)).body).toMatchObject({
      name: 'sessions',
      repo: 'acme/shop',
      version: 1,
    });
    const told = (await org.events()).map((event) => event.kind).slice(-3);
    expect(told).toEqual(['repo.registered', 'loop.registered', 'run.started']);
  });

  it('is one run, however many first hooks arrive at once on two servers', async () => {
    const org = await server.newOrg();
    const ann = await org.member();
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, i) => ask(principal(org, ann), {}, i % 2 === 0 ? server : second)),
    );
    expect(new Set(answers.map((answer) => answer.run.id)).size).toBe(1);
    expect(answers.filter((answer) => answer.started)).toHaveLength(1);
    expect((await ann.get('/runs')).body.items).toHaveLength(1);
    expect((await ann.get('/loops')).body.items).toHaveLength(1);
    expect((await ann.get('/repos')).body.items, 'none was registered').toMatchObject([{ name: 'acme/shop' }]);
  });

  it('is looked for without registering anything', async () => {
    const org = await server.newOrg();
    expect(await server.signalbox.services.sessions.liveRunOf(principal(org, await org.member()), hook)).toBeNull();
    expect((await org.admin.get('/repos')).body.items).toEqual([]);
  });

  it('differs by session, loop, repo and owner', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [principal(org, await org.member()), principal(org, await org.member())];
    const answers = [
      await ask(ann),
      await ask(bob),
      await ask(ann, { sessionId: 's2' }),
      await ask(ann, { loopName: 'triage' }),
      await ask(ann, { repo: 'acme/api' }),
    ];
    expect(new Set(answers.map((answer) => answer.run.id)).size).toBe(5);
    expect(answers.every((answer) => answer.started)).toBe(true);
  });

  it('belongs to the loop as it was registered, which a hook does not change', async () => {
    const org = await server.newOrg();
    const ann = await org.member();
    const definition = { name: 'triage', repo: 'acme/shop', guardrails: { maxIterations: 3 } };
    const { body: loop } = await ann.post('/loops', definition);
    const { loop: used } = await ask(principal(org, ann), { loopName: 'triage' });
    expect(used.id).toBe(loop.id);
    expect((await ann.get(`/loops/${loop.id}`)).body).toMatchObject({ version: 1, guardrails: { maxIterations: 3 } });
    expect((await ann.post('/loops', definition)).status).toBe(200);
  });

  it('leaves even a loop as it is that somebody registers at the same moment', async () => {
    const org = await server.newOrg();
    const ann = await org.member();
    const { body: model } = await ann.post('/loops', { name: 'model', repo: 'acme/shop', labels: { a: '1' } });
    const client = await server.pools.ordinary.connect();
    try {
      await client.query('BEGIN');
      await client.query(`SELECT set_config('signalbox.org_id', $1, true)`, [org.id]);
      const id = randomUUID();
      await client.query(
        `INSERT INTO loop SELECT org_id, $2, owner_id, owner_kind, team_id, repo_id, 'sessions', version, digest,
           definition, created_at, updated_at FROM loop WHERE org_id = $1 AND id = $3`,
        [org.id, id, model.id],
      );
      const pending = ask(principal(org, ann));
      await untilBlocked(server);
      await client.query('COMMIT');
      expect((await pending).loop.id).toBe(id);
      expect((await ann.get(`/loops/${id}`)).body).toMatchObject({ version: 1, digest: model.digest });
    } finally {
      client.release();
    }
  });

  it('starts anew after the last one finished', async () => {
    const org = await server.newOrg();
    const ann = await org.member();
    const first = await ask(principal(org, ann));
    await ann.post(`/runs/${first.run.id}/finish`, { epoch: 1, outcome: { status: 'succeeded' } });
    const next = await ask(principal(org, ann));
    expect(next.started).toBe(true);
    expect(next.run.id).not.toBe(first.run.id);
  });

  it('is heard of by each hook: nothing is written at once, and a stalled one is revived', async () => {
    const org = await server.newOrg();
    const ann = await org.member();
    const { run } = await ask(principal(org, ann));
    await silence(server, run.id, 0);
    const before = await stored(server, org);
    await ask(principal(org, ann));
    expect(await stored(server, org)).toEqual(before);
    await silence(server, run.id, 3600);
    await server.signalbox.services.housekeeping.pass();
    expect((await ann.get(`/runs/${run.id}`)).body.status).toBe('stalled');
    expect(await ask(principal(org, ann))).toMatchObject({ run: { id: run.id }, started: false });
    expect((await ann.get(`/runs/${run.id}`)).body.status).toBe('running');
    expect((await org.events()).slice(-2).map((event) => event.kind)).toEqual(['run.stalled', 'run.revived']);
  });

  it('of a key bound to a loop is always of that loop', async () => {
    const org = await server.newOrg();
    const ann = await org.member();
    const { body: loop } = await ann.post('/loops', { name: 'triage', repo: 'acme/shop' });
    const key = await org.key('loop', { loopId: loop.id });
    const bound = principal(org, key, loop.id);
    expect((await ask(bound)).loop.id).toBe(loop.id);
    expect((await ask(bound, { loopName: 'triage' })).started).toBe(false);
    for (const other of [{ loopName: 'else' }, { repo: 'acme/api' }]) {
      await expect(ask(bound, other)).rejects.toMatchObject({ status: 403, code: 'not_your_loop' });
    }
    expect((await ann.get('/loops')).body.items).toHaveLength(1);
  });

  it('does not start under a halt, nor beyond max_parallel_runs, but goes on being found', async () => {
    const org = await server.newOrg();
    const ann = await org.member();
    const who = principal(org, ann);
    await ann.post('/loops', { name: 'sessions', repo: 'acme/shop', guardrails: { maxParallelRuns: 1 } });
    const { run } = await ask(who);
    await expect(ask(who, { sessionId: 's2' })).rejects.toMatchObject({ status: 409, code: 'max_parallel_runs' });
    const { body: halt } = await org.admin.post('/halts', { scope: { kind: 'org' }, reason: 'x' });
    await expect(ask(who, { repo: 'acme/api' })).rejects.toMatchObject({ status: 409, code: 'halted' });
    expect((await ann.get('/repos?name=acme/api')).body.items).toEqual([]);
    expect((await ask(who)).run.id).toBe(run.id);
    await org.admin.delete(`/halts/${halt.id}`);
    expect((await ask(who, { repo: 'acme/api' })).started).toBe(true);
  });

  it('needs a loop’s name that can be one', async () => {
    const org = await server.newOrg();
    const who = principal(org, await org.member());
    await expect(ask(who, { loopName: '\u0007' })).rejects.toMatchObject({ status: 422, code: 'loop_invalid' });
  });
});
