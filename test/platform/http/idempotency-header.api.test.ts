import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { idempotentOf } from '../../../src/platform/http/request.ts';
import { createHttpServer } from '../../../src/platform/http/server.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { type Operation, operationsOf } from '../../modules/identity/operations.ts';
import { newRunner, REPO, type Runner, type Told } from '../../modules/leases/support.ts';
import { type Caller, ROOT_KEY, startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';

// A machine that does much else is slow, not wrong.
vi.setConfig({ testTimeout: 120_000 });

let server: TestServer;
let operations: Operation[];
beforeAll(async () => {
  server = await startTestServer({ start: false });
  operations = operationsOf(server.signalbox.app);
});
afterAll(() => server?.close());

const takesKey = ({ parameters }: Operation) =>
  parameters.some((one) => one.in === 'header' && one.name === 'Idempotency-Key');

interface World {
  readonly org: TestOrg;
  readonly runner: Runner;
  lease(path: string): Promise<Told>;
}

interface Ask {
  readonly by: Pick<Caller, 'post'>;
  readonly path: string;
  readonly body: object;
  /** The same but for its body. */
  readonly other: object;
}

/** For every operation that takes the header, a request that succeeds. */
const ASKS: Readonly<Record<string, (world: World) => Ask | Promise<Ask>>> = {
  createOrg: () => ({
    by: server.caller(ROOT_KEY),
    path: '/orgs',
    body: { slug: `twice-${process.pid}`, name: 'a' },
    other: { slug: `twice-${process.pid}`, name: 'b' },
  }),
  createMember: ({ org }) => {
    const email = 'twice@example.com';
    return { by: org.admin, path: '/members', body: { name: 'a', email }, other: { name: 'b', email } };
  },
  createTeam: ({ org }) => ({ by: org.admin, path: '/teams', body: { name: 'a' }, other: { name: 'b' } }),
  createApiKey: ({ org }) => ({
    by: org.admin,
    path: '/api-keys',
    body: { name: 'a', role: 'viewer' },
    other: { name: 'a', role: 'admin' },
  }),
  setHalt: ({ org }) => {
    const scope = { kind: 'org' };
    return { by: org.admin, path: '/halts', body: { scope, reason: 'a' }, other: { scope, reason: 'b' } };
  },
  publishPolicy: async ({ org }) => {
    await org.admin.put('/policies/drafted/draft', { defaults: { push: 'allow' }, rules: [] });
    return { by: org.admin, path: '/policies/drafted/publish', body: {}, other: { expectedVersion: 0 } };
  },
  rollbackPolicy: async ({ org }) => {
    await org.admin.put('/policies/old/draft', { defaults: { push: 'allow' }, rules: [] });
    await org.admin.post('/policies/old/publish');
    const path = '/policies/old/rollback';
    return { by: org.admin, path, body: { toVersion: 1 }, other: { toVersion: 2 } };
  },
  voteOnApproval: async ({ org, runner }) => {
    const by = await org.member();
    await org.admin.put('/policies/ask/draft', {
      defaults: { deploy: 'allow' },
      rules: [{ id: 'ask', effect: 'require_approval', actions: ['deploy'], approvers: {}, reason: 'x' }],
    });
    await org.admin.post('/policies/ask/publish');
    const { body } = await runner.caller.post('/decisions', {
      action: 'deploy',
      subject: { repo: REPO, service: 's', environment: 'e' },
    });
    const path = `/approvals/${body.approvalId}/votes`;
    return { by, path, body: { verdict: 'approve' }, other: { verdict: 'approve', comment: 'x' } };
  },
  registerLoop: ({ runner }) => ({
    by: runner.caller,
    path: '/loops',
    body: { name: 'twice', repo: REPO },
    other: { name: 'thrice', repo: REPO },
  }),
  startRun: ({ runner }) => ({
    by: runner.caller,
    path: `/loops/${runner.loopId}/runs`,
    body: { branch: 'a' },
    other: { branch: 'b' },
  }),
  acquireLease: ({ runner }) => {
    const body = { repo: REPO, runId: runner.runId, paths: ['acquired.ts'] };
    return { by: runner.caller, path: '/leases', body, other: { ...body, purpose: 'x' } };
  },
  renewLease: async ({ runner, lease }) => {
    const { id, fence } = await lease('renewed.ts');
    const body = { fence, ttlSeconds: 60 };
    return { by: runner.caller, path: `/leases/${id}/renew`, body, other: { ...body, ttlSeconds: 61 } };
  },
  releaseLease: async ({ runner, lease }) => {
    const { id, fence } = await lease('released.ts');
    return { by: runner.caller, path: `/leases/${id}/release`, body: { fence }, other: { fence: fence + 1 } };
  },
  revokeLease: async ({ org, lease }) => {
    const { id } = await lease('revoked.ts');
    return { by: org.admin, path: `/leases/${id}/revoke`, body: { reason: 'a' }, other: { reason: 'b' } };
  },
  admit: ({ runner }) => {
    const body = { repo: REPO, runId: runner.runId, action: 'path.edit', paths: ['admitted.ts'] };
    return { by: runner.caller, path: '/admissions', body, other: { ...body, purpose: 'x' } };
  },
  decide: ({ runner }) => {
    const body = { action: 'push', subject: {} };
    return { by: runner.caller, path: '/decisions', body, other: { ...body, subject: { branch: 'x' } } };
  },
  recordChange: ({ runner }) => {
    const files = [{ path: 'a.ts', beforeBlob: null, afterBlob: 'b'.repeat(40) }];
    const body = { repo: REPO, commit: 'c'.repeat(40), files };
    return { by: runner.caller, path: '/changes', body, other: { ...body, intent: 'x' } };
  },
  recordDeploy: async (world) => {
    const change = await ASKS['recordChange']!(world);
    await change.by.post(change.path, change.body);
    const body = { service: 's', environment: 'e', repo: REPO, commit: 'd'.repeat(40), commits: ['c'.repeat(40)] };
    return { by: world.org.admin, path: '/deploys', body, other: { ...body, service: 't' } };
  },
  openIncident: ({ org }) => {
    const body = { title: 'a', startedAt: '2026-01-01T00:00:00Z', evidence: { paths: ['a.ts'] } };
    return { by: org.admin, path: '/incidents', body, other: { ...body, title: 'b' } };
  },
};

describe('the Idempotency-Key of the document', () => {
  it('is a header that may be left out, of the form that is taken, and of POSTs alone', () => {
    const named = operations.filter(takesKey);
    expect(named.map(({ id }) => id)).toEqual(Object.keys(ASKS).toSorted());
    for (const { method, parameters } of named) {
      const [header] = parameters.filter((one) => one.in === 'header') as { required?: boolean; schema: object }[];
      expect([method, header]).toMatchObject(['POST', { required: false, schema: { pattern: '^[!-~]{1,200}$' } }]);
    }
  });

  it.each(Object.keys(ASKS))('replays the answer of %s, and refuses the key with another body', async (id) => {
    const org = await server.newOrg();
    const runner = await newRunner(org);
    const lease = async (path: string) => (await runner.acquire({ paths: [path] })).body.lease as Told;
    const { by, path, body, other } = await ASKS[id]!({ org, runner, lease });
    const headers = { 'idempotency-key': `key-of-${id}` };
    const first = await by.post(path, body, headers);
    expect([first.status, first.body]).toEqual([expect.toSatisfy((status) => [200, 201].includes(status)), first.body]);
    const { length } = await org.events();
    const again = await by.post(path, body, headers);
    // Which an admission that is replayed says of itself.
    const { replayed: _, ...told } = again.body;
    expect([again.status, told]).toEqual([first.status, first.body]);
    const mismatch = await by.post(path, other, headers);
    expect([mismatch.status, mismatch.body.code]).toEqual([422, 'idempotency_mismatch']);
    expect((await org.events()).length).toBe(length);
  });
});

describe('a route that declares no idempotency', () => {
  it('cannot read the header: it fails whenever it is called, with a key or without', async () => {
    const app = await createHttpServer({ logger: createLogger({ level: 'silent' }), version: '0' });
    try {
      app.post('/declared', { config: { idempotent: true } }, async (request) => ({ key: idempotentOf(request)?.key }));
      app.post('/undeclared', async (request) => ({ key: idempotentOf(request)?.key }));
      const ask = async (url: string, headers: Record<string, string>) => {
        const reply = await app.inject({ method: 'POST', url, headers });
        return [reply.statusCode, reply.json().key];
      };
      expect(await ask('/declared', { 'idempotency-key': 'k' })).toEqual([200, 'k']);
      expect(await ask('/declared', {})).toEqual([200, undefined]);
      expect(await ask('/undeclared', { 'idempotency-key': 'k' })).toEqual([500, undefined]);
      expect(await ask('/undeclared', {})).toEqual([500, undefined]);
    } finally {
      await app.close();
    }
  });

  it('has no other way to it: one function reads the header', () => {
    const src = join(import.meta.dirname, '../../../src');
    const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
    const readers = files.filter((file) => /headers\W{1,4}idempotency/i.test(readFileSync(join(src, file), 'utf8')));
    expect(readers.map((file) => file.replaceAll('\\', '/'))).toEqual(['platform/http/request.ts']);
  });
});
