import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Signalbox } from '../../src/app.ts';
import { ensureDemo } from '../../src/main/demo.ts';
import { ROOT_KEY, startTestServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let folder: string;

beforeAll(async () => {
  server = await startTestServer();
  folder = await mkdtemp(join(tmpdir(), 'signalbox-demo-'));
});
afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

type Http = Pick<Signalbox['app'], 'inject'>;

class Killed extends Error {}

/** The app up to its `count`-th answer: that one commits, and whoever asked is dead before it arrives. */
function killedAfter(count: number): { http: Http; survived: () => boolean } {
  let left = count;
  const inject = async (options: object) => {
    const answer = await server.signalbox.app.inject(options);
    left -= 1;
    if (left === 0) throw new Killed();
    return answer;
  };
  return { http: { inject } as unknown as Http, survived: () => left > 0 };
}

describe('the demo org', () => {
  it('is made once, however often its making is killed', async () => {
    let demo: Awaited<ReturnType<typeof ensureDemo>> = null;
    for (let count = 1; demo === null; count += 1) {
      const { http, survived } = killedAfter(count);
      demo = await ensureDemo(http, ROOT_KEY, folder).catch((error: unknown) => {
        if (!(error instanceof Killed)) throw error;
        return null;
      });
      expect(survived()).toBe(demo !== null);
      expect(count).toBeLessThan(40);
    }
    const admin = server.caller(demo.adminKey);
    const counts = { members: 2, teams: 2, 'api-keys': 3, loops: 1, runs: 1, leases: 1, policies: 2 };
    for (const [list, count] of Object.entries(counts)) {
      expect((await admin.get(`/${list}`)).body.items, list).toHaveLength(count);
    }
    const { items } = (await admin.get('/policies/payments-checkpoint/versions')).body;
    expect(items).toMatchObject([{ version: 1 }]);
  });

  it('lets the other member approve what one asks for', async () => {
    const demo = (await ensureDemo(server.signalbox.app, ROOT_KEY, folder))!;
    const [ada, grace] = demo.members.map(({ key }) => server.caller(key));
    const subject = { repo: 'acme/shop', path: 'services/payments/ledger.ts' };
    const { approvalId } = (await grace!.post('/decisions', { action: 'path.edit', subject })).body;
    expect((await grace!.post(`/approvals/${approvalId}/votes`, { verdict: 'approve' })).status).toBe(403);
    const vote = await ada!.post(`/approvals/${approvalId}/votes`, { verdict: 'approve' });
    expect(vote.body).toMatchObject({ status: 'approved' });
  });

  it('is left alone when its keys are lost', async () => {
    const elsewhere = await mkdtemp(join(folder, 'other-'));
    await server.sql('DELETE FROM idempotency');
    expect(await ensureDemo(server.signalbox.app, ROOT_KEY, elsewhere)).toBeNull();
  });
});
