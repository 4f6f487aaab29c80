import { LIMITS } from '../limits.ts';
import { countWithin, type Resource, scopeText } from './items.ts';
import { tooMany } from './malformed.ts';
import { BYTES, ProtoReader, type Slice } from './proto-reader.ts';
import { readAttribute } from './proto-values.ts';
import { AttributeText, Room } from './value-text.ts';

/** The items of one scope of one resource. */
export interface Section {
  readonly resource: Resource;
  /** JSON text; null for a scope that says nothing. */
  readonly scope: string | null;
  readonly items: readonly Slice[];
}

/**
 * The frame that traces and logs share: `Export…Request { resource_…s = 1 { resource = 1, scope_…s = 2 { scope = 1,
 * items = 2, schema_url = 3 } } }`. Finds where the items lie, and decodes what they have in common; the items' own content
 * is not looked into. A message that comes in several pieces is their sum, as protobuf says.
 * @throws Malformed, TooMuch
 */
export function readSections(buffer: Buffer): Section[] {
  const frame = new Frame(buffer);
  const sections: Section[] = [];
  for (const part of frame.fields({ start: 0, end: buffer.length }, 1)) {
    const resource = readResource(frame.reader, frame.fields(part, 1));
    for (const group of frame.fields(part, 2)) {
      const schemaUrl = frame.fields(group, 3).at(-1);
      const scope = readScope(frame.reader, frame.fields(group, 1), schemaUrl);
      sections.push({ resource, scope, items: frame.fields(group, 2) });
    }
  }
  return sections;
}

export function countOf(sections: readonly Section[]): number {
  return countWithin(sections.reduce((sum, { items }) => sum + items.length, 0));
}

/** Finds fields without looking into them. Two bytes are enough for a field, so how many there may be is bounded. */
class Frame {
  readonly reader: ProtoReader;
  #left = 4 * LIMITS.items;

  constructor(buffer: Buffer) {
    this.reader = new ProtoReader(buffer);
  }

  /** Where the occurrences of one length-delimited field of a message lie. */
  fields(message: Slice, field: number): Slice[] {
    const { reader } = this;
    const found: Slice[] = [];
    reader.seek(message);
    while (reader.next()) {
      if (!reader.is(field, BYTES)) reader.skip();
      else if ((this.#left -= 1) < 0) throw tooMany(`more than ${4 * LIMITS.items} parts`);
      else found.push(reader.slice());
    }
    return found;
  }
}

function readResource(reader: ProtoReader, pieces: readonly Slice[]): Resource {
  const room = new Room(LIMITS.shared);
  const attributes = new AttributeText(room);
  for (const piece of pieces) {
    reader.seek(piece);
    while (reader.next()) {
      if (reader.is(1, BYTES)) readAttribute(reader, attributes, room);
      else reader.skip();
    }
  }
  return { attributes: attributes.toString(), hints: attributes.hints };
}

function readScope(reader: ProtoReader, pieces: readonly Slice[], schemaUrl: Slice | undefined): string | null {
  const room = new Room(LIMITS.shared);
  const attributes = new AttributeText(room);
  let name = '';
  let version = '';
  for (const piece of pieces) {
    reader.seek(piece);
    while (reader.next()) {
      if (reader.is(1, BYTES)) name = room.clean(reader.string(), LIMITS.name);
      else if (reader.is(2, BYTES)) version = room.clean(reader.string(), LIMITS.name);
      else if (reader.is(3, BYTES)) readAttribute(reader, attributes, room);
      else reader.skip();
    }
  }
  const url = schemaUrl === undefined ? '' : reader.buffer.toString('utf8', schemaUrl.start, schemaUrl.end);
  return scopeText({ name, version, attributes: attributes.toString(), schemaUrl: room.clean(url, LIMITS.name) });
}
