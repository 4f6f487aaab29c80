import type { Hints } from '../hot-keys.ts';
import { LIMITS } from '../limits.ts';
import { DetailText, finishDetails, type Items, type Resource, type SpanItem } from './items.ts';
import { BYTES, FIXED32, FIXED64, ProtoReader, type Slice, VARINT } from './proto-reader.ts';
import { countOf, readSections, type Section } from './proto-sections.ts';
import { readAttribute } from './proto-values.ts';
import { AttributeText, Room } from './value-text.ts';

/** The spans of an ExportTraceServiceRequest. @throws Malformed, TooMuch; Malformed also while they are iterated */
export function readProtoSpans(body: Buffer): Items<SpanItem> {
  const sections = readSections(body);
  const count = countOf(sections);
  return { count, [Symbol.iterator]: () => spansOf(body, sections) };
}

function* spansOf(body: Buffer, sections: readonly Section[]): Generator<SpanItem> {
  const reader = new ProtoReader(body);
  for (const section of sections) for (const slice of section.items) yield readSpan(reader, slice, section);
}

/** The parts of a span that become its details. */
interface Parts {
  readonly events: string[];
  readonly links: string[];
  readonly dropped: { attributes: number; events: number; links: number };
  traceState: string;
  statusMessage: string;
  flags: number;
}

function readSpan(reader: ProtoReader, slice: Slice, { resource, scope }: Section): SpanItem {
  const room = new Room();
  const attributes = new AttributeText(room);
  const span = emptySpan(resource, attributes.hints);
  const parts: Parts = {
    events: [],
    links: [],
    dropped: { attributes: 0, events: 0, links: 0 },
    traceState: '',
    statusMessage: '',
    flags: 0,
  };
  reader.seek(slice);
  while (reader.next()) {
    if (reader.is(9, BYTES)) readAttribute(reader, attributes, room);
    else if (!readColumn(reader, span, room)) readPart(reader, span, parts, room);
  }
  span.attributes = attributes.toString();
  const details = new DetailText()
    .text('traceState', parts.traceState)
    .text('statusMessage', parts.statusMessage)
    .number('flags', parts.flags)
    .add('scope', scope)
    .list('events', parts.events)
    .list('links', parts.links);
  span.details = finishDetails(details, parts.dropped, room);
  return span;
}

function emptySpan(resource: Resource, hints: Hints): SpanItem {
  return {
    resource,
    hints,
    traceId: '',
    spanId: '',
    parentSpanId: '',
    name: '',
    kind: 0,
    status: 0,
    startNanos: 0n,
    endNanos: 0n,
    attributes: '{}',
    details: '{}',
  };
}

/** Reads the current field if it is one that has a column. */
function readColumn(reader: ProtoReader, span: SpanItem, room: Room): boolean {
  if (reader.is(1, BYTES)) span.traceId = reader.hex();
  else if (reader.is(2, BYTES)) span.spanId = reader.hex();
  else if (reader.is(4, BYTES)) span.parentSpanId = reader.hex();
  else if (reader.is(5, BYTES)) span.name = room.clean(reader.string(), LIMITS.name);
  else if (reader.is(6, VARINT)) span.kind = reader.uint32();
  else if (reader.is(7, FIXED64)) span.startNanos = reader.fixed64();
  else if (reader.is(8, FIXED64)) span.endNanos = reader.fixed64();
  else return false;
  return true;
}

function readPart(reader: ProtoReader, span: SpanItem, parts: Parts, room: Room): void {
  if (reader.is(3, BYTES)) parts.traceState = room.clean(reader.string(), LIMITS.name);
  else if (reader.is(10, VARINT)) parts.dropped.attributes = reader.uint32();
  else if (reader.is(11, BYTES)) readEvent(reader, parts.events, room);
  else if (reader.is(12, VARINT)) parts.dropped.events = reader.uint32();
  else if (reader.is(13, BYTES)) readLink(reader, parts.links, room);
  else if (reader.is(14, VARINT)) parts.dropped.links = reader.uint32();
  else if (reader.is(15, BYTES)) readStatus(reader, span, parts, room);
  else if (reader.is(16, FIXED32)) parts.flags = reader.fixed32();
  else reader.skip();
}

function readStatus(reader: ProtoReader, span: SpanItem, parts: Parts, room: Room): void {
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.is(2, BYTES)) parts.statusMessage = room.clean(reader.string(), LIMITS.value);
    else if (reader.is(3, VARINT)) span.status = reader.uint32();
    else reader.skip();
  }
  reader.leave(outer);
}

function readEvent(reader: ProtoReader, events: string[], room: Room): void {
  if (events.length >= LIMITS.events || room.left <= 0) {
    room.cut.events += 1;
    return reader.skip();
  }
  const attributes = new AttributeText(room);
  let nanos = 0n;
  let name = '';
  let dropped = 0;
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.is(1, FIXED64)) nanos = reader.fixed64();
    else if (reader.is(2, BYTES)) name = room.clean(reader.string(), LIMITS.name);
    else if (reader.is(3, BYTES)) readAttribute(reader, attributes, room);
    else if (reader.is(4, VARINT)) dropped = reader.uint32();
    else reader.skip();
  }
  reader.leave(outer);
  events.push(eventText({ nanos, name, attributes: attributes.toString(), dropped }, room));
}

export function eventText(
  event: { readonly nanos: bigint; readonly name: string; readonly attributes: string; readonly dropped: number },
  room: Room,
): string {
  const head = `{"timeUnixNano":"${event.nanos}","name":${JSON.stringify(event.name)},"attributes":`;
  room.left -= head.length;
  return `${head}${event.attributes}${event.dropped === 0 ? '' : `,"droppedAttributesCount":${event.dropped}`}}`;
}

function readLink(reader: ProtoReader, links: string[], room: Room): void {
  if (links.length >= LIMITS.links || room.left <= 0) {
    room.cut.links += 1;
    return reader.skip();
  }
  const attributes = new AttributeText(room);
  const link = { traceId: '', spanId: '', traceState: '' };
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.is(1, BYTES)) link.traceId = reader.hex();
    else if (reader.is(2, BYTES)) link.spanId = reader.hex();
    else if (reader.is(3, BYTES)) link.traceState = room.clean(reader.string(), LIMITS.name);
    else if (reader.is(4, BYTES)) readAttribute(reader, attributes, room);
    else reader.skip();
  }
  reader.leave(outer);
  links.push(linkText(link, attributes.toString(), room));
}

export function linkText(
  { traceId, spanId, traceState }: { readonly traceId: string; readonly spanId: string; readonly traceState: string },
  attributes: string,
  room: Room,
): string {
  const head = JSON.stringify({ traceId, spanId }).slice(0, -1);
  const state = traceState === '' ? '' : `,"traceState":${JSON.stringify(traceState)}`;
  room.left -= head.length + state.length;
  return `${head}${state},"attributes":${attributes}}`;
}
