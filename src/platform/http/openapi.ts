import { STATUS_CODES } from 'node:http';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { IDEMPOTENCY_KEY } from './request.ts';

type DocumentInput = Parameters<typeof jsonSchemaTransformObject>[0];
type Json = { [key: string]: unknown };
type Whole = ReturnType<typeof jsonSchemaTransformObject> & { components: { schemas?: Json }; paths: Json };

const REFERENCE = '#/components/schemas/';
/** Their format says as much as the pattern, which is a line of hundreds of characters. */
const FORMATS_WITHOUT_PATTERN: ReadonlySet<unknown> = new Set(['date-time', 'uuid', 'email']);

/** What the document says of one operation: its schemas, and the header that its route's config says it takes. */
export function openapiOperation(
  input: Parameters<typeof jsonSchemaTransform>[0],
): ReturnType<typeof jsonSchemaTransform> {
  const { schema, url } = jsonSchemaTransform(input);
  if (input.route.config?.idempotent === undefined) return { schema, url };
  const headers = { type: 'object', properties: { [IDEMPOTENCY_KEY.name]: IDEMPOTENCY_KEY.schema } };
  return { schema: { ...schema, headers }, url };
}

/**
 * The OpenAPI document as people read it: without the noise that comes of generating it, and without the schemas that
 * nothing refers to (each named one is generated for both directions, most are used in one).
 */
export function openapiDocument(document: DocumentInput): ReturnType<typeof jsonSchemaTransformObject> {
  const whole = jsonSchemaTransformObject(document) as Whole;
  tidy(whole);
  const { schemas = {} } = whole.components;
  const used = reachable(schemas, whole.paths);
  const kept = Object.entries(schemas).filter(([name]) => used.has(name));
  return { ...whole, components: { ...whole.components, schemas: Object.fromEntries(kept) } } as typeof whole;
}

function tidy(node: unknown): void {
  if (node === null || typeof node !== 'object') return;
  const fields = node as Json;
  if (FORMATS_WITHOUT_PATTERN.has(fields['format'])) delete fields['pattern'];
  if (fields['minimum'] === Number.MIN_SAFE_INTEGER) delete fields['minimum'];
  if (fields['maximum'] === Number.MAX_SAFE_INTEGER) delete fields['maximum'];
  for (const [key, value] of Object.entries(fields)) {
    if (key === 'responses') nameStatuses(value as Json);
    tidy(value);
  }
}

function nameStatuses(responses: Json): void {
  for (const [status, response] of Object.entries(responses)) {
    const described = response as Json;
    if (described['description'] === 'Default Response') described['description'] = STATUS_CODES[status] ?? status;
  }
}

/** Names of the schemas that `start` refers to, also by way of others. */
function reachable(schemas: Json, start: unknown): Set<string> {
  const found = new Set<string>();
  const visit = (node: unknown): void => {
    if (node === null || typeof node !== 'object') return;
    for (const [key, value] of Object.entries(node)) {
      const name = key === '$ref' && typeof value === 'string' ? value.slice(REFERENCE.length) : undefined;
      if (name === undefined) visit(value);
      else if (!found.has(name)) {
        found.add(name);
        visit(schemas[name]);
      }
    }
  };
  visit(start);
  return found;
}
