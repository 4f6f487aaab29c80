import { LIMITS } from '../limits.ts';
import { BYTES, FIXED64, type JsonString, type ProtoReader, VARINT } from './proto-reader.ts';
import { type AttributeText, bytesText, doubleText, type Room } from './value-text.ts';

const NO_KEY: JsonString = { text: '', json: '""' };

/** Reads the KeyValue that the current field holds. */
export function readAttribute(reader: ProtoReader, into: AttributeText, room: Room): void {
  if (!into.admits()) return reader.skip();
  let key = NO_KEY;
  let json = 'null';
  room.scalar = null;
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.is(1, BYTES)) key = reader.jsonString();
    else if (reader.is(2, BYTES)) json = readValue(reader, room, 0);
    else reader.skip();
  }
  reader.leave(outer);
  into.add(key, json, room.scalar);
}

/** Reads the AnyValue that the current field holds. @returns its JSON text; `room.scalar` has its plain text */
export function readValue(reader: ProtoReader, room: Room, depth: number): string {
  room.scalar = null;
  if (depth >= LIMITS.depth) {
    room.cut.values += 1;
    reader.skip();
    return 'null';
  }
  let json = 'null';
  const outer = reader.enter();
  while (reader.next()) json = readOneOf(reader, room, depth, json);
  reader.leave(outer);
  return json;
}

function readOneOf(reader: ProtoReader, room: Room, depth: number, known: string): string {
  if (reader.is(1, BYTES)) {
    const value = reader.jsonString();
    room.scalar = value.text;
    return room.take(room.quote(value, LIMITS.value));
  }
  if (reader.is(2, VARINT)) return simple(reader.bool() ? 'true' : 'false', room);
  if (reader.is(3, VARINT)) return simple(reader.int64(), room);
  if (reader.is(4, FIXED64)) return simple(doubleText(reader.double()), room);
  if (reader.is(5, BYTES)) return compound(readArray(reader, room, depth), room);
  if (reader.is(6, BYTES)) return compound(readMap(reader, room, depth), room);
  if (reader.is(7, BYTES)) return compound(readBytes(reader, room), room);
  reader.skip();
  return known;
}

function simple(text: string, room: Room): string {
  room.scalar = text;
  return room.take(text);
}

function compound(json: string, room: Room): string {
  room.scalar = null;
  return json;
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
    else parts.push(readValue(reader, room, depth + 1));
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
  let key = NO_KEY;
  let json = 'null';
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.is(1, BYTES)) key = reader.jsonString();
    else if (reader.is(2, BYTES)) json = readValue(reader, room, depth + 1);
    else reader.skip();
  }
  reader.leave(outer);
  return memberText(key, json, room);
}

export function memberText(key: JsonString, json: string, room: Room): string {
  const name = room.quote(key, LIMITS.key);
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
