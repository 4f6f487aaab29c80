import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, vi } from 'vitest';
import { type Caller, startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { type Ended, signalbox } from './process.ts';

export const REPO = 'acme/shop';
/** What a terminal would act on. */
export const HOSTILE = 'nice\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}txt.exe\nroot# rm';

/** A server, and a folder from which commands are given, for the tests of a file. */
export function office() {
  // Each command is a process that compiles its sources first.
  vi.setConfig({ testTimeout: 90_000 });
  const at = {} as { server: TestServer; folder: string };
  beforeAll(async () => {
    at.server = await startTestServer();
    at.folder = await mkdtemp(join(tmpdir(), 'signalbox-cli-'));
  });
  afterAll(async () => {
    await at.server.close();
    await rm(at.folder, { recursive: true, force: true });
  });

  const as = (caller: Pick<Caller, 'secret'>, args: readonly string[], directory = at.folder): Promise<Ended> =>
    signalbox(args, { env: { SIGNALBOX_URL: at.server.url, SIGNALBOX_KEY: caller.secret }, directory });

  /** An org whose deploys need one other person, and one deploy of a loop's that waits for that. */
  async function waiting(subject: object = {}): Promise<{ org: TestOrg; asker: Caller; id: string; runId: string }> {
    const org = await at.server.newOrg();
    const rule = { id: 'ask', effect: 'require_approval', actions: ['deploy'], approvers: {}, reason: 'Look first.' };
    await org.admin.put('/policies/deploys/draft', { defaults: { deploy: 'allow' }, rules: [rule] });
    expect((await org.admin.post('/policies/deploys/publish')).status).toBe(200);
    const asker = await org.member();
    const run = await runOf(asker, 'release');
    const whole = { repo: REPO, service: 'shop', environment: 'production', ...subject };
    const { body } = await asker.post('/decisions', { action: 'deploy', subject: whole, runId: run.id });
    expect(body.outcome).toBe('require_approval');
    return { org, asker, id: body.approvalId, runId: run.id };
  }

  return { at: at as Readonly<typeof at>, as, waiting };
}

export async function runOf(caller: Caller, name: string): Promise<{ loopId: string; id: string }> {
  const loop = await caller.post('/loops', { name, repo: REPO });
  expect(loop.status).toBe(201);
  const run = await caller.post(`/loops/${loop.body.id}/runs`, {});
  expect(run.status).toBe(201);
  return { loopId: loop.body.id, id: run.body.id };
}
