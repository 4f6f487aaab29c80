import { Malformed } from './malformed.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
const DOT = 0x2e;
const LOWER_E = 0x65;
const UPPER_E = 0x45;

/** A JS number holds any integer of up to so many digits exactly. */
const SAFE_DIGITS = 15;

/** @throws Malformed for what is not JSON in UTF-8 */
export function parseExactJson(body: Buffer): unknown {
  const source = body.toString('utf8');
  try {
    return JSON.parse(quoteIntegers(source, SAFE_DIGITS));
  } catch (error) {
    throw new Malformed(`the body is not JSON: ${(error as Error).message}`);
  }
}

/**
 * The same JSON text with every integer of more than `digits` digits as a string: `JSON.parse` would round it. Numbers
 * with a point or an exponent, and what stands inside strings, stay as they are.
 */
export function quoteIntegers(source: string, digits: number): string {
  let out = '';
  let copied = 0;
  let at = 0;
  while (at < source.length) {
    const unit = source.charCodeAt(at);
    if (unit === QUOTE) {
      at = endOfString(source, at);
    } else if (unit === MINUS || (unit >= ZERO && unit <= NINE)) {
      const end = endOfNumber(source, at);
      const length = end - at - (unit === MINUS ? 1 : 0);
      if (length > digits && isInteger(source, at, end)) {
        out += `${source.slice(copied, at)}"${source.slice(at, end)}"`;
        copied = end;
      }
      at = end;
    } else {
      at += 1;
    }
  }
  return copied === 0 ? source : out + source.slice(copied);
}

/** Behind the closing quote of the string that starts at `at`; behind the text's end if there is none. */
function endOfString(source: string, at: number): number {
  let end = at;
  do {
    end = source.indexOf('"', end + 1);
    if (end < 0) return source.length;
  } while (isEscaped(source, end));
  return end + 1;
}

function isEscaped(source: string, quote: number): boolean {
  let backslashes = 0;
  while (source.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes += 1;
  return backslashes % 2 === 1;
}

function endOfNumber(source: string, at: number): number {
  let end = at + 1;
  while (end < source.length && isNumberUnit(source.charCodeAt(end))) end += 1;
  return end;
}

function isNumberUnit(unit: number): boolean {
  return (
    (unit >= ZERO && unit <= NINE) ||
    unit === DOT ||
    unit === LOWER_E ||
    unit === UPPER_E ||
    unit === 0x2b ||
    unit === MINUS
  );
}

function isInteger(source: string, at: number, end: number): boolean {
  for (let index = at + 1; index < end; index += 1) {
    const unit = source.charCodeAt(index);
    if (unit < ZERO || unit > NINE) return false;
  }
  return end > at + 1 || source.charCodeAt(at) !== MINUS;
}
