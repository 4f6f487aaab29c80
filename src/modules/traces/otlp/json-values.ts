import { LIMITS } from '../limits.ts';
import type { Resource } from './items.ts';
import { type Fields, fieldsIn, int64In, listIn, textIn } from './json-fields.ts';
import { Malformed } from './malformed.ts';
import type { JsonString } from './proto-reader.ts';
import { hasRoom, memberText } from './proto-values.ts';
import { AttributeText, bytesText, doubleText, Room } from './value-text.ts';

interface Value {
  readonly json: string;
  readonly scalar: string | null;
}

const NOTHING: Value = { json: 'null', scalar: null };

/** Reads a list of KeyValue. @throws Malformed */
export function readAttributes(list: unknown, room: Room): AttributeText {
  const attributes = new AttributeText(room);
  for (const each of listIn(list, 'attributes')) {
    if (!attributes.admits()) continue;
    const { key, value } = fieldsIn(each, 'an attribute');
    const { json, scalar } = readValue(value, room, 0);
    attributes.add(jsonStringOf(textIn(key, "an attribute's key")), json, scalar);
  }
  return attributes;
}

export function readResource(value: unknown): Resource {
  const attributes = readAttributes(fieldsIn(value, 'resource')['attributes'], new Room(LIMITS.shared));
  return { attributes: attributes.toString(), hints: attributes.hints };
}

/** Reads an AnyValue. @throws Malformed */
export function readValue(value: unknown, room: Room, depth: number): Value {
  const fields = fieldsIn(value, 'a value');
  if (depth >= LIMITS.depth) {
    room.cut.values += 1;
    return NOTHING;
  }
  for (const name in fields) {
    if (fields[name] === null) continue;
    const read = READERS[name];
    if (read !== undefined) return read(fields[name], room, depth);
  }
  return NOTHING;
}

type ReadValue = (value: unknown, room: Room, depth: number) => Value;

const READERS: Readonly<Record<string, ReadValue | undefined>> = {
  __proto__: null as never,
  stringValue: (value, room) => {
    const text = room.clean(textIn(value, 'stringValue'), LIMITS.value);
    return { json: room.take(JSON.stringify(text)), scalar: text };
  },
  boolValue: (value, room) => {
    if (typeof value !== 'boolean') throw new Malformed('boolValue is no boolean');
    return simple(String(value), room);
  },
  intValue: (value, room) => simple(int64In(value, 'intValue'), room),
  doubleValue: (value, room) => simple(doubleText(doubleIn(value)), room),
  arrayValue: (value, room, depth) => {
    const parts: string[] = [];
    for (const each of listIn(fieldsIn(value, 'arrayValue')['values'], 'arrayValue.values')) {
      if (!hasRoom(room)) break;
      parts.push(readValue(each, room, depth + 1).json);
    }
    return { json: `[${parts.join(',')}]`, scalar: null };
  },
  kvlistValue: (value, room, depth) => {
    const parts: string[] = [];
    for (const each of listIn(fieldsIn(value, 'kvlistValue')['values'], 'kvlistValue.values')) {
      if (!hasRoom(room)) break;
      parts.push(readMember(fieldsIn(each, 'a member of kvlistValue'), room, depth));
    }
    return { json: `{${parts.join(',')}}`, scalar: null };
  },
  bytesValue: (value, room) => {
    const bytes = Buffer.from(textIn(value, 'bytesValue'), 'base64');
    if (bytes.length > LIMITS.value) room.cut.values += 1;
    return { json: room.take(bytesText(bytes.toString('base64', 0, LIMITS.value))), scalar: null };
  },
};

function readMember({ key, value }: Fields, room: Room, depth: number): string {
  const { json } = readValue(value, room, depth + 1);
  return memberText(jsonStringOf(textIn(key, "a member's key")), json, room);
}

const jsonStringOf = (text: string): JsonString => ({ text, json: JSON.stringify(text) });

function simple(text: string, room: Room): Value {
  return { json: room.take(text), scalar: text };
}

const DOUBLE = /^(?:-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|NaN|-?Infinity)$/;

function doubleIn(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'string' && DOUBLE.test(value)) return Number(value);
  throw new Malformed('doubleValue is no number');
}
