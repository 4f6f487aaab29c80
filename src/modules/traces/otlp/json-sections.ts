import { LIMITS } from '../limits.ts';
import { countWithin, type Resource, scopeText } from './items.ts';
import { fieldsIn, listIn, textIn } from './json-fields.ts';
import { readAttributes, readResource } from './json-values.ts';
import { Room } from './value-text.ts';

/** How one signal names the frame that all signals share. */
export interface FrameNames {
  readonly resources: string;
  readonly scopes: string;
  readonly items: string;
}

export const FRAMES = {
  traces: { resources: 'resourceSpans', scopes: 'scopeSpans', items: 'spans' },
  logs: { resources: 'resourceLogs', scopes: 'scopeLogs', items: 'logRecords' },
  metrics: { resources: 'resourceMetrics', scopes: 'scopeMetrics', items: 'metrics' },
} as const satisfies Record<string, FrameNames>;

/** The items of one scope of one resource. */
export interface JsonSection {
  readonly resource: Resource;
  readonly scope: string | null;
  readonly items: readonly unknown[];
}

/** @throws Malformed, TooMuch */
export function readJsonSections(request: unknown, names: FrameNames): JsonSection[] {
  const groups = itemGroups(request, names);
  countWithin(groups.reduce((sum, { items }) => sum + items.length, 0));
  const resources = new Map<unknown, Resource>();
  return groups.map(({ resource: raw, group, items }) => {
    const resource = resources.get(raw) ?? readResource(raw);
    resources.set(raw, resource);
    return { resource, scope: readScope(fieldsIn(group, names.scopes)), items };
  });
}

/** The lists of items in a request, each with what it stands in. @throws Malformed */
export function itemGroups(
  request: unknown,
  names: FrameNames,
): { readonly resource: unknown; readonly group: unknown; readonly items: readonly unknown[] }[] {
  const parts = listIn(fieldsIn(request, 'the request')[names.resources], names.resources);
  return parts.flatMap((part) => {
    const fields = fieldsIn(part, `an element of ${names.resources}`);
    return listIn(fields[names.scopes], names.scopes).map((group) => ({
      resource: fields['resource'],
      group,
      items: listIn(fieldsIn(group, `an element of ${names.scopes}`)[names.items], names.items),
    }));
  });
}

function readScope(group: Readonly<Record<string, unknown>>): string | null {
  const room = new Room(LIMITS.shared);
  const scope = fieldsIn(group['scope'], 'scope');
  return scopeText({
    name: room.clean(textIn(scope['name'], 'scope.name'), LIMITS.name),
    version: room.clean(textIn(scope['version'], 'scope.version'), LIMITS.name),
    attributes: readAttributes(scope['attributes'], room).toString(),
    schemaUrl: room.clean(textIn(group['schemaUrl'], 'schemaUrl'), LIMITS.name),
  });
}
