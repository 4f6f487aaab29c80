import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Caller, ROOT_KEY, startTestServer, type TestServer } from '../../support/server.ts';
import { wholeDatabase, withoutRootKey, writtenForms } from './support.ts';

let server: TestServer;
let second: TestServer;
let root: Caller;
let rootOfSecond: Caller;
beforeAll(async () => {
  server = await startTestServer({ start: false });
  second = await startTestServer({ database: server.database, start: false });
  root = server.caller(ROOT_KEY);
  rootOfSecond = second.caller(ROOT_KEY);
});
afterAll(async () => {
  await second?.close();
  await server?.close();
});

const newSlug = () => `o-${randomUUID().slice(0, 30)}`;
const idempotent = (key: string = randomUUID()) => ({ 'idempotency-key': key });
const orgsNamed = (slug: string) => server.sql('SELECT org_id FROM org WHERE slug = $1', [slug]);

describe('creating an org', () => {
  it('answers the org with its defaults and an admin key that works at once, and logs both', async () => {
    const slug = newSlug();
    const made = await root.post('/orgs', { slug, name: 'Acme' });
    expect(made.status).toBe(201);
    expect(made.body.org).toMatchObject({
      slug,
      name: 'Acme',
      settings: { hooksFailOpen: false, lockDelaySeconds: 15, stallSeconds: 180, holdSeconds: 20 },
    });
    expect(made.body.apiKey).toMatchObject({
      role: 'admin',
      memberId: null,
      loopId: null,
      expiresAt: null,
      revokedAt: null,
      secret: expect.stringMatching(/^sbx_[A-Za-z0-9_-]{43}$/),
    });
    const admin = second.caller(made.body.apiKey.secret);
    expect((await admin.get('/org')).body).toEqual(made.body.org);
    const { items } = (await admin.get('/events')).body;
    expect(items.map(({ seq, kind }: { seq: number; kind: string }) => [seq, kind])).toEqual([
      [1, 'org.created'],
      [2, 'api_key.created'],
    ]);
    expect(items[0].actor).toMatchObject({ kind: 'system', keyId: null });
    expect(JSON.stringify(items)).not.toContain(made.body.apiKey.secret);
  });

  it('takes no other token than the root key, and creates nothing without it', async () => {
    const org = await server.newOrg();
    const slug = newSlug();
    const body = JSON.stringify({ slug, name: 'x' });
    const json = { 'content-type': 'application/json' };
    const tokens = [org.admin.secret, `${ROOT_KEY}x`, ROOT_KEY.slice(1), ROOT_KEY.toUpperCase(), ''];
    for (const headers of [json, ...tokens.map((token) => ({ ...json, authorization: `Bearer ${token}` }))]) {
      const refused = await fetch(`${server.url}/api/v1/orgs`, { method: 'POST', headers, body });
      expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([401, 'unauthenticated']);
      expect(refused.headers.get('www-authenticate')).toMatch(/^Bearer/);
    }
    expect(await orgsNamed(slug)).toEqual([]);
    expect((await root.get('/org')).status).toBe(401);
  });

  it('is refused by a server without a root key, whatever is sent', async () => {
    const slug = newSlug();
    await withoutRootKey(server, async (url) => {
      for (const token of [ROOT_KEY, 'undefined', 'null', '']) {
        const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
        const body = JSON.stringify({ slug, name: 'x' });
        const refused = await fetch(`${url}/api/v1/orgs`, { method: 'POST', headers, body });
        expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([403, 'root_key_unset']);
      }
    });
    expect(await orgsNamed(slug)).toEqual([]);
  });

  it.each(['', 'A', 'a b', '-a', 'a-', 'ä', 'a'.repeat(41), 'a\u0000', '../a', 7, null])(
    'refuses the slug %j',
    async (slug) => {
      const refused = await root.post('/orgs', { slug, name: 'x' });
      expect(refused.status).toBe(422);
      if (slug !== 'a\u0000') expect(refused.body.errors[0].path).toBe('body.slug');
    },
  );

  it('gives a slug once', async () => {
    const slug = newSlug();
    expect((await root.post('/orgs', { slug, name: 'one' })).status).toBe(201);
    for (const headers of [{}, idempotent()]) {
      const refused = await root.post('/orgs', { slug, name: 'one' }, headers);
      expect([refused.status, refused.body.code]).toEqual([409, 'slug_taken']);
    }
    expect(await orgsNamed(slug)).toHaveLength(1);
  });

  it('gives a slug to one of many that ask at once on two servers', async () => {
    const slug = newSlug();
    const replies = await Promise.all(
      Array.from({ length: 8 }, (_, i) => (i % 2 ? root : rootOfSecond).post('/orgs', { slug, name: `${i}` })),
    );
    expect(replies.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, ...Array(7).fill(409)]);
    expect(new Set(replies.filter(({ status }) => status === 409).map(({ body }) => body.code))).toEqual(
      new Set(['slug_taken']),
    );
    const [row] = await orgsNamed(slug);
    const winner = replies.find(({ status }) => status === 201)!.body;
    expect(row!['org_id']).toBe(winner.org.id);
    const { items } = (await server.caller(winner.apiKey.secret).get('/events')).body;
    expect(items.map(({ kind }: { kind: string }) => kind)).toEqual(['org.created', 'api_key.created']);
  });
});

describe('creating an org again with the same Idempotency-Key', () => {
  it('gives the first answer again, secret included, on any server', async () => {
    const body = { slug: newSlug(), name: 'Acme' };
    const headers = idempotent();
    const first = await root.post('/orgs', body, headers);
    const again = await rootOfSecond.post('/orgs', body, headers);
    expect([again.status, again.body]).toEqual([201, first.body]);
    expect((await server.caller(again.body.apiKey.secret).get('/org')).status).toBe(200);
  });

  it('gives one answer to many that arrive at once on two servers', async () => {
    const body = { slug: newSlug(), name: 'Acme' };
    const headers = idempotent();
    const replies = await Promise.all(
      Array.from({ length: 8 }, (_, i) => (i % 2 ? root : rootOfSecond).post('/orgs', body, headers)),
    );
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([201]));
    expect(new Set(replies.map((reply) => JSON.stringify(reply.body))).size).toBe(1);
    expect(await orgsNamed(body.slug)).toHaveLength(1);
  });

  it('refuses another body, be it another name or another slug', async () => {
    const body = { slug: newSlug(), name: 'Acme' };
    const headers = idempotent();
    expect((await root.post('/orgs', body, headers)).status).toBe(201);
    const other = newSlug();
    for (const changed of [
      { ...body, name: 'Other' },
      { ...body, slug: other },
    ]) {
      const refused = await rootOfSecond.post('/orgs', changed, headers);
      expect([refused.status, refused.body.code]).toEqual([422, 'idempotency_mismatch']);
    }
    expect(await orgsNamed(other)).toEqual([]);
  });

  it('lets one of two slugs that share a key win when they arrive at once', async () => {
    const headers = idempotent();
    const slugs = [newSlug(), newSlug()];
    const replies = await Promise.all(
      slugs.map((slug, i) => (i === 0 ? root : rootOfSecond).post('/orgs', { slug, name: 'x' }, headers)),
    );
    expect(replies.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 422]);
    const counts = await Promise.all(slugs.map(orgsNamed));
    expect(counts.map((rows) => rows.length).toSorted((a, b) => a - b)).toEqual([0, 1]);
  });

  it('takes the key afresh for another slug once housekeeping has forgotten it', async () => {
    const headers = idempotent();
    const first = await root.post('/orgs', { slug: newSlug(), name: 'x' }, headers);
    await server.sql('DELETE FROM idempotency WHERE org_id = $1', [first.body.org.id]);
    const next = await root.post('/orgs', { slug: newSlug(), name: 'x' }, headers);
    expect(next.status).toBe(201);
    expect(next.body.org.id).not.toBe(first.body.org.id);
  });

  it('keeps the secret nowhere in the database in a form that could be read', async () => {
    const headers = idempotent();
    const body = { slug: newSlug(), name: 'Acme' };
    const { apiKey } = (await root.post('/orgs', body, headers)).body;
    const [kept] = await server.sql('SELECT response, sealed FROM idempotency WHERE key = $1', [
      headers['idempotency-key'],
    ]);
    expect(kept!['response']).toBeNull();
    expect(kept!['sealed'].length).toBeGreaterThan(apiKey.secret.length);
    const dump = await wholeDatabase(server);
    expect(dump).toContain(body.slug);
    for (const form of [...writtenForms(apiKey.secret), ...writtenForms(ROOT_KEY)]) expect(dump).not.toContain(form);
  });
});

describe('settings', () => {
  it('change one by one, each with an event, and refuse what is out of range', async () => {
    const org = await server.newOrg();
    expect((await org.admin.patch('/org/settings', { stallSeconds: 60 })).body).toEqual({
      hooksFailOpen: false,
      lockDelaySeconds: 15,
      stallSeconds: 60,
      holdSeconds: 20,
    });
    await org.admin.patch('/org/settings', { hooksFailOpen: true });
    for (const wrong of [{ stallSeconds: 9 }, { lockDelaySeconds: 1.5 }, { holdSeconds: '5' }, { colour: 'red' }]) {
      expect(await org.admin.patch('/org/settings', wrong)).toMatchObject({
        status: 422,
        body: { code: 'invalid_request' },
      });
    }
    expect((await org.admin.get('/org')).body.settings).toMatchObject({ stallSeconds: 60, hooksFailOpen: true });
    expect((await org.events()).filter(({ kind }) => kind === 'org.settings_changed')).toHaveLength(2);
  });

  it('keep both of two changes that are made at once', async () => {
    const org = await server.newOrg();
    const other = second.caller(org.admin.secret);
    await Promise.all([
      org.admin.patch('/org/settings', { stallSeconds: 61 }),
      other.patch('/org/settings', { holdSeconds: 7 }),
      org.admin.patch('/org/settings', { lockDelaySeconds: 3 }),
    ]);
    expect((await other.get('/org')).body.settings).toMatchObject({
      stallSeconds: 61,
      holdSeconds: 7,
      lockDelaySeconds: 3,
    });
  });
});
