import { randomUUID } from 'node:crypto';
import type { App } from '../../../src/platform/http/server.ts';

export interface Schema {
  readonly type?: string;
  readonly format?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly $ref?: string;
}

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly schema: Schema;
}

/** One operation of the OpenAPI document, as the server's routes make it. */
export interface Operation {
  readonly id: string;
  readonly method: string;
  /** From the root on, with `{name}` for each parameter. */
  readonly path: string;
  readonly access: 'key' | 'root' | 'public';
  readonly parameters: readonly Parameter[];
  readonly body: Schema | null;
  readonly success: Schema | null;
}

interface Content {
  readonly content?: Readonly<Record<string, { readonly schema?: Schema }>>;
}
interface RawOperation {
  readonly operationId: string;
  readonly security?: readonly Readonly<Record<string, unknown>>[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: Content;
  readonly responses: Readonly<Record<string, Content>>;
}

/** Every operation of the document that this very server would show, in the order of their ids. */
export function operationsOf(app: App): Operation[] {
  const { paths } = JSON.parse(JSON.stringify(app.swagger())) as {
    paths: Record<string, Record<string, RawOperation>>;
  };
  const all = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, raw]) => toOperation(method.toUpperCase(), path, raw)),
  );
  return all.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

function toOperation(method: string, path: string, raw: RawOperation): Operation {
  const success = Object.entries(raw.responses).find(([status]) => status.startsWith('2'))?.[1];
  const access = raw.security === undefined ? 'key' : raw.security.length === 0 ? 'public' : 'root';
  return {
    id: raw.operationId,
    method,
    path,
    access,
    parameters: raw.parameters ?? [],
    body: schemaOf(raw.requestBody),
    success: schemaOf(success),
  };
}

function schemaOf(content: Content | undefined): Schema | null {
  return Object.values(content?.content ?? {})[0]?.schema ?? null;
}

/** The path with something in the place of every parameter that names nothing. */
export function pathToNothing(operation: Pick<Operation, 'path' | 'parameters'>): string {
  return operation.path.replaceAll(/\{(\w+)\}/g, (_all, name: string) => {
    const schema = operation.parameters.find((parameter) => parameter.in === 'path' && parameter.name === name)?.schema;
    if (schema?.format === 'uuid') return randomUUID();
    return schema?.type === 'string' ? 'nothing' : '1';
  });
}

/** Every route that the server registered, those that the document hides included: `METHOD /path/:param`. */
export function routesOf(app: App): string[] {
  const above: string[] = [];
  const routes: string[] = [];
  for (const line of app.printRoutes({ commonPrefix: false }).split('\n')) {
    const match = /^([│├└─ ]*)(\S+)(?: \(([A-Z, ]+)\))?$/.exec(line);
    if (match === null) continue;
    const depth = match[1]!.length / 4 - 1;
    above.length = depth;
    above.push(match[2]!);
    for (const method of match[3]?.split(', ') ?? []) routes.push(`${method} ${above.join('')}`);
  }
  return routes.toSorted();
}
