import type { Hints } from '../hot-keys.ts';
import { LIMITS } from '../limits.ts';
import { tooMany } from './malformed.ts';
import type { Room } from './value-text.ts';

/** A resource, told once for all of its spans or log records. */
export interface Resource {
  /** JSON text. */
  readonly attributes: string;
  readonly hints: Hints;
}

/** A span as it was sent, before anybody has judged it. */
export interface SpanItem {
  readonly resource: Resource;
  /** Lower-case hex, of whatever length it came in. */
  traceId: string;
  spanId: string;
  parentSpanId: string;
  name: string;
  kind: number;
  status: number;
  startNanos: bigint;
  endNanos: bigint;
  /** JSON text. */
  attributes: string;
  readonly hints: Hints;
  /** JSON text of all that has no column: events, links, scope, trace state, what was dropped and cut. */
  details: string;
}

export interface LogItem {
  readonly resource: Resource;
  traceId: string;
  spanId: string;
  timeNanos: bigint;
  observedNanos: bigint;
  severity: number;
  severityText: string;
  eventName: string;
  /** JSON text. */
  body: string;
  attributes: string;
  readonly hints: Hints;
  details: string;
}

/** The items of a request: counted at once, decoded one by one as they are asked for. */
export interface Items<I> extends Iterable<I> {
  readonly count: number;
}

/** The JSON text of an object, of the members that are there. */
export class DetailText {
  #text = '';

  /** @param json null or `''`: there is no such member */
  add(name: string, json: string | null): this {
    if (json !== null && json !== '') this.#text += `${this.#text === '' ? '' : ','}"${name}":${json}`;
    return this;
  }

  text(name: string, value: string): this {
    return value === '' ? this : this.add(name, JSON.stringify(value));
  }

  list(name: string, jsons: readonly string[]): this {
    return jsons.length === 0 ? this : this.add(name, `[${jsons.join(',')}]`);
  }

  number(name: string, value: number): this {
    return value === 0 ? this : this.add(name, String(value));
  }

  toString(): string {
    return `{${this.#text}}`;
  }
}

/** What the client says it dropped itself, and what we cut, are kept apart. */
export interface Dropped {
  attributes: number;
  events: number;
  links: number;
}

function droppedText({ attributes, events, links }: Dropped): string | null {
  return attributes + events + links === 0 ? null : JSON.stringify({ attributes, events, links });
}

export function finishDetails(details: DetailText, dropped: Dropped, room: Room): string {
  return details.add('dropped', droppedText(dropped)).add('truncated', room.cutText()).toString();
}

/** JSON text of a scope; null for one that says nothing. */
export function scopeText(scope: {
  readonly name: string;
  readonly version: string;
  readonly attributes: string;
  readonly schemaUrl: string;
}): string | null {
  const details = new DetailText().text('name', scope.name).text('version', scope.version);
  if (scope.attributes !== '{}') details.add('attributes', scope.attributes);
  const text = details.text('schemaUrl', scope.schemaUrl).toString();
  return text === '{}' ? null : text;
}

/** @throws TooMuch unless `count` is within what one request may hold */
export function countWithin(count: number): number {
  if (count > LIMITS.items) throw tooMany(`${count} spans or log records, over the limit of ${LIMITS.items}`);
  return count;
}
