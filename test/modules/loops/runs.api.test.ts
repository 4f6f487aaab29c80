import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { startRun, stored } from './support.ts';

let server: TestServer;
let second: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  second = await startTestServer({ database: server.database });
});
afterAll(async () => {
  await second?.close();
  await server?.close();
});

const withoutRequestId = (body: Record<string, unknown>) => ({ ...body, requestId: null });

describe('starting a run', () => {
  it('answers with what the run needs, and each run has a trace of its own', async () => {
    const org = await server.newOrg();
    const ann = await org.member();
    const { body: loop } = await ann.post('/loops', { name: 'x', repo: 'acme/shop' });
    const input = { trigger: 'cron', branch: 'main', worktree: '/w/1', sessionId: 's1' };
    const run = await ann.post(`/loops/${loop.id}/runs`, input);
    expect(run.status).toBe(201);
    expect(run.body).toMatchObject({
      ...input,
      loopId: loop.id,
      loopVersion: 1,
      repoId: loop.repoId,
      epoch: 1,
      status: 'running',
      iteration: 0,
      usage: {},
      checkpoint: null,
      outcome: null,
      startedBy: ann.memberId,
      endedAt: null,
      traceparent: expect.stringMatching(/^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01$/),
    });
    const next = await ann.post(`/loops/${loop.id}/runs`);
    expect(next.body.traceparent).not.toBe(run.body.traceparent);
    expect((await org.admin.get(`/runs/${run.body.id}`)).body).toEqual(run.body);
    const told = (await org.events()).find((event) => event.kind === 'run.started');
    expect(told).toMatchObject({
      subject: { kind: 'run', id: run.body.id },
      data: { loopId: loop.id, trigger: 'cron' },
    });
  });

  it('is for the owner, and for a key bound to the loop; an admin is no exception', async () => {
    const org = await server.newOrg();
    const ann = await org.member();
    const { body: loop } = await ann.post('/loops', { name: 'x', repo: 'acme/shop' });
    const { body: other } = await ann.post('/loops', { name: 'y', repo: 'acme/shop' });
    const bound = await org.key('loop', { loopId: loop.id });
    const boundElsewhere = await org.key('member', { loopId: other.id, memberId: ann.memberId });
    const sameMember = await org.key('member', { memberId: ann.memberId });
    for (const key of [bound, sameMember]) expect((await key.post(`/loops/${loop.id}/runs`)).status).toBe(201);
    for (const key of [org.admin, await org.member(), await org.key('loop'), boundElsewhere]) {
      expect(await key.post(`/loops/${loop.id}/runs`)).toMatchObject({ status: 403, body: { code: 'not_your_run' } });
    }
    for (const role of ['viewer', 'sre'] as const) {
      const key = await org.key(role, { memberId: ann.memberId });
      expect(await key.post(`/loops/${loop.id}/runs`)).toMatchObject({ status: 403, body: { code: 'forbidden' } });
    }
  });

  it('keeps to max_parallel_runs, also when all come at once to two servers; a finished or silent run makes room', async () => {
    const org = await server.newOrg();
    const definition = { name: 'x', repo: 'acme/shop', guardrails: { maxParallelRuns: 2 } };
    const { body: loop } = await org.admin.post('/loops', definition);
    const there = second.caller(org.admin.secret);
    const start = (who = org.admin) => who.post(`/loops/${loop.id}/runs`);
    const replies = await Promise.all(Array.from({ length: 8 }, (_, i) => start(i % 2 === 0 ? org.admin : there)));
    const started = replies.filter((reply) => reply.status === 201);
    expect(started).toHaveLength(2);
    const refused = replies.find((reply) => reply.status !== 201);
    expect(refused).toMatchObject({ status: 409, body: { code: 'max_parallel_runs' } });

    const outcome = { status: 'succeeded' };
    await org.admin.post(`/runs/${started[0]!.body.id}/finish`, { epoch: 1, outcome });
    expect((await start()).status).toBe(201);
    expect((await start()).status).toBe(409);
    await server.sql(`UPDATE run SET last_beat_at = now() - interval '1 hour' WHERE id = $1`, [started[1]!.body.id]);
    expect((await start()).status).toBe(201);
  });

  it('gives a session one live run of a loop', async () => {
    const org = await server.newOrg();
    const { body: loop } = await org.admin.post('/loops', { name: 'x', repo: 'acme/shop' });
    const start = () => org.admin.post(`/loops/${loop.id}/runs`, { sessionId: 's1' });
    const replies = await Promise.all([start(), start(), start(), start()]);
    const run = replies.find((reply) => reply.status === 201)!.body;
    const refused = replies.filter((reply) => reply.status === 409);
    expect(refused).toHaveLength(3);
    for (const { body } of refused) expect(body).toMatchObject({ code: 'session_running', runId: run.id });
    await org.admin.post(`/runs/${run.id}/finish`, { epoch: 1, outcome: { status: 'succeeded' } });
    expect((await start()).status).toBe(201);
  });

  it('replays by Idempotency-Key', async () => {
    const org = await server.newOrg();
    const { body: loop } = await org.admin.post('/loops', { name: 'x', repo: 'acme/shop' });
    const start = () => org.admin.post(`/loops/${loop.id}/runs`, {}, { 'idempotency-key': 'k' });
    const [first, again] = await Promise.all([start(), start()]);
    expect(again.body).toEqual(first.body);
    expect((await org.admin.get(`/runs?loopId=${loop.id}`)).body.items).toHaveLength(1);
  });

  it('is refused under a halt over it at each scope, and no other', async () => {
    const org = await server.newOrg();
    const team = await org.team();
    const ann = await org.member({ teams: [team] });
    const { body: loop } = await ann.post('/loops', { name: 'x', repo: 'acme/shop' });
    const { body: beside } = await (await org.member()).post('/loops', { name: 'y', repo: 'acme/api' });
    const start = () => ann.post(`/loops/${loop.id}/runs`);
    const scopes = [
      { kind: 'org' },
      { kind: 'team', id: team },
      { kind: 'repo', id: loop.repoId },
      { kind: 'loop', id: loop.id },
    ];
    for (const scope of scopes) {
      const { body: halt } = await org.admin.post('/halts', { scope, reason: 'because' });
      expect(await start(), scope.kind).toMatchObject({ status: 409, body: { code: 'halted', haltId: halt.id } });
      await org.admin.delete(`/halts/${halt.id}`);
      expect((await start()).status).toBe(201);
    }
    for (const scope of [
      { kind: 'repo', id: beside.repoId },
      { kind: 'loop', id: beside.id },
      { kind: 'team', id: await org.team() },
    ])
      await org.admin.post('/halts', { scope, reason: 'because' });
    expect((await start()).status).toBe(201);
  });
});

describe('a heartbeat', () => {
  it('says stop under a halt over the run at each scope, with its reason, and continue once it is lifted', async () => {
    const org = await server.newOrg();
    const team = await org.team();
    const ann = await org.member({ teams: [team] });
    const { id, loopId, repoId } = await startRun(ann);
    const beat = async () => (await ann.post(`/runs/${id}/heartbeat`, { epoch: 1 })).body;
    for (const scope of [
      { kind: 'org' },
      { kind: 'team', id: team },
      { kind: 'repo', id: repoId },
      { kind: 'loop', id: loopId },
    ]) {
      expect(await beat()).toEqual({ signal: 'continue', reasons: [], status: 'running' });
      const { body: halt } = await org.admin.post('/halts', { scope, reason: 'main is red' });
      expect(await beat()).toEqual({
        signal: 'stop',
        reasons: [{ code: 'halted', detail: `${scope.kind}: main is red` }],
        status: 'running',
      });
      await org.admin.delete(`/halts/${halt.id}`);
    }
  });

  it('keeps totals that never fall, to the last digit, and the checkpoint until another comes', async () => {
    const org = await server.newOrg();
    const { id } = await startRun(org.admin);
    const beat = (body: object) => org.admin.post(`/runs/${id}/heartbeat`, { epoch: 1, ...body });
    await beat({
      usage: { inputTokens: 9_007_199_254_740_991, costUsd: 0.30000000000000004, model: 'a' },
      checkpoint: { at: [1] },
    });
    await beat({ usage: { inputTokens: 5, outputTokens: 7, costUsd: 0.1, model: 'b' } });
    await beat({});
    const run = (await org.admin.get(`/runs/${id}`)).body;
    expect(run.usage).toEqual({
      inputTokens: 9_007_199_254_740_991,
      outputTokens: 7,
      costUsd: 0.30000000000000004,
      model: 'b',
    });
    expect(run.checkpoint).toEqual({ at: [1] });
    await beat({ checkpoint: null });
    expect((await org.admin.get(`/runs/${id}`)).body.checkpoint).toBeNull();
  });

  it('adds up to the highest totals, and loses no round, when many arrive at once on two servers', async () => {
    const org = await server.newOrg();
    const { id } = await startRun(org.admin);
    const there = second.caller(org.admin.secret);
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        (i % 2 === 0 ? org.admin : there).post(`/runs/${id}/heartbeat`, {
          epoch: 1,
          iteration: i + 1,
          usage: { inputTokens: 10 * (i + 1), outputTokens: 500 - i },
          treeHash: `tree ${i + 1}`,
        }),
      ),
    );
    expect(new Set(replies.map((reply) => reply.status))).toEqual(new Set([200]));
    const run = (await org.admin.get(`/runs/${id}`)).body;
    expect(run).toMatchObject({ iteration: 20, usage: { inputTokens: 200, outputTokens: 500 } });
    const rounds = await server.sql(
      `SELECT number, facts, ended_at IS NULL AS open FROM iteration WHERE run_id = $1 ORDER BY number`,
      [id],
    );
    expect(rounds).toEqual(
      Array.from({ length: 20 }, (_, i) => ({ number: i + 1, facts: { treeHash: `tree ${i + 1}` }, open: i === 19 })),
    );
  });

  it('says stop and pause as the guardrails of the loop as it is registered now ask for', async () => {
    const org = await server.newOrg();
    const guardrails = { max_iterations: 3, budget: '$5/run', halt_on: 'no_progress(2)' };
    const { id } = await startRun(org.admin, { guardrails });
    const beat = async (body: object) => (await org.admin.post(`/runs/${id}/heartbeat`, { epoch: 1, ...body })).body;
    const codes = (answer: { reasons: { code: string }[] }) => answer.reasons.map((reason) => reason.code);

    expect(await beat({ iteration: 1, treeHash: 'a', usage: { costUsd: 4.99 } })).toMatchObject({ signal: 'continue' });
    const spent = await beat({ usage: { costUsd: 5 } });
    expect([spent.signal, codes(spent)]).toEqual(['pause', ['run_budget_reached']]);
    await org.admin.post('/loops', { name: 'x', repo: 'acme/shop', guardrails: { ...guardrails, budget: '$9/run' } });
    expect(await beat({})).toMatchObject({ signal: 'continue' });

    expect(await beat({ iteration: 2, treeHash: 'a' })).toMatchObject({ signal: 'continue' });
    const stuck = await beat({ iteration: 3, treeHash: 'a' });
    expect([stuck.signal, codes(stuck)]).toEqual(['stop', ['no_progress']]);
    const over = await beat({ iteration: 4, treeHash: 'b' });
    expect([over.signal, codes(over)]).toEqual(['stop', ['max_iterations_exceeded']]);
  });

  it('compares the first rounds with the state that the run began with, and checkpoints as well as trees', async () => {
    const org = await server.newOrg();
    const { id } = await startRun(org.admin, { guardrails: { halt_on: 'no_progress(2)' } });
    const beat = async (body: object) => (await org.admin.post(`/runs/${id}/heartbeat`, { epoch: 1, ...body })).body;
    expect(await beat({ checkpoint: { todo: ['a'] } })).toMatchObject({ signal: 'continue' });
    expect(await beat({ iteration: 1, checkpoint: { todo: ['a'] } })).toMatchObject({ signal: 'continue' });
    expect(await beat({ iteration: 2, checkpoint: { todo: ['a'] } })).toMatchObject({ signal: 'stop' });
  });

  it('with a late epoch, one never given out, or by another key changes no row at all', async () => {
    const org = await server.newOrg();
    const ann = await org.member();
    const { id } = await startRun(ann);
    await ann.post(`/runs/${id}/heartbeat`, { epoch: 1, iteration: 1, checkpoint: { a: 1 } });
    expect((await ann.post(`/runs/${id}/resume`)).body).toMatchObject({ epoch: 2, checkpoint: { a: 1 } });
    await server.sql(`UPDATE run SET last_beat_at = last_beat_at - interval '1 minute' WHERE id = $1`, [id]);
    const before = await stored(server, org);
    const late = { iteration: 9, usage: { costUsd: 99 }, checkpoint: 'mine', treeHash: 'x' };
    const outcome = { status: 'succeeded' };
    const refusals = [
      [await ann.post(`/runs/${id}/heartbeat`, { epoch: 1, ...late }), 409, 'epoch_stale'],
      [await ann.post(`/runs/${id}/heartbeat`, { epoch: 3, ...late }), 409, 'epoch_unknown'],
      [await ann.post(`/runs/${id}/finish`, { epoch: 1, outcome }), 409, 'epoch_stale'],
      [await org.admin.post(`/runs/${id}/heartbeat`, { epoch: 2, ...late }), 403, 'not_your_run'],
      [await org.admin.post(`/runs/${id}/finish`, { epoch: 2, outcome }), 403, 'not_your_run'],
      [await org.admin.post(`/runs/${id}/resume`), 403, 'not_your_run'],
    ] as const;
    for (const [reply, status, code] of refusals) expect(reply).toMatchObject({ status, body: { code } });
    expect(await stored(server, org)).toEqual(before);
    expect((await ann.post(`/runs/${id}/heartbeat`, { epoch: 2 })).status).toBe(200);
  });

  it('refuses what is too large, too deep, or no such thing, and changes nothing', async () => {
    const org = await server.newOrg();
    const { id } = await startRun(org.admin);
    const before = await stored(server, org);
    const deep = JSON.parse('['.repeat(150) + ']'.repeat(150)) as unknown;
    const bodies = [
      {},
      { epoch: 0 },
      { epoch: 1, iteration: 0 },
      { epoch: 1, iteration: 1.5 },
      { epoch: 1, usage: { costUsd: -1 } },
      { epoch: 1, usage: { inputTokens: 2 ** 53 } },
      { epoch: 1, usage: { tokens: 1 } },
      { epoch: 1, checkpoint: 'é'.repeat(33 * 1024) },
      { epoch: 1, checkpoint: deep },
      { epoch: 1, failingChecks: 'a' },
      { epoch: 1, treeHash: 'a\0b' },
      { epoch: 1, status: 'running' },
    ];
    for (const body of bodies) {
      const reply = await org.admin.post(`/runs/${id}/heartbeat`, body);
      expect([reply.status, JSON.stringify(body).slice(0, 60)]).toEqual([422, JSON.stringify(body).slice(0, 60)]);
    }
    expect(await stored(server, org)).toEqual(before);
    const largest = 'x'.repeat(64 * 1024 - 2);
    expect((await org.admin.post(`/runs/${id}/heartbeat`, { epoch: 1, checkpoint: largest })).status).toBe(200);
    expect((await org.admin.get(`/runs/${id}`)).body.checkpoint).toBe(largest);
  });
});

describe('finishing and resuming', () => {
  it('ends once: the same again is answered the same, anything else is refused', async () => {
    const org = await server.newOrg();
    const { id } = await startRun(org.admin);
    await org.admin.post(`/runs/${id}/heartbeat`, { epoch: 1, iteration: 1 });
    const outcome = { status: 'failed', summary: 'tests red' };
    const finish = (body: object) => org.admin.post(`/runs/${id}/finish`, body);
    const [first, again] = await Promise.all([finish({ epoch: 1, outcome }), finish({ epoch: 1, outcome })]);
    expect(first).toMatchObject({ status: 200, body: { status: 'finished', outcome, endedAt: expect.any(String) } });
    expect(again.body).toEqual(first.body);
    const before = await stored(server, org);
    expect(await finish({ epoch: 1, outcome: { status: 'succeeded' } })).toMatchObject({
      status: 409,
      body: { code: 'run_finished' },
    });
    for (const [path, body] of [
      ['heartbeat', { epoch: 1, checkpoint: 1 }],
      ['resume', undefined],
    ] as const) {
      expect(await org.admin.post(`/runs/${id}/${path}`, body)).toMatchObject({
        status: 409,
        body: { code: 'run_finished' },
      });
    }
    expect(await stored(server, org)).toEqual(before);
    const open = await server.sql('SELECT 1 FROM iteration WHERE run_id = $1 AND ended_at IS NULL', [id]);
    expect(open).toEqual([]);
    expect((await org.events()).filter((event) => event.kind === 'run.finished')).toMatchObject([
      { data: { outcome, epoch: 1 } },
    ]);
  });

  it('knows its outcomes; abandoned is not one that a caller may claim', async () => {
    const org = await server.newOrg();
    const { id } = await startRun(org.admin);
    for (const outcome of [{}, { status: 'abandoned' }, { status: 'done' }, { status: 'failed', why: 'x' }]) {
      expect((await org.admin.post(`/runs/${id}/finish`, { epoch: 1, outcome })).status).toBe(422);
    }
    expect((await org.admin.get(`/runs/${id}`)).body.status).toBe('running');
  });

  it('gives each of two concurrent resumes an epoch of its own, and only the last one speaks', async () => {
    const org = await server.newOrg();
    const { id } = await startRun(org.admin);
    const there = second.caller(org.admin.secret);
    const resumed = await Promise.all([org.admin.post(`/runs/${id}/resume`, {}), there.post(`/runs/${id}/resume`)]);
    expect(new Set(resumed.map((reply) => reply.body.epoch))).toEqual(new Set([2, 3]));
    expect((await org.admin.post(`/runs/${id}/heartbeat`, { epoch: 2 })).body.code).toBe('epoch_stale');
    expect((await org.admin.post(`/runs/${id}/heartbeat`, { epoch: 3 })).status).toBe(200);
  });

  it('lets one of a resume and a finish at once win: never a finish by an epoch that was replaced', async () => {
    const org = await server.newOrg();
    for (let round = 0; round < 5; round += 1) {
      const { id } = await startRun(org.admin);
      const [finished, resumed] = await Promise.all([
        org.admin.post(`/runs/${id}/finish`, { epoch: 1, outcome: { status: 'succeeded' } }),
        second.caller(org.admin.secret).post(`/runs/${id}/resume`),
      ]);
      expect([`${finished.status} ${finished.body.code}`, `${resumed.status} ${resumed.body.code}`]).toEqual(
        finished.status === 200 ? ['200 undefined', '409 run_finished'] : ['409 epoch_stale', '200 undefined'],
      );
    }
  });
});

describe('reading runs', () => {
  it('shows the rounds in order, each with what was said last about it', async () => {
    const org = await server.newOrg();
    const { id } = await startRun(org.admin);
    const beat = (body: object) => org.admin.post(`/runs/${id}/heartbeat`, { epoch: 1, ...body });
    await beat({ treeHash: 'start' });
    await beat({ iteration: 1, failingChecks: ['b', 'a', 'b'] });
    await beat({ treeHash: 'one' });
    await beat({ iteration: 2 });
    await beat({ iteration: 1, treeHash: 'one, later' });
    const all = (await org.admin.get(`/runs/${id}/iterations`)).body.items;
    const rest = { checkpointDigest: null, startedAt: expect.any(String) };
    expect(all).toEqual([
      { ...rest, number: 0, endedAt: expect.any(String), treeHash: 'start', failingChecks: null },
      { ...rest, number: 1, endedAt: expect.any(String), treeHash: 'one, later', failingChecks: ['a', 'b'] },
      { ...rest, number: 2, endedAt: null, treeHash: null, failingChecks: null },
    ]);
    const page = (await org.admin.get(`/runs/${id}/iterations?limit=2`)).body;
    expect((await org.admin.get(`/runs/${id}/iterations?limit=2&cursor=${page.nextCursor}`)).body.items).toEqual([
      all[2],
    ]);
    expect((await org.admin.get(`/runs/${id}`)).body.iteration).toBe(2);
  });

  it('filters, pages newest first, and leaves checkpoints out of lists', async () => {
    const org = await server.newOrg();
    const a = await startRun(org.admin, { name: 'a' });
    const b = await startRun(org.admin, { name: 'b', repo: 'acme/api' });
    const c = await startRun(org.admin, { name: 'b', repo: 'acme/api' });
    await org.admin.post(`/runs/${b.id}/finish`, { epoch: 1, outcome: { status: 'cancelled' } });
    const ids = async (query: string) =>
      (await org.admin.get(`/runs?${query}`)).body.items.map((run: { id: string }) => run.id);
    expect(await ids('')).toEqual([c.id, b.id, a.id]);
    expect(await ids(`loopId=${b.loopId}`)).toEqual([c.id, b.id]);
    expect(await ids('repo=acme/shop')).toEqual([a.id]);
    expect(await ids('status=finished')).toEqual([b.id]);
    expect(await ids('status=running')).toEqual([c.id, a.id]);
    const page = (await org.admin.get('/runs?limit=2')).body;
    expect(page.items[0]).not.toHaveProperty('checkpoint');
    expect(await ids(`limit=2&cursor=${page.nextCursor}`)).toEqual([a.id]);
    expect((await org.admin.get('/runs?cursor=x')).body.code).toBe('cursor_invalid');
  });

  it('is for every role of the org; from another org it is like nothing was there', async () => {
    const org = await server.newOrg();
    const { id, loopId } = await startRun(org.admin);
    for (const role of ['member', 'loop', 'sre', 'viewer'] as const) {
      const key = await org.key(role);
      expect((await key.get(`/runs/${id}`)).status).toBe(200);
      expect((await key.get('/runs')).body.items).toHaveLength(1);
    }
    const { admin } = await server.newOrg();
    const before = await stored(server, org);
    const outcome = { status: 'succeeded' };
    const attempts = [
      [(of: string) => admin.get(`/runs/${of}`), id],
      [(of: string) => admin.get(`/runs/${of}/iterations`), id],
      [(of: string) => admin.post(`/runs/${of}/heartbeat`, { epoch: 1 }), id],
      [(of: string) => admin.post(`/runs/${of}/finish`, { epoch: 1, outcome }), id],
      [(of: string) => admin.post(`/runs/${of}/resume`), id],
      [(of: string) => admin.post(`/loops/${of}/runs`), loopId],
    ] as const;
    for (const [ask, hidden] of attempts) {
      const reply = await ask(hidden);
      expect(reply.status).toBe(404);
      expect(withoutRequestId(reply.body)).toEqual(withoutRequestId((await ask(randomUUID())).body));
    }
    expect((await admin.get('/runs')).body.items).toEqual([]);
    expect(await stored(server, org)).toEqual(before);
  });
});
