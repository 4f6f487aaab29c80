import { Malformed } from './malformed.ts';

/** Wire types of the protobuf encoding. */
export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
export const FIXED32 = 5;
const START_GROUP = 3;
const END_GROUP = 4;

const MAX_GROUP_DEPTH = 32;
const TWO_32 = 2 ** 32;
const SPACE = 0x20;
const TILDE = 0x7e;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** A length-delimited field: where its content lies in the request's buffer. */
export interface Slice {
  readonly start: number;
  readonly end: number;
}

/** A text and the JSON text of it. */
export interface JsonString {
  readonly text: string;
  readonly json: string;
}

const SHORT_BYTES = 48;
const SLOTS = 256;

/**
 * Reads protobuf from a part of a buffer, field by field: `next()` moves to a field, then exactly one of the reading
 * methods takes its content, or `skip()`. 64-bit numbers never pass through a JS number, which would lose their last
 * digits. Every length is held against the message that it stands in.
 */
export class ProtoReader {
  readonly buffer: Buffer;
  readonly #view: DataView;
  /** Short texts come again and again (names of attributes, of models, of tools): each slot keeps the last of its hash. */
  readonly #short: (JsonString | undefined)[] = [];
  #at: number;
  #end: number;
  #low = 0;
  #high = 0;
  /** The field that `next` moved to. */
  field = 0;
  wire = 0;

  constructor(buffer: Buffer, { start, end }: Slice = { start: 0, end: buffer.length }) {
    this.buffer = buffer;
    this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    this.#at = start;
    this.#end = end;
  }

  /** Reads another part of the same buffer from now on. */
  seek({ start, end }: Slice): this {
    this.#at = start;
    this.#end = end;
    return this;
  }

  /** Goes into the message that the current field holds. @returns what `leave` needs to come back */
  enter(): number {
    const length = this.#length();
    const outer = this.#end;
    this.#end = this.#at + length;
    return outer;
  }

  leave(outer: number): void {
    this.#at = this.#end;
    this.#end = outer;
  }

  /** False at the end of the message. @throws Malformed */
  next(): boolean {
    if (this.#at >= this.#end) return false;
    const tag = this.#varint32('a field tag');
    this.field = tag >>> 3;
    this.wire = tag & 7;
    if (this.field === 0) throw new Malformed(`field number 0 at byte ${this.#at}`);
    return true;
  }

  /** Whether the current field is this one in this wire type; in another wire type a known field counts as unknown. */
  is(field: number, wire: number): boolean {
    return this.field === field && this.wire === wire;
  }

  slice(): Slice {
    const length = this.#length();
    const start = this.#at;
    this.#at += length;
    return { start, end: this.#at };
  }

  /** Bytes that are not UTF-8 become U+FFFD: one bad text is no reason to lose what else there is. */
  string(): string {
    return this.jsonString().text;
  }

  jsonString(): JsonString {
    const length = this.#length();
    const start = this.#at;
    this.#at += length;
    const short = length <= SHORT_BYTES ? this.#shortText(start, length) : null;
    if (short !== null) return short;
    const text = this.buffer.toString('utf8', start, start + length);
    return { text, json: JSON.stringify(text) };
  }

  /** A text of printable ASCII that JSON needs no escape for; null for any other. */
  #shortText(start: number, length: number): JsonString | null {
    let hash = length;
    for (let at = start; at < start + length; at += 1) {
      const byte = this.buffer[at]!;
      if (byte < SPACE || byte > TILDE || byte === QUOTE || byte === BACKSLASH) return null;
      hash = (Math.imul(hash, 31) + byte) | 0;
    }
    const slot = hash & (SLOTS - 1);
    const known = this.#short[slot];
    if (known !== undefined && known.text.length === length && this.#isAt(start, known.text)) return known;
    const text = this.buffer.toString('latin1', start, start + length);
    const made = { text, json: `"${text}"` };
    this.#short[slot] = made;
    return made;
  }

  #isAt(start: number, text: string): boolean {
    for (let at = 0; at < text.length; at += 1) if (this.buffer[start + at] !== text.charCodeAt(at)) return false;
    return true;
  }

  /** An id; of one that is far too long only so much that it is seen to be. */
  hex(): string {
    const { start, end } = this.slice();
    return this.buffer.toString('hex', start, Math.min(end, start + 32));
  }

  fixed64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  fixed32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  double(): number {
    return this.#view.getFloat64(this.#take(8), true);
  }

  /** The low 32 bits of a varint, unsigned. */
  uint32(): number {
    this.#varint();
    return this.#low;
  }

  bool(): boolean {
    this.#varint();
    return this.#low !== 0 || this.#high !== 0;
  }

  /** A signed 64-bit varint as its decimal digits. */
  int64(): string {
    this.#varint();
    // Most are small; the slow way is only for those that a JS number cannot hold or that are negative.
    if (this.#high < 0x20_0000) return String(this.#high * TWO_32 + this.#low);
    return BigInt.asIntN(64, (BigInt(this.#high) << 32n) | BigInt(this.#low)).toString();
  }

  skip(): void {
    this.#skip(this.field, this.wire, 0);
  }

  #skip(field: number, wire: number, depth: number): void {
    if (wire === VARINT) this.#varint();
    else if (wire === FIXED64) this.#take(8);
    else if (wire === BYTES) this.slice();
    else if (wire === FIXED32) this.#take(4);
    else if (wire === START_GROUP) this.#skipGroup(field, depth);
    else throw new Malformed(`wire type ${wire} of field ${field} at byte ${this.#at}`);
  }

  #skipGroup(opened: number, depth: number): void {
    if (depth >= MAX_GROUP_DEPTH) throw new Malformed(`groups nest deeper than ${MAX_GROUP_DEPTH}`);
    while (this.next()) {
      const { field, wire } = this;
      if (wire !== END_GROUP) this.#skip(field, wire, depth + 1);
      else if (field === opened) return;
      else throw new Malformed(`group ${opened} is closed as ${field}`);
    }
    throw new Malformed(`truncated: group ${opened} is not closed`);
  }

  /** Where `bytes` bytes start, which are passed over. */
  #take(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.#end)
      throw new Malformed(
        `truncated: field ${this.field} at byte ${at} needs ${bytes} bytes, ${this.#end - at} are left`,
      );
    this.#at = at + bytes;
    return at;
  }

  /** Reads a length and holds it against the message. */
  #length(): number {
    const length = this.#varint32('a length');
    const left = this.#end - this.#at;
    if (length > left)
      throw new Malformed(`truncated: field ${this.field} at byte ${this.#at} needs ${length} bytes, ${left} are left`);
    return length;
  }

  #varint32(what: string): number {
    const first = this.#at < this.#end ? this.buffer[this.#at]! : 0x80;
    if (first < 0x80) {
      this.#at += 1;
      return first;
    }
    this.#varint();
    if (this.#high !== 0) throw new Malformed(`${what} over 32 bits at byte ${this.#at}`);
    return this.#low;
  }

  /** Reads a varint of up to ten bytes into its low and high 32 bits. */
  #varint(): void {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.#at >= this.#end) throw new Malformed(`truncated: a number ends with the message at byte ${this.#at}`);
      const byte = this.buffer[this.#at++]!;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else if (shift < 63) high |= bits << (shift - 32);
      else high |= (bits & 1) << 31;
      if (byte < 0x80) {
        this.#low = low >>> 0;
        this.#high = high >>> 0;
        return;
      }
    }
    throw new Malformed(`a number of more than ten bytes at byte ${this.#at}`);
  }
}
