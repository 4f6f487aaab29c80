import { Malformed } from './malformed.ts';

/** A JSON object as OTLP sends it; a name that is not known is ignored, null is a field that is not set. */
export type Fields = Readonly<Record<string, unknown>>;

const NONE: Fields = {};

export function fieldsIn(value: unknown, what: string): Fields {
  if (value === undefined || value === null) return NONE;
  if (typeof value !== 'object' || Array.isArray(value)) throw new Malformed(`${what} is no object`);
  return value as Fields;
}

export function listIn(value: unknown, what: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new Malformed(`${what} is no array`);
  return value;
}

export function textIn(value: unknown, what: string): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw new Malformed(`${what} is no string`);
  return value;
}

const HEX = /^(?:[0-9a-fA-F]{2})*$/;

/** An id: hex in any case, not base64 as elsewhere in protobuf's JSON. What is not hex is no id and judged as one that is too short. */
export function idIn(value: unknown, what: string): string {
  const text = textIn(value, what);
  if (text === '') return '';
  return text.length <= 64 && HEX.test(text) ? text.toLowerCase() : NOT_HEX;
}

/** Stands for an id that was sent and is none: not empty, and of no length that an id may have. */
const NOT_HEX = '00';

/** An unsigned 64-bit number of nanoseconds: a string of digits, or a JSON number. */
export function nanosIn(value: unknown, what: string): bigint {
  const digits = integerIn(value, what);
  const nanos = BigInt(digits);
  if (BigInt.asUintN(64, nanos) !== nanos) throw new Malformed(`${what} is no unsigned 64-bit integer`);
  return nanos;
}

const INTEGER = /^-?\d{1,20}$/;

/** An integer as its digits. @throws Malformed also for a number that arrived rounded */
function integerIn(value: unknown, what: string): string {
  if (value === undefined || value === null) return '0';
  if (typeof value === 'string' && INTEGER.test(value)) return BigInt(value).toString();
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value);
  throw new Malformed(`${what} is no 64-bit integer`);
}

/** A signed 64-bit integer as its digits. */
export function int64In(value: unknown, what: string): string {
  const digits = integerIn(value, what);
  const number = BigInt(digits);
  if (BigInt.asIntN(64, number) !== number) throw new Malformed(`${what} is no 64-bit integer`);
  return digits;
}

/** An enum or a count; OTLP's JSON has enums as integers only. */
export function uint32In(value: unknown, what: string): number {
  const number = Number(integerIn(value, what));
  if (number < 0 || number >= 2 ** 32) throw new Malformed(`${what} is no 32-bit integer`);
  return number;
}
