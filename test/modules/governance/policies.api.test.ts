import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../support/server.ts';

const YAML = { 'content-type': 'application/yaml' };

const nightly = `name: house
defaults: { deploy: allow }
rules:
  - id: no-deploys
    effect: deny
    actions: [deploy]
    where: { environment: production }
    reason: Nobody is awake.
`;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

describe('a draft', () => {
  it('is kept as it was sent, and nothing is in force yet', async () => {
    const { admin } = await server.newOrg();
    const saved = await admin.put('/policies/house/draft', nightly, YAML);
    expect(saved.status).toBe(200);
    expect(saved.body).toMatchObject({
      name: 'house',
      publishedVersion: null,
      published: null,
      draft: { format: 'yaml', source: nightly },
      warnings: [],
    });
    expect((await admin.get('/policies/house')).body.draft.source).toBe(nightly);
  });
});

const other = nightly.replace('Nobody is awake.', 'Wait for the morning.');

describe('what a draft may not be', () => {
  it('is refused with line, column, path and reason of each mistake, and changes nothing', async () => {
    const { admin } = await server.newOrg();
    await admin.put('/policies/house/draft', nightly, YAML);
    const bad = nightly.replace('deny', 'deni').replace('[deploy]', '[deplyo]');
    const reply = await admin.put('/policies/house/draft', bad, YAML);
    expect([reply.status, reply.body.code]).toEqual([422, 'policy_invalid']);
    expect(reply.body.errors).toEqual([
      { line: 5, column: 13, path: 'rules[0].effect', reason: expect.stringContaining('deny') },
      { line: 6, column: 15, path: 'rules[0].actions[0]', reason: expect.stringContaining('deploy') },
    ]);
    expect((await admin.get('/policies/house')).body.draft.source).toBe(nightly);
  });

  it('names no other policy than the path', async () => {
    const { admin } = await server.newOrg();
    const reply = await admin.put('/policies/office/draft', `# a comment\n${nightly}`, YAML);
    expect(reply.body.errors).toMatchObject([{ line: 2, column: 7, path: 'name' }]);
    expect((await admin.get('/policies/office')).status).toBe(404);
    expect((await admin.put('/policies/no%20name/draft', nightly, YAML)).status).toBe(422);
  });

  it.each([
    ['no YAML', 'rules: [', 1],
    ['no JSON', '{"rules": [}', 1],
    ['a text', 'hello', 1],
    ['nothing', '', null],
  ])('is %s', async (_, text, line) => {
    const { admin } = await server.newOrg();
    const headers = text.startsWith('{') ? {} : YAML;
    const reply = await admin.put('/policies/house/draft', text === '' ? ' ' : text, headers);
    expect([reply.status, reply.body.code]).toEqual([422, 'policy_invalid']);
    if (line !== null) expect(reply.body.errors[0].line).toBe(line);
  });

  it('holds nothing that the database cannot, escaped or not', async () => {
    const { admin } = await server.newOrg();
    const escaped = nightly.replace('Nobody is awake.', '"nobody \\0 awake"');
    const reply = await admin.put('/policies/house/draft', escaped, YAML);
    expect(reply.body.errors).toMatchObject([{ line: 8, path: 'rules[0].reason' }]);
    expect((await admin.put('/policies/house/draft', '{"description": "\\ud800"}')).status).toBe(422);
    expect((await admin.put('/policies/house/draft', 'description: "a\0b"', YAML)).status).toBe(422);
  });

  it('is for admins', async () => {
    const org = await server.newOrg();
    for (const role of ['member', 'loop', 'sre', 'viewer'] as const) {
      const caller = await org.key(role);
      for (const reply of [
        await caller.put('/policies/house/draft', nightly, YAML),
        await caller.post('/policies/house/publish'),
        await caller.post('/policies/house/rollback', { toVersion: 1 }),
      ])
        expect(reply.status).toBe(403);
      expect((await caller.get('/policies')).status).toBe(role === 'loop' ? 403 : 200);
    }
  });
});

describe('a document without a name', () => {
  it.each([
    ['YAML', nightly.replace('name: house\n', '# first a comment\n'), YAML],
    ['indented YAML', nightly.replace('name: house\n', '').replace(/^/gm, '  ').trimEnd(), YAML],
    ['YAML after ---', nightly.replace('name: house\n', '---\n'), YAML],
    ['JSON', JSON.stringify({ defaults: { deploy: 'allow' } }, null, 2), {}],
    ['an empty JSON map', '{}', {}],
  ])('takes that of the path: %s', async (_, text, headers) => {
    const { admin } = await server.newOrg();
    const saved = await admin.put('/policies/house/draft', text, headers);
    expect([saved.status, saved.body.draft?.source]).toEqual([200, text]);
    const published = await admin.post('/policies/house/publish');
    expect(published.body).toMatchObject({ version: 1, source: text, document: { name: 'house' } });
  });

  it.each([
    ['YAML', '# one\ndefaults: { deploy: allow }\nrules: 3\n', YAML, [3, 8]],
    ['the same line', 'defaults: { deploy: maybe }\n', YAML, [1, 21]],
    ['JSON', '{"defaults": {"deploy": "maybe"}}', {}, [1, 25]],
    ['JSON over lines', '{\n  "defaults": {},\n  "rules": 3\n}', {}, [3, 12]],
  ])('has its mistakes told where they stand in the text sent: %s', async (_, text, headers, [line, column]) => {
    const { admin } = await server.newOrg();
    const reply = await admin.put('/policies/house/draft', text, headers);
    expect(reply.body.errors).toMatchObject([{ line, column }]);
  });
});

describe('publishing', () => {
  it('makes versions that stay as they are, and says what is in force', async () => {
    const org = await server.newOrg();
    const { admin } = org;
    await admin.put('/policies/house/draft', nightly, YAML);
    const first = await admin.post('/policies/house/publish', { expectedVersion: 0 });
    expect(first.status).toBe(200);
    expect(first.body).toMatchObject({
      name: 'house',
      version: 1,
      policyVersion: 1,
      rollbackOf: null,
      source: nightly,
    });
    await admin.put('/policies/house/draft', other, YAML);
    expect((await admin.get('/policies/house')).body).toMatchObject({
      draft: { source: other },
      published: { version: 1, source: nightly },
    });
    const second = await admin.post('/policies/house/publish', { expectedVersion: 1 });
    expect(second.body).toMatchObject({ version: 2, policyVersion: 2, source: other });
    const back = await admin.post('/policies/house/rollback', { toVersion: 1, expectedVersion: 2 });
    expect(back.body).toMatchObject({ version: 3, policyVersion: 3, rollbackOf: 1, source: nightly });

    const versions = await admin.get('/policies/house/versions');
    expect(versions.body.items.map((item: { version: number }) => item.version)).toEqual([3, 2, 1]);
    expect((await admin.get('/policies/house/versions/2')).body).toEqual({ ...second.body, warnings: undefined });
    const page = await admin.get('/policies/house/versions?limit=2');
    const rest = await admin.get(`/policies/house/versions?cursor=${page.body.nextCursor}`);
    expect(rest.body.items).toMatchObject([{ version: 1 }]);
    const published = (await org.events()).filter(({ kind }) => kind === 'policy.published');
    expect(published.map(({ data }) => [data['version'], data['policyVersion'], data['rollbackOf']])).toEqual([
      [1, 1, null],
      [2, 2, null],
      [3, 3, 1],
    ]);
    expect((await admin.get('/policies')).body.items).toMatchObject([{ name: 'house', publishedVersion: 3 }]);
  });

  it('decides by what was published, at once', async () => {
    const { admin } = await server.newOrg();
    const subject = { repo: 'acme/shop', service: 'shop', environment: 'production' };
    const decide = async () => (await admin.post('/decisions', { action: 'deploy', subject })).body;
    expect(await decide()).toMatchObject({ outcome: 'allow', ungoverned: true, policyVersion: 0 });
    await admin.put('/policies/house/draft', nightly, YAML);
    expect(await decide()).toMatchObject({ outcome: 'allow', ungoverned: true });
    await admin.post('/policies/house/publish');
    expect(await decide()).toMatchObject({
      outcome: 'deny',
      policyVersion: 1,
      rules: [{ policy: 'house', version: 1, id: 'no-deploys' }],
    });
    await admin.put('/policies/house/draft', '{"defaults": {"deploy": "allow"}}');
    await admin.post('/policies/house/publish');
    expect(await decide()).toMatchObject({ outcome: 'allow', ungoverned: false, policyVersion: 2 });
    await admin.post('/policies/house/rollback', { toVersion: 1 });
    expect(await decide()).toMatchObject({ outcome: 'deny', policyVersion: 3 });
  });

  it('refuses whoever has seen another version, and tells which one is published', async () => {
    const { admin } = await server.newOrg();
    await admin.put('/policies/house/draft', nightly, YAML);
    await admin.post('/policies/house/publish');
    for (const reply of [
      await admin.post('/policies/house/publish', { expectedVersion: 0 }),
      await admin.post('/policies/house/rollback', { toVersion: 1, expectedVersion: 2 }),
    ])
      expect(reply.body).toMatchObject({ status: 409, code: 'version_conflict', currentVersion: 1 });
    expect((await admin.get('/policies/house/versions')).body.items).toHaveLength(1);
  });

  it('has one winner of many at once who saw the same version', async () => {
    const org = await server.newOrg();
    const second = await startTestServer({ database: server.database });
    try {
      await org.admin.put('/policies/house/draft', nightly, YAML);
      const callers = [org.admin, second.caller(org.admin.secret)];
      const replies = await Promise.all(
        Array.from({ length: 12 }, (_, index) =>
          callers[index % 2]!.post('/policies/house/publish', { expectedVersion: 0 }),
        ),
      );
      expect(replies.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
        200,
        ...Array.from({ length: 11 }, () => 409),
      ]);
    } finally {
      await second.close();
    }
  });

  it('gives every publish its own number when different policies are published at once', async () => {
    const { admin } = await server.newOrg();
    const names = Array.from({ length: 8 }, (_, index) => `policy-${index}`);
    await Promise.all(names.map((name) => admin.put(`/policies/${name}/draft`, '{"defaults": {"commit": "allow"}}')));
    const replies = await Promise.all(names.map((name) => admin.post(`/policies/${name}/publish`)));
    const numbers = replies.map(({ body }) => body.policyVersion).toSorted((a, b) => a - b);
    expect(numbers).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('refuses what is not there', async () => {
    const { admin } = await server.newOrg();
    const stranger = (await server.newOrg()).admin;
    await admin.put('/policies/house/draft', nightly, YAML);
    await admin.post('/policies/house/publish');
    for (const reply of [
      await admin.post('/policies/none/publish'),
      await admin.post('/policies/house/rollback', { toVersion: 7 }),
      await admin.get('/policies/house/versions/7'),
      await admin.get('/policies/none/versions'),
      await stranger.get('/policies/house'),
      await stranger.get('/policies/house/versions/1'),
      await stranger.post('/policies/house/publish'),
      await stranger.post('/policies/house/rollback', { toVersion: 1 }),
    ])
      expect([reply.status, reply.body.code]).toEqual([404, 'not_found']);
    expect((await stranger.get('/policies')).body.items).toEqual([]);
  });

  it('replays its answer under an Idempotency-Key', async () => {
    const { admin } = await server.newOrg();
    await admin.put('/policies/house/draft', nightly, YAML);
    const headers = { 'idempotency-key': 'publish-1' };
    const publish = (body: object) => admin.post('/policies/house/publish', body, headers);
    const first = await publish({});
    expect((await publish({})).body).toEqual(first.body);
    expect((await publish({ expectedVersion: 1 })).body.code).toBe('idempotency_mismatch');
    expect((await admin.get('/policies/house/versions')).body.items).toHaveLength(1);
  });

  it('refuses an approver team that the org does not have, where it is named, and warns of one too small', async () => {
    const org = await server.newOrg();
    const { admin } = org;
    const asks = `rules:
  - id: ask
    effect: require_approval
    actions: [deploy]
    approvers: { team: payments, count: 2 }
    reason: Money.
defaults: { deploy: allow }
`;
    const saved = await admin.put('/policies/house/draft', asks, YAML);
    const place = { line: 5, column: 24, path: 'rules[0].approvers.team' };
    expect(saved.body.warnings).toMatchObject([{ ...place, reason: 'no team "payments" in this org' }]);
    const refused = await admin.post('/policies/house/publish');
    expect(refused.body).toMatchObject({ status: 422, code: 'policy_invalid', errors: [place] });
    expect((await admin.get('/policies/house')).body.publishedVersion).toBeNull();

    // Another org's team of that name is none of ours.
    await (await server.newOrg()).team('payments');
    expect((await admin.post('/policies/house/publish')).status).toBe(422);
    await org.team('payments');
    const published = await admin.post('/policies/house/publish');
    expect(published.body).toMatchObject({ version: 1, warnings: [place] });
  });

  it('has a limit on the rules in force, since every server compiles them all', async () => {
    const { admin, id } = await server.newOrg();
    await server.sql(
      `WITH p AS (INSERT INTO policy (org_id, name, published_version, created_at) VALUES ($1, 'large', 1, now()))
       INSERT INTO policy_version (org_id, name, version, source, format, published_at, published_by, org_version, document)
       SELECT $1, 'large', 1, '', 'json', now(), $1, 0, jsonb_build_object('name', 'large', 'defaults', '{"deploy": "allow"}'::jsonb,
         'rules', jsonb_agg(jsonb_build_object('id', 'rule-' || n, 'effect', 'deny', 'mode', 'enforce', 'actions', '["deploy"]'::jsonb)))
       FROM generate_series(1, 4999) AS n`,
      [id],
    );
    await admin.put('/policies/house/draft', nightly, YAML);
    expect((await admin.post('/policies/house/publish')).status).toBe(200);
    await admin.put('/policies/office/draft', nightly.replace('house', 'office'), YAML);
    const refused = await admin.post('/policies/office/publish');
    expect([refused.status, refused.body.code]).toEqual([422, 'too_many_rules']);
    expect((await admin.get('/policies/office')).body.publishedVersion).toBeNull();
  });

  it('leaves nothing behind when its last statement fails', async () => {
    const { admin, id } = await server.newOrg();
    await admin.put('/policies/house/draft', nightly, YAML);
    await server.sql(
      `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'disk full'; END $$`,
    );
    await server.sql(
      `CREATE TRIGGER fail BEFORE UPDATE ON org_head FOR EACH ROW WHEN (OLD.org_id = '${id}') EXECUTE FUNCTION fail()`,
    );
    expect((await admin.post('/policies/house/publish')).status).toBe(500);
    await server.sql('DROP TRIGGER fail ON org_head');
    expect((await admin.get('/policies/house')).body).toMatchObject({ publishedVersion: null, published: null });
    expect((await admin.post('/policies/house/publish')).body).toMatchObject({ version: 1, policyVersion: 1 });
  });
});

describe('a publish and the decisions around it', () => {
  it('lets no decision of any server commit under the old version after it', async () => {
    const org = await server.newOrg();
    const second = await startTestServer({ database: server.database });
    try {
      const callers = [org.admin, second.caller(org.admin.secret)];
      const race = { over: false, latest: 0 };
      const subject = { repo: 'acme/shop', service: 'shop', environment: 'production' };
      const decide = async (caller: (typeof callers)[number]) => {
        let returned = 0;
        while (!race.over) {
          const atLeast = race.latest;
          const { body } = await caller.post('/decisions', { action: 'deploy', subject });
          // Whoever asks after a publish was answered is answered by that version, or a later one.
          expect(body.policyVersion).toBeGreaterThanOrEqual(atLeast);
          returned += 1;
        }
        return returned;
      };
      const deciders = Array.from({ length: 12 }, (_, index) => decide(callers[index % 2]!));
      for (let round = 0; round < 12; round += 1) {
        const caller = callers[round % 2]!;
        await caller.put('/policies/house/draft', round % 2 === 0 ? nightly : other, YAML);
        race.latest = (await caller.post('/policies/house/publish')).body.policyVersion;
        expect(race.latest).toBe(round + 1);
      }
      race.over = true;
      const decided = (await Promise.all(deciders)).reduce((sum, count) => sum + count, 0);

      const events = await server.sql<{ kind: string; version: string }>(
        `SELECT kind, data ->> 'policyVersion' AS version FROM event
         WHERE org_id = $1 AND kind IN ('policy.published', 'decision.recorded') ORDER BY seq`,
        [org.id],
      );
      let inForce = 0;
      const perVersion = new Map<number, number>();
      for (const { kind, version } of events) {
        if (kind === 'policy.published') inForce = Number(version);
        else {
          expect(Number(version)).toBe(inForce);
          perVersion.set(inForce, (perVersion.get(inForce) ?? 0) + 1);
        }
      }
      expect([...perVersion.values()].reduce((sum, count) => sum + count, 0)).toBe(decided);
      // Otherwise nothing was raced.
      expect(perVersion.size).toBeGreaterThan(6);
      const rows = await server.sql<{ wrong: number }>(
        `SELECT count(*)::int AS wrong FROM decision d JOIN event e ON e.org_id = d.org_id AND e.subject ->> 'id' = d.id::text
         WHERE d.org_id = $1 AND d.policy_version <> (e.data ->> 'policyVersion')::bigint`,
        [org.id],
      );
      expect(rows).toEqual([{ wrong: 0 }]);
    } finally {
      await second.close();
    }
  });
});
