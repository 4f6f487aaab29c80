import { LIMITS } from '../limits.ts';
import { BYTES, FIXED64, type ProtoReader, VARINT } from './proto-reader.ts';
import { type AttributeText, bytesText, doubleText, type Room } from './value-text.ts';

/** A value's JSON text, and its plain text if it is a string, number or boolean. */
interface Value {
  readonly json: string;
  readonly scalar: string | null;
}

const NOTHING: Value = { json: 'null', scalar: null };

/** Reads the KeyValue that the current field holds. */
export function readAttribute(reader: ProtoReader, into: AttributeText, room: Room): void {
  if (!into.admits()) return reader.skip();
  let key = '';
  let value = NOTHING;
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.is(1, BYTES)) key = reader.string();
    else if (reader.is(2, BYTES)) value = readValue(reader, room, 0);
    else reader.skip();
  }
  reader.leave(outer);
  into.add(key, value.json, value.scalar);
}

/** Reads the AnyValue that the current field holds. */
export function readValue(reader: ProtoReader, room: Room, depth: number): Value {
  if (depth >= LIMITS.depth) {
    room.cut.values += 1;
    reader.skip();
    return NOTHING;
  }
  let value = NOTHING;
  const outer = reader.enter();
  while (reader.next()) value = readOneOf(reader, room, depth, value);
  reader.leave(outer);
  return value;
}

function readOneOf(reader: ProtoReader, room: Room, depth: number, known: Value): Value {
  if (reader.is(1, BYTES)) {
    const text = room.clean(reader.string(), LIMITS.value);
    return { json: room.take(JSON.stringify(text)), scalar: text };
  }
  if (reader.is(2, VARINT)) return scalar(reader.bool() ? 'true' : 'false', room);
  if (reader.is(3, VARINT)) return scalar(reader.int64(), room);
  if (reader.is(4, FIXED64)) return scalar(doubleText(reader.double()), room);
  if (reader.is(5, BYTES)) return { json: readArray(reader, room, depth), scalar: null };
  if (reader.is(6, BYTES)) return { json: readMap(reader, room, depth), scalar: null };
  if (reader.is(7, BYTES)) return { json: readBytes(reader, room), scalar: null };
  reader.skip();
  return known;
}

function scalar(text: string, room: Room): Value {
  return { json: room.take(text), scalar: text };
}

function readBytes(reader: ProtoReader, room: Room): string {
  const { start, end } = reader.slice();
  if (end - start > LIMITS.value) room.cut.values += 1;
  return room.take(bytesText(reader.buffer.toString('base64', start, Math.min(end, start + LIMITS.value))));
}

function readArray(reader: ProtoReader, room: Room, depth: number): string {
  const parts: string[] = [];
  const outer = reader.enter();
  while (reader.next()) {
    if (!reader.is(1, BYTES) || !hasRoom(room)) reader.skip();
    else parts.push(readValue(reader, room, depth + 1).json);
  }
  reader.leave(outer);
  return `[${parts.join(',')}]`;
}

function readMap(reader: ProtoReader, room: Room, depth: number): string {
  const parts: string[] = [];
  const outer = reader.enter();
  while (reader.next()) {
    if (!reader.is(1, BYTES) || !hasRoom(room)) reader.skip();
    else parts.push(readMember(reader, room, depth));
  }
  reader.leave(outer);
  return `{${parts.join(',')}}`;
}

function readMember(reader: ProtoReader, room: Room, depth: number): string {
  let key = '';
  let value = NOTHING;
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.is(1, BYTES)) key = reader.string();
    else if (reader.is(2, BYTES)) value = readValue(reader, room, depth + 1);
    else reader.skip();
  }
  reader.leave(outer);
  return memberText(key, value.json, room);
}

export function memberText(key: string, json: string, room: Room): string {
  const name = JSON.stringify(room.clean(key, LIMITS.key));
  room.left -= name.length + 2;
  return `${name}:${json}`;
}

/** One more element costs something even if it is empty, so that millions of empty ones do not fit either. */
export function hasRoom(room: Room): boolean {
  room.left -= 1;
  if (room.left > 0) return true;
  room.cut.values += 1;
  return false;
}
