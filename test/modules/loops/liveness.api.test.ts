import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { beat, sweepStalled } from '../../../src/modules/loops/index.ts';
import { CommitSignal } from '../../../src/platform/database/commit-signal.ts';
import { Database } from '../../../src/platform/database/database.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { systemPrincipal } from '../../../src/platform/principal.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { silence, startRun, stored } from './support.ts';

let server: TestServer;
let db: Database;
beforeAll(async () => {
  server = await startTestServer({ start: false });
  const { ordinary, listener } = server.pools;
  db = new Database(ordinary, new CommitSignal(listener, ordinary, createLogger({ level: 'fatal' })));
});
afterAll(() => server?.close());

const kinds = async (org: TestOrg, id: string) =>
  (await org.events()).filter((event) => event.subject.id === id).map((event) => event.kind);

describe('a silent run', () => {
  it('is stalled as soon as it has been silent for the org’s stallSeconds, and a sweep says so once', async () => {
    const org = await server.newOrg();
    await org.admin.patch('/org/settings', { stallSeconds: 60 });
    const [quiet, lively] = [await startRun(org.admin, { name: 'a' }), await startRun(org.admin, { name: 'b' })];
    await silence(server, quiet.id, 61);
    await silence(server, lively.id, 50);
    const ids = async (status: string) =>
      (await org.admin.get(`/runs?status=${status}`)).body.items.map((run: { id: string }) => run.id);
    for (const swept of [false, true]) {
      if (swept) await Promise.all([1, 2, 3].map(() => sweepStalled(db, org.id)));
      expect((await org.admin.get(`/runs/${quiet.id}`)).body.status).toBe('stalled');
      expect((await org.admin.get(`/runs/${lively.id}`)).body.status).toBe('running');
      expect([await ids('stalled'), await ids('running')]).toEqual([[quiet.id], [lively.id]]);
    }
    expect(await kinds(org, quiet.id)).toEqual(['run.started', 'run.stalled']);
    expect(await sweepStalled(db, org.id)).toBe(0);
  });

  it('is revived by a heartbeat, finished, or taken over; each is told', async () => {
    const org = await server.newOrg();
    const runs = [];
    for (const name of ['a', 'b', 'c']) runs.push(await startRun(org.admin, { name }));
    for (const { id } of runs) await silence(server, id, 3600);
    expect(await sweepStalled(db, org.id)).toBe(3);
    const [a, b, c] = runs.map((run) => run.id) as [string, string, string];
    expect((await org.admin.post(`/runs/${a}/heartbeat`, { epoch: 1 })).body).toMatchObject({ status: 'running' });
    expect((await org.admin.post(`/runs/${b}/resume`)).body).toMatchObject({ status: 'running', epoch: 2 });
    await org.admin.post(`/runs/${c}/finish`, { epoch: 1, outcome: { status: 'failed' } });
    expect(await kinds(org, a)).toEqual(['run.started', 'run.stalled', 'run.revived']);
    expect(await kinds(org, b)).toEqual(['run.started', 'run.stalled', 'run.resumed']);
    expect(await kinds(org, c)).toEqual(['run.started', 'run.stalled', 'run.finished']);
    for (const { id } of runs) await silence(server, id, 3600);
    expect(await sweepStalled(db, org.id)).toBe(2);
  });

  it('of another org is not touched by a sweep', async () => {
    const [org, other] = [await server.newOrg(), await server.newOrg()];
    const { id } = await startRun(org.admin);
    await silence(server, id, 3600);
    expect(await sweepStalled(db, other.id)).toBe(0);
    const [row] = await server.sql('SELECT status FROM run WHERE id = $1', [id]);
    expect(row).toEqual({ status: 'running' });
  });
});

describe('a beat', () => {
  const beatOnce = (org: TestOrg, id: string) => db.write(systemPrincipal(org.id), (tx) => beat(tx, id));

  it('writes nothing within five seconds of the last one, and moves the time after that', async () => {
    const org = await server.newOrg();
    const { id } = await startRun(org.admin);
    await silence(server, id, 3);
    const before = await stored(server, org);
    await beatOnce(org, id);
    expect(await stored(server, org)).toEqual(before);
    await silence(server, id, 6);
    await beatOnce(org, id);
    const [row] = await server.sql(
      `SELECT last_beat_at > clock_timestamp() - interval '3 s' AS fresh FROM run WHERE id = $1`,
      [id],
    );
    expect(row).toEqual({ fresh: true });
    expect(await kinds(org, id)).toEqual(['run.started']);
  });

  it('revives a stalled run once, however many come at once, and never a finished one', async () => {
    const org = await server.newOrg();
    const { id } = await startRun(org.admin);
    await silence(server, id, 3600);
    await sweepStalled(db, org.id);
    await Promise.all([1, 2, 3, 4].map(() => beatOnce(org, id)));
    expect(await kinds(org, id)).toEqual(['run.started', 'run.stalled', 'run.revived']);
    await org.admin.post(`/runs/${id}/finish`, { epoch: 1, outcome: { status: 'succeeded' } });
    await silence(server, id, 3600);
    const before = await stored(server, org);
    await beatOnce(org, id);
    expect(await sweepStalled(db, org.id)).toBe(0);
    expect(await stored(server, org)).toEqual(before);
  });
});
