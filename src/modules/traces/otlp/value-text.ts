import { Hints } from '../hot-keys.ts';
import { LIMITS } from '../limits.ts';
import { isStorable, storable } from '../storable.ts';
import type { JsonString } from './proto-reader.ts';

/**
 * Attribute values as the JSON text that PostgreSQL keeps. jsonb holds numbers as decimals of any length, so an int64
 * is written as its digits and a double always with a point or an exponent: neither loses anything, and they can be told
 * apart when read. What JSON has no form for is an object with OTLP's own name for it.
 */

/** How much text one item may still take, and what was cut of it. */
export class Room {
  left: number;
  /** The value read last as plain text, if it was a string, number or boolean. */
  scalar: string | null = null;
  readonly cut = { values: 0, attributes: 0, events: 0, links: 0 };

  constructor(limit: number = LIMITS.item) {
    this.left = limit;
  }

  /** The text if it fits; else `null` in its place, and the loss is counted. */
  take(text: string): string {
    if (text.length > this.left) {
      this.cut.values += 1;
      this.left -= 4;
      return 'null';
    }
    this.left -= text.length;
    return text;
  }

  /** A string of the client's as it is stored, cut to `limit`. */
  clean(value: string, limit: number): string {
    let text = value;
    if (text.length > limit) {
      text = text.slice(0, limit);
      this.cut.values += 1;
    }
    return storable(text);
  }

  /** The JSON text of a string, cut to `limit`. */
  quote({ text, json }: JsonString, limit: number): string {
    return text.length <= limit && isStorable(text) ? json : JSON.stringify(this.clean(text, limit));
  }

  /** What was cut, as JSON; null if nothing was. */
  cutText(): string | null {
    const { values, attributes, events, links } = this.cut;
    return values + attributes + events + links === 0 ? null : JSON.stringify(this.cut);
  }
}

export function doubleText(value: number): string {
  if (!Number.isFinite(value)) return `{"doubleValue":"${value}"}`;
  const text = String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

export function bytesText(base64: string): string {
  return `{"bytesValue":"${base64}"}`;
}

/** A set of attributes in the making: the text of a JSON object. Of a key that comes twice the last value is kept, as jsonb does. */
export class AttributeText {
  readonly hints = new Hints();
  readonly #room: Room;
  #text = '';
  #count = 0;

  constructor(room: Room) {
    this.#room = room;
  }

  /** Whether another attribute has a place; if not, it is counted as lost. */
  admits(): boolean {
    if (this.#count < LIMITS.attributes && this.#room.left > 0) return true;
    this.#room.cut.attributes += 1;
    return false;
  }

  /** @param valueText JSON text @param scalar the value as plain text, if it is a string, number or boolean */
  add(key: JsonString, valueText: string, scalar: string | null): void {
    const name = this.#room.quote(key, LIMITS.key);
    this.#room.left -= name.length;
    this.#text += `${this.#count === 0 ? '' : ','}${name}:${valueText}`;
    this.#count += 1;
    this.hints.note(key.text, scalar);
  }

  toString(): string {
    return `{${this.#text}}`;
  }
}
