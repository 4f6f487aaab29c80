import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { newRunner } from '../leases/support.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(() => server?.close());

describe('what the hot operations answer', () => {
  it('is what their schemas say, though it is written without them', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const { lease } = (await ann.acquire({ paths: ['a'], purpose: 'p' })).body;
    const answers = {
      '/admissions': [
        await ann.admit({ paths: ['b'] }),
        await bob.admit({ paths: ['a', 'c'] }),
        await ann.admit({ action: 'deploy' }),
      ],
      '/decisions': [await ann.caller.post('/decisions', { action: 'budget.spend', subject: { usd: 3 } })],
      '/leases': [await ann.acquire({ patterns: ['d/**'] })],
      '/leases/{id}/renew': [await ann.caller.post(`/leases/${lease.id}/renew`, { fence: lease.fence })],
      '/leases/{id}/release': [await ann.caller.post(`/leases/${lease.id}/release`, { fence: lease.fence })],
    };
    const document = (await org.admin.get('//docs/json')).body;
    for (const [path, replies] of Object.entries(answers)) {
      for (const { status, body } of replies) {
        const { schema } = document.paths[`/api/v1${path}`].post.responses[status].content['application/json'];
        expect(mismatches(schema, body, document.components.schemas), path).toEqual([]);
      }
    }
  });
});

type Schema = {
  $ref?: string;
  type?: string | string[];
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  anyOf?: Schema[];
  enum?: unknown[];
  additionalProperties?: unknown;
};

/** Where a value is not what a JSON Schema (the part of it that our documents use) says: wrong type, missing or unknown member. */
function mismatches(schema: Schema, value: unknown, named: Record<string, Schema>, at = '$'): string[] {
  if (schema.$ref !== undefined) return mismatches(named[schema.$ref.split('/').at(-1)!]!, value, named, at);
  if (schema.anyOf !== undefined)
    return schema.anyOf.some((one) => mismatches(one, value, named, at).length === 0)
      ? []
      : [`${at}: none of ${schema.anyOf.length}`];
  if (schema.enum !== undefined) return schema.enum.includes(value) ? [] : [`${at}: ${String(value)}`];
  const is =
    value === null ? 'null' : Array.isArray(value) ? 'array' : Number.isInteger(value) ? 'integer' : typeof value;
  const types = schema.type === undefined ? [] : [schema.type].flat();
  const fits = types.length === 0 || types.includes(is) || (types.includes('number') && is === 'integer');
  if (!fits) return [`${at}: ${is} is not ${types.join(' or ')}`];
  if (is === 'array')
    return (value as unknown[]).flatMap((item, index) =>
      mismatches(schema.items ?? {}, item, named, `${at}[${index}]`),
    );
  if (is !== 'object' || schema.properties === undefined) return [];
  const members = value as Record<string, unknown>;
  const missing = (schema.required ?? []).filter((name) => !(name in members)).map((name) => `${at}.${name}: missing`);
  const unknown = Object.keys(members)
    .filter((name) => !(name in schema.properties!))
    .map((name) => `${at}.${name}: not in the schema`);
  const inner = Object.entries(schema.properties).flatMap(([name, property]) =>
    name in members ? mismatches(property, members[name], named, `${at}.${name}`) : [],
  );
  return [...missing, ...unknown, ...inner];
}
