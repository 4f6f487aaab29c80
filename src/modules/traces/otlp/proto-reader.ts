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

/** A length-delimited field: where its content lies in the request's buffer. */
export interface Slice {
  readonly start: number;
  readonly end: number;
}

/**
 * Reads protobuf from a part of a buffer, field by field: `next()` moves to a field, then exactly one of the reading
 * methods takes its content, or `skip()`. 64-bit numbers never pass through a JS number, which would lose their last
 * digits. Every length is held against the message that it stands in.
 */
export class ProtoReader {
  readonly buffer: Buffer;
  #at: number;
  #end: number;
  #low = 0;
  #high = 0;
  /** The field that `next` moved to. */
  field = 0;
  wire = 0;

  constructor(buffer: Buffer, { start, end }: Slice = { start: 0, end: buffer.length }) {
    this.buffer = buffer;
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
    const { start, end } = this.slice();
    const outer = this.#end;
    this.#at = start;
    this.#end = end;
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
    const length = this.#varint32('a length');
    const start = this.#at;
    const end = start + length;
    if (end > this.#end)
      throw new Malformed(
        `truncated: field ${this.field} at byte ${start} needs ${length} bytes, ${this.#end - start} are left`,
      );
    this.#at = end;
    return { start, end };
  }

  /** Bytes that are not UTF-8 become U+FFFD: one bad text is no reason to lose what else there is. */
  string(): string {
    const { start, end } = this.slice();
    return this.buffer.toString('utf8', start, end);
  }

  /** An id; of one that is far too long only so much that it is seen to be. */
  hex(): string {
    const { start, end } = this.slice();
    return this.buffer.toString('hex', start, Math.min(end, start + 32));
  }

  fixed64(): bigint {
    return this.buffer.readBigUInt64LE(this.#take(8));
  }

  fixed32(): number {
    return this.buffer.readUInt32LE(this.#take(4));
  }

  double(): number {
    return this.buffer.readDoubleLE(this.#take(8));
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
