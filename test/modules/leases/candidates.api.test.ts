import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Searched } from '../../../src/modules/leases/broad-search.ts';
import { parseClaims } from '../../../src/modules/leases/request.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { held, queue } from './line.ts';
import { newRunner, REPO, type Runner } from './support.ts';

/** What is looked up to see whether anything is in the way: never less than there is. */
let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(() => server?.close());

describe('several things that are wanted at once', () => {
  it.each([
    { holds: { patterns: ['**/*.md'] }, paths: ['docs/a.md', 'src/a.ts'], free: ['src/a.ts'] },
    { holds: { patterns: ['**/*.md'] }, paths: ['src/a.ts', 'docs/a.md'], free: ['src/a.ts'] },
    { holds: { paths: ['src/a.ts'] }, patterns: ['**/*.ts', '**/*.md'], free: ['**/*.md'] },
    { holds: { paths: ['src/a.ts'] }, patterns: ['**/*.md', '**/*.ts'], free: ['**/*.md'] },
  ])('are looked up each under its own extension: %o', async ({ holds, free, ...wanted }) => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const lease = await held(ann, holds);
    expect(await bob.acquire(wanted)).toMatchObject({
      status: 409,
      body: { code: 'lease_conflict', free, conflicts: [{ leaseId: lease.id }] },
    });
  });
});

describe('what came between a search without the lock and the lock', () => {
  /** Bob's request, with what a search for it found before anything was there. */
  async function searched(org: TestOrg, { caller: { keyId, memberId }, runId }: Runner, found: Searched) {
    const [{ id }] = (await org.admin.get(`/repos?name=${REPO}`)).body.items;
    return server.signalbox.services.hot.submit({
      kind: 'acquire',
      principal: { orgId: org.id, keyId, role: 'member', memberId, loopId: null },
      idempotent: null,
      repo: { id, name: REPO },
      runId,
      wanted: { matchers: parseClaims(['a'], []), mode: 'exclusive', ttlSeconds: 60, purpose: null },
      waits: false,
      searched: found,
    });
  }
  const seqOf = async (org: TestOrg) => (await org.events()).at(-1)!.seq;

  it('is in the way: a lease that was granted meanwhile', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const found = { knownTo: await seqOf(org), leaseIds: [], ticketIds: [], isWhole: true, isSpent: false };
    const lease = await held(ann, { paths: ['a'] });
    await expect(searched(org, bob, found)).rejects.toMatchObject({
      code: 'lease_conflict',
      extras: { conflicts: [{ leaseId: lease.id }] },
    });
  });

  it('is in the way: somebody who has got in line meanwhile', async () => {
    const org = await server.newOrg();
    const [ann, bob, cid] = [await newRunner(org), await newRunner(org), await newRunner(org)];
    await held(ann, { paths: ['b'] });
    const found = { knownTo: await seqOf(org), leaseIds: [], ticketIds: [], isWhole: true, isSpent: false };
    const ticketId = await queue(cid, { paths: ['a', 'b'] });
    await expect(searched(org, bob, found)).rejects.toMatchObject({
      code: 'lease_conflict',
      extras: { conflicts: [{ ticketId }] },
    });
  });
});
