import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { newCommit } from '../changes/support.ts';
import { ENVIRONMENT, hoursAgo, open, SERVICE } from './support.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(() => server?.close());

describe('opening an incident', () => {
  it('keeps what is known, and appends one event', async () => {
    const org = await server.newOrg();
    const startedAt = hoursAgo(1);
    const commit = newCommit();
    const traceId = 'AB'.repeat(16);
    const evidence = {
      traceIds: [traceId, traceId],
      frames: [{ path: '/app/src/pay.ts', line: 12, commit }, { path: 'src/cart.ts' }],
      paths: ['src/', 'src/'],
    };
    const reply = await open(org.admin, { title: 'No money', startedAt, evidence });
    expect(reply).toMatchObject({
      status: 201,
      body: {
        title: 'No money',
        service: SERVICE,
        environment: ENVIRONMENT,
        startedAt,
        evidence: {
          traceIds: [traceId.toLowerCase()],
          frames: [
            { path: '/app/src/pay.ts', line: 12, commit },
            { path: 'src/cart.ts', line: null, commit: null },
          ],
          paths: ['src/'],
        },
      },
    });
    expect((await org.admin.get(`/incidents/${reply.body.id}`)).body).toEqual(reply.body);
    expect((await org.admin.get('/incidents')).body.items).toEqual([reply.body]);
    const opened = (await org.events()).filter(({ kind }) => kind === 'incident.opened');
    expect(opened).toMatchObject([{ subject: { kind: 'incident', id: reply.body.id }, data: { title: 'No money' } }]);
  });

  it('needs neither service nor environment, and is opened once under one Idempotency-Key', async () => {
    const org = await server.newOrg();
    const body = { service: null, environment: undefined, startedAt: hoursAgo(1) };
    const key = { 'idempotency-key': randomUUID() };
    const [one, two] = [await open(org.admin, body, key), await open(org.admin, body, key)];
    expect(one).toMatchObject({ status: 201, body: { service: null, environment: null } });
    expect(two.body).toEqual(one.body);
    expect((await org.admin.get('/incidents')).body.items).toHaveLength(1);
  });
});

describe('a bad incident', () => {
  it.each([
    ['evidence_required', { evidence: undefined }],
    ['evidence_required', { evidence: {} }],
    ['evidence_required', { evidence: { traceIds: [], frames: [], paths: [] } }],
    ['path_empty', { evidence: { paths: ['/'] } }],
    ['path_empty', { evidence: { frames: [{ path: 'file:///', line: 1 }] } }],
    ['time_in_future', { startedAt: hoursAgo(-1) }],
    ['invalid_request', { startedAt: undefined }],
    ['invalid_request', { startedAt: 'yesterday' }],
    ['invalid_request', { title: '' }],
    ['unsupported_character', { title: 'a\0b' }],
    ['invalid_request', { evidence: { traceIds: ['0'.repeat(32)] } }],
    ['invalid_request', { evidence: { frames: [{ path: 'a', line: 0 }] } }],
    ['invalid_request', { evidence: { frames: Array.from({ length: 201 }, () => ({ path: 'a' })) } }],
    ['invalid_request', { evidence: { paths: ['a'], surplus: [] } }],
  ])('is %s and leaves nothing behind: %j', async (code, body) => {
    const org = await server.newOrg();
    const before = await org.events();
    expect(await open(org.admin, body)).toMatchObject({ status: 422, body: { code } });
    expect((await org.admin.get('/incidents')).body.items).toEqual([]);
    expect(await org.events()).toEqual(before);
  });

  it("is another org's: as if it did not exist", async () => {
    const [org, other] = [await server.newOrg(), await server.newOrg()];
    const { body } = await open(org.admin, {});
    for (const tail of ['', '/suspects', '/report']) {
      const [theirs, none] = [
        await other.admin.get(`/incidents/${body.id}${tail}`),
        await other.admin.get(`/incidents/${randomUUID()}${tail}`),
      ];
      expect([theirs.status, theirs.body.code, theirs.body.detail]).toEqual([404, 'not_found', 'No such incident.']);
      expect({ ...none.body, requestId: '' }).toEqual({ ...theirs.body, requestId: '' });
    }
    expect((await other.admin.get('/incidents')).body.items).toEqual([]);
  });

  it('is not a viewer’s to open', async () => {
    const org = await server.newOrg();
    const viewer = await org.key('viewer');
    expect((await open(viewer, {})).status).toBe(403);
    expect((await viewer.get('/incidents')).status).toBe(200);
  });
});
