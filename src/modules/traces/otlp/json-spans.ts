import { LIMITS } from '../limits.ts';
import { DetailText, finishDetails, type Items, type SpanItem } from './items.ts';
import { type Fields, fieldsIn, idIn, listIn, nanosIn, textIn, uint32In } from './json-fields.ts';
import { FRAMES, type JsonSection, readJsonSections } from './json-sections.ts';
import { readAttributes } from './json-values.ts';
import { eventText, linkText } from './proto-spans.ts';
import { Room } from './value-text.ts';

/** The spans of an ExportTraceServiceRequest in JSON. @throws Malformed, TooMuch; Malformed also while they are iterated */
export function readJsonSpans(request: unknown): Items<SpanItem> {
  const sections = readJsonSections(request, FRAMES.traces);
  const count = sections.reduce((sum, { items }) => sum + items.length, 0);
  return { count, [Symbol.iterator]: () => spansOf(sections) };
}

function* spansOf(sections: readonly JsonSection[]): Generator<SpanItem> {
  for (const section of sections) for (const item of section.items) yield readSpan(fieldsIn(item, 'a span'), section);
}

function readSpan(span: Fields, { resource, scope }: JsonSection): SpanItem {
  const room = new Room();
  const attributes = readAttributes(span['attributes'], room);
  const status = fieldsIn(span['status'], 'status');
  const details = new DetailText()
    .text('traceState', room.clean(textIn(span['traceState'], 'traceState'), LIMITS.name))
    .text('statusMessage', room.clean(textIn(status['message'], 'status.message'), LIMITS.value))
    .number('flags', uint32In(span['flags'], 'flags'))
    .add('scope', scope)
    .list('events', readEvents(span['events'], room))
    .list('links', readLinks(span['links'], room));
  const dropped = {
    attributes: uint32In(span['droppedAttributesCount'], 'droppedAttributesCount'),
    events: uint32In(span['droppedEventsCount'], 'droppedEventsCount'),
    links: uint32In(span['droppedLinksCount'], 'droppedLinksCount'),
  };
  return {
    resource,
    hints: attributes.hints,
    traceId: idIn(span['traceId'], 'traceId'),
    spanId: idIn(span['spanId'], 'spanId'),
    parentSpanId: idIn(span['parentSpanId'], 'parentSpanId'),
    name: room.clean(textIn(span['name'], 'name'), LIMITS.name),
    kind: uint32In(span['kind'], 'kind'),
    status: uint32In(status['code'], 'status.code'),
    startNanos: nanosIn(span['startTimeUnixNano'], 'startTimeUnixNano'),
    endNanos: nanosIn(span['endTimeUnixNano'], 'endTimeUnixNano'),
    attributes: attributes.toString(),
    details: finishDetails(details, dropped, room),
  };
}

function readEvents(list: unknown, room: Room): string[] {
  const texts: string[] = [];
  for (const each of listIn(list, 'events')) {
    if (texts.length >= LIMITS.events || room.left <= 0) {
      room.cut.events += 1;
      continue;
    }
    const event = fieldsIn(each, 'an event');
    const nanos = nanosIn(event['timeUnixNano'], 'timeUnixNano');
    const name = room.clean(textIn(event['name'], "an event's name"), LIMITS.name);
    const dropped = uint32In(event['droppedAttributesCount'], 'droppedAttributesCount');
    const attributes = readAttributes(event['attributes'], room).toString();
    texts.push(eventText({ nanos, name, attributes, dropped }, room));
  }
  return texts;
}

function readLinks(list: unknown, room: Room): string[] {
  const texts: string[] = [];
  for (const each of listIn(list, 'links')) {
    if (texts.length >= LIMITS.links || room.left <= 0) {
      room.cut.links += 1;
      continue;
    }
    const fields = fieldsIn(each, 'a link');
    const link = {
      traceId: idIn(fields['traceId'], "a link's traceId"),
      spanId: idIn(fields['spanId'], "a link's spanId"),
      traceState: room.clean(textIn(fields['traceState'], "a link's traceState"), LIMITS.name),
    };
    texts.push(linkText(link, readAttributes(fields['attributes'], room).toString(), room));
  }
  return texts;
}
