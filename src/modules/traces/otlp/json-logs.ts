import { LIMITS } from '../limits.ts';
import { DetailText, finishDetails, type Items, type LogItem } from './items.ts';
import { type Fields, fieldsIn, idIn, nanosIn, textIn, uint32In } from './json-fields.ts';
import { FRAMES, type JsonSection, readJsonSections } from './json-sections.ts';
import { readAttributes, readValue } from './json-values.ts';
import { Room } from './value-text.ts';

/** The log records of an ExportLogsServiceRequest in JSON. @throws Malformed, TooMuch; Malformed also while they are iterated */
export function readJsonLogs(request: unknown): Items<LogItem> {
  const sections = readJsonSections(request, FRAMES.logs);
  const count = sections.reduce((sum, { items }) => sum + items.length, 0);
  return { count, [Symbol.iterator]: () => recordsOf(sections) };
}

function* recordsOf(sections: readonly JsonSection[]): Generator<LogItem> {
  for (const section of sections)
    for (const item of section.items) yield readRecord(fieldsIn(item, 'a log record'), section);
}

function readRecord(record: Fields, { resource, scope }: JsonSection): LogItem {
  const room = new Room();
  const attributes = readAttributes(record['attributes'], room);
  const body = record['body'] === undefined ? 'null' : readValue(record['body'], room, 0).json;
  const details = new DetailText().number('flags', uint32In(record['flags'], 'flags')).add('scope', scope);
  const dropped = uint32In(record['droppedAttributesCount'], 'droppedAttributesCount');
  return {
    resource,
    hints: attributes.hints,
    traceId: idIn(record['traceId'], 'traceId'),
    spanId: idIn(record['spanId'], 'spanId'),
    timeNanos: nanosIn(record['timeUnixNano'], 'timeUnixNano'),
    observedNanos: nanosIn(record['observedTimeUnixNano'], 'observedTimeUnixNano'),
    severity: uint32In(record['severityNumber'], 'severityNumber'),
    severityText: room.clean(textIn(record['severityText'], 'severityText'), LIMITS.name),
    eventName: room.clean(textIn(record['eventName'], 'eventName'), LIMITS.name),
    body,
    attributes: attributes.toString(),
    details: finishDetails(details, { attributes: dropped, events: 0, links: 0 }, room),
  };
}
