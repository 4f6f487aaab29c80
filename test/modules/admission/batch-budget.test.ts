import { afterAll, beforeAll, expect, it } from 'vitest';
import { BATCH_STEPS_MAX, decideBatch } from '../../../src/modules/admission/hot/decide-batch.ts';
import { createVersionCaches, loadSnapshot } from '../../../src/modules/admission/hot/load.ts';
import type { HotOperation } from '../../../src/modules/admission/hot/operation.ts';
import { parseClaims } from '../../../src/modules/leases/request.ts';
import { spend } from '../../../src/patterns/index.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { newRunner, REPO } from '../leases/support.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(() => server?.close());

it('what others cost while a batch looks at the database is not the batch’s', async () => {
  const org = await server.newOrg();
  const [ann, ben, cid] = [await newRunner(org), await newRunner(org), await newRunner(org)];
  expect((await ann.acquire({ paths: ['x'] })).status).toBe(201);
  const [repo] = await server.sql<{ id: string }>('SELECT id FROM repo WHERE org_id = $1', [org.id]);
  const ops = [ben, cid].map(
    ({ runId, caller: { keyId, memberId } }): HotOperation => ({
      kind: 'acquire',
      principal: { orgId: org.id, keyId, memberId, loopId: null, role: 'member' },
      idempotent: null,
      repo: { id: repo!.id, name: REPO },
      runId,
      wanted: { matchers: parseClaims(['x'], []), mode: 'exclusive', ttlSeconds: 60, purpose: null },
      waits: true,
    }),
  );
  const client = await server.pools.hot.connect();
  try {
    const { snapshot } = await loadSnapshot(client, org.id, ops, createVersionCaches(), { lock: true });
    const deciding = decideBatch(client, snapshot, ops);
    // Somebody else's meanwhile.
    spend(BATCH_STEPS_MAX + 1);
    const { results } = await deciding;
    expect(results).toMatchObject([{ answer: { status: 202 } }, { answer: { status: 202 } }]);
  } finally {
    client.release(true);
  }
});
