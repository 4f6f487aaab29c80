import { beforeAll, describe, expect, it } from 'vitest';
import { openapiDocument } from '../scripts/generate/openapi.ts';

interface Operation {
  readonly operationId?: string;
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly security?: readonly unknown[];
  readonly responses?: Readonly<Record<string, { description?: string; content?: Record<string, unknown> }>>;
}
interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
}

/** What DESIGN.md's contract names and stands; `METHOD path`, below /api/v1 unless it begins with `//`. */
const CONTRACT = [
  'POST /orgs',
  'GET /org',
  'PATCH /org/settings',
  'POST /members',
  'GET /members',
  'POST /teams',
  'GET /teams',
  'POST /api-keys',
  'GET /api-keys',
  'DELETE /api-keys/{id}',
  'GET /repos',
  'PATCH /repos/{id}',
  'POST /loops',
  'GET /loops',
  'POST /loops/{id}/runs',
  'POST /runs/{id}/heartbeat',
  'POST /runs/{id}/finish',
  'POST /leases',
  'GET /leases',
  'POST /leases/{id}/renew',
  'POST /leases/{id}/release',
  'POST /leases/{id}/revoke',
  'POST /leases/verify',
  'GET /lease-tickets/{id}',
  'DELETE /lease-tickets/{id}',
  'POST /decisions',
  'POST /admissions',
  'GET /approvals',
  'GET /approvals/{id}',
  'POST /approvals/{id}/votes',
  'PUT /policies/{name}/draft',
  'POST /policies/{name}/publish',
  'POST /policies/{name}/rollback',
  'GET /policies/{name}/versions',
  'POST /halts',
  'DELETE /halts/{id}',
  'GET /events',
  'POST /changes',
  'GET /changes',
  'GET /context',
  'POST /deploys',
  'POST /incidents',
  'GET /incidents/{id}/suspects',
  'GET /traces',
  'GET /traces/{traceId}',
  'POST //v1/traces',
  'POST //v1/logs',
  'POST //v1/metrics',
  'GET //healthz',
  'GET //readyz',
];

let document: Document;
let operations: (readonly [string, Operation])[];

beforeAll(async () => {
  // As a client gets it.
  document = JSON.parse(JSON.stringify(await openapiDocument())) as Document;
  operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const),
  );
});

/** The operations for which `isWrong`, so that a failure names them. */
const those = (isWrong: (operation: Operation) => boolean) =>
  operations.filter(([, operation]) => isWrong(operation)).map(([name]) => name);

describe('the OpenAPI document', () => {
  it('has what the contract names', () => {
    const named = CONTRACT.map((line) => line.replace(' /', ' /api/v1/').replace('/api/v1//', '/'));
    const present = new Set(operations.map(([name]) => name));
    expect(named.filter((name) => !present.has(name))).toEqual([]);
  });

  it('gives every operation an id of its own, a summary and one tag', () => {
    expect(those(({ operationId }) => !/^[a-z][A-Za-z]+$/.test(operationId ?? ''))).toEqual([]);
    const ids = operations.map(([, { operationId }]) => operationId);
    expect(ids.filter((id, index) => ids.indexOf(id) !== index)).toEqual([]);
    expect(those(({ summary }) => !/^[A-Z\d].*[^.]$/.test(summary ?? ''))).toEqual([]);
    expect(those(({ tags }) => tags?.length !== 1)).toEqual([]);
  });

  it('tells of success with a schema, and of problems', () => {
    const hasBody = (content: Record<string, unknown> | undefined) => Object.keys(content ?? {}).length > 0;
    const successes = ({ responses }: Operation) =>
      Object.entries(responses ?? {}).filter(([status]) => /^2\d\d$/.test(status));
    expect(those((one) => successes(one).length === 0)).toEqual([]);
    expect(
      those((one) => successes(one).some(([status, { content }]) => status !== '204' && !hasBody(content))),
    ).toEqual([]);
    expect(those((one) => one.responses?.['default']?.content?.['application/problem+json'] === undefined)).toEqual([]);
    expect(those((one) => Object.values(one.responses ?? {}).some(({ description }) => !description))).toEqual([]);
  });

  it('refers to schemas that are there, and has no others', () => {
    const text = JSON.stringify(document);
    const referred = new Set([...text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(([, name]) => name!));
    const defined = new Set(Object.keys(document.components.schemas));
    expect([...referred].filter((name) => !defined.has(name))).toEqual([]);
    expect([...defined].filter((name) => !referred.has(name))).toEqual([]);
  });

  it('asks for no key where none is needed, and for one everywhere else', () => {
    const open = operations.filter(([, one]) => one.security?.length === 0);
    expect(open.map(([name]) => name).toSorted()).toEqual(['GET /healthz', 'GET /readyz']);
  });
});
