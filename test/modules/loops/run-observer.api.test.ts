import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type RunObserver, RunService } from '../../../src/modules/loops/index.ts';
import { CommitSignal } from '../../../src/platform/database/commit-signal.ts';
import { Database } from '../../../src/platform/database/database.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import type { Principal } from '../../../src/platform/principal.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { startRun } from './support.ts';

let server: TestServer;
let runs: RunService;
let org: TestOrg;
let owner: Principal;
let runId: string;
const calls: string[] = [];
const REPO = '01a20027-0000-7000-8000-000000000001';

beforeAll(async () => {
  server = await startTestServer({ start: false });
  const { ordinary, listener } = server.pools;
  const db = new Database(ordinary, new CommitSignal(listener, ordinary, createLogger({ level: 'fatal' })));
  runs = new RunService(db, recording);
  org = await server.newOrg();
  owner = { orgId: org.id, keyId: org.admin.keyId, role: 'admin', memberId: null, loopId: null };
});
afterAll(() => server?.close());
beforeEach(async () => {
  ({ id: runId } = await startRun(org.admin));
  calls.length = 0;
});

const isLocked = async (id: string) =>
  (await server.sql('SELECT 1 FROM run WHERE id = $1 FOR UPDATE SKIP LOCKED', [id])).length === 0;

/** Notes what it is asked, and whether the run's row was locked then. */
const note = async (what: string, id: string) => {
  calls.push(`${what} ${(await isLocked(id)) ? 'locked' : 'free'}`);
};
const recording: RunObserver = {
  lockRepos: async (_tx, id) => {
    await note('lockRepos', id);
    return [REPO];
  },
  onHeartbeat: async (_tx, { id, repoIds }) => {
    await note(`onHeartbeat ${repoIds.join()}`, id);
    return [];
  },
  onFinish: async (_tx, { id, repoIds }) => note(`onFinish ${repoIds.join()}`, id),
  onResume: async (_tx, { id, repoIds }, epoch) => note(`onResume ${repoIds.join()} ${epoch}`, id),
};

describe('whoever observes runs', () => {
  it('may lock before the run is locked, and acts after', async () => {
    await runs.heartbeat(owner, runId, { epoch: 1 });
    await runs.resume(owner, runId);
    await runs.finish(owner, runId, { epoch: 2, outcome: { status: 'succeeded', summary: null } });
    expect(calls).toEqual([
      'lockRepos free',
      `onHeartbeat ${REPO} locked`,
      'lockRepos free',
      `onResume ${REPO} 2 locked`,
      'lockRepos free',
      `onFinish ${REPO} locked`,
    ]);
  });

  it('does not act for a late epoch, a finished run, or a replayed finish', async () => {
    await runs.resume(owner, runId);
    await expect(runs.heartbeat(owner, runId, { epoch: 1 })).rejects.toMatchObject({ code: 'epoch_stale' });
    const outcome = { status: 'succeeded', summary: null } as const;
    await expect(runs.finish(owner, runId, { epoch: 1, outcome })).rejects.toMatchObject({ code: 'epoch_stale' });
    await runs.finish(owner, runId, { epoch: 2, outcome });
    await runs.finish(owner, runId, { epoch: 2, outcome });
    await expect(runs.heartbeat(owner, runId, { epoch: 2 })).rejects.toMatchObject({ code: 'run_finished' });
    expect(calls.filter((call) => call.startsWith('on'))).toEqual([
      `onResume ${REPO} 2 locked`,
      `onFinish ${REPO} locked`,
    ]);
  });

  it('hears nothing of who may not act for the run', async () => {
    const stranger = { ...owner, keyId: (await org.key('member')).keyId };
    await expect(runs.heartbeat(stranger, runId, { epoch: 1 })).rejects.toMatchObject({ code: 'not_your_run' });
    expect(calls).toEqual([]);
  });

  it('takes everything back with it when it fails', async () => {
    const failing = { ...recording, onFinish: () => Promise.reject(new Error('no')) };
    const { ordinary, listener } = server.pools;
    const db = new Database(ordinary, new CommitSignal(listener, ordinary, createLogger({ level: 'fatal' })));
    const outcome = { status: 'succeeded', summary: null } as const;
    await expect(new RunService(db, failing).finish(owner, runId, { epoch: 1, outcome })).rejects.toThrow('no');
    expect((await org.admin.get(`/runs/${runId}`)).body).toMatchObject({ status: 'running', outcome: null });
  });
});
