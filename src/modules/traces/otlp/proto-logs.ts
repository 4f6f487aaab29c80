import { LIMITS } from '../limits.ts';
import { DetailText, finishDetails, type Items, type LogItem } from './items.ts';
import { BYTES, FIXED32, FIXED64, ProtoReader, type Slice, VARINT } from './proto-reader.ts';
import { countOf, readSections, type Section } from './proto-sections.ts';
import { readAttribute, readValue } from './proto-values.ts';
import { AttributeText, Room } from './value-text.ts';

/** The log records of an ExportLogsServiceRequest. @throws Malformed, TooMuch; Malformed also while they are iterated */
export function readProtoLogs(body: Buffer): Items<LogItem> {
  const sections = readSections(body);
  const count = countOf(sections);
  return { count, [Symbol.iterator]: () => recordsOf(body, sections) };
}

function* recordsOf(body: Buffer, sections: readonly Section[]): Generator<LogItem> {
  const reader = new ProtoReader(body);
  for (const section of sections) for (const slice of section.items) yield readRecord(reader, slice, section);
}

const EMPTY_LOG = {
  traceId: '',
  spanId: '',
  timeNanos: 0n,
  observedNanos: 0n,
  severity: 0,
  severityText: '',
  eventName: '',
  body: 'null',
  attributes: '{}',
  details: '{}',
};

function readRecord(reader: ProtoReader, slice: Slice, { resource, scope }: Section): LogItem {
  const room = new Room();
  const attributes = new AttributeText(room);
  const record: LogItem = { ...EMPTY_LOG, resource, hints: attributes.hints };
  const rest = { dropped: 0, flags: 0 };
  reader.seek(slice);
  while (reader.next()) {
    if (reader.is(6, BYTES)) readAttribute(reader, attributes, room);
    else if (!readColumn(reader, record, room)) readRest(reader, rest);
  }
  record.attributes = attributes.toString();
  const details = new DetailText().number('flags', rest.flags).add('scope', scope);
  record.details = finishDetails(details, { attributes: rest.dropped, events: 0, links: 0 }, room);
  return record;
}

function readColumn(reader: ProtoReader, record: LogItem, room: Room): boolean {
  if (reader.is(1, FIXED64)) record.timeNanos = reader.fixed64();
  else if (reader.is(2, VARINT)) record.severity = reader.uint32();
  else if (reader.is(3, BYTES)) record.severityText = room.clean(reader.string(), LIMITS.name);
  else if (reader.is(5, BYTES)) record.body = readValue(reader, room, 0);
  else if (reader.is(9, BYTES)) record.traceId = reader.hex();
  else if (reader.is(10, BYTES)) record.spanId = reader.hex();
  else if (reader.is(11, FIXED64)) record.observedNanos = reader.fixed64();
  else if (reader.is(12, BYTES)) record.eventName = room.clean(reader.string(), LIMITS.name);
  else return false;
  return true;
}

function readRest(reader: ProtoReader, rest: { dropped: number; flags: number }): void {
  if (reader.is(7, VARINT)) rest.dropped = reader.uint32();
  else if (reader.is(8, FIXED32)) rest.flags = reader.fixed32();
  else reader.skip();
}
