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
