import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';
import { Problem } from '../errors.ts';

/** Deeper than any document we know of, and far from where recursion over it would overflow the stack. */
const MAX_DEPTH = 100;

const SUSPECT_ESCAPE = /\\u(?:0000|d[89a-f])/i;
/** `__proto__`, or any escape that could spell a letter of it. */
const MAYBE_PROTOTYPE = /__proto__|\\u00[567]/i;

/**
 * Parses JSON bodies and refuses what PostgreSQL's jsonb cannot hold (NUL, lone surrogates), wherever it stands in the
 * body: refused here it is a clear 422, refused there it would be a failed transaction.
 */
export function registerBodyParsers(app: FastifyInstance): void {
  // Fastify takes plain text by itself; nothing here reads it.
  app.removeContentTypeParser(['application/json', 'text/plain']);
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      const source = textOf(body);
      // Some clients announce JSON and send nothing with a bodiless POST.
      done(null, source.trim() === '' ? undefined : parseJson(source));
    } catch (error) {
      done(error as Error);
    }
  });
}

export const YAML_TYPES = ['application/yaml', 'application/x-yaml', 'text/yaml'];

/** Bodies of these types arrive as the text they are, to be parsed by whoever knows the document: for one scope's routes. */
export function takeAsText(scope: Pick<FastifyInstance, 'addContentTypeParser'>, types: string[]): void {
  scope.addContentTypeParser<Buffer>(types, { parseAs: 'buffer' }, async (_request: unknown, body: Buffer) =>
    textOf(body),
  );
}

/**
 * Decoded as it stands or refused: with U+FFFD put in for what cannot be read, the path in it would be another one.
 * @throws Problem 400 `unsupported_encoding`
 */
function textOf(body: Buffer): string {
  if (!isUtf8(body)) throw new Problem(400, 'unsupported_encoding', 'The body is not UTF-8.');
  return body.toString('utf8');
}

/** @throws Problem 400 `malformed_json`, 422 `too_deep`, `unsupported_character` */
function parseJson(source: string): unknown {
  // A text of fewer characters cannot nest that deep.
  if (source.length > MAX_DEPTH) refuseDeep(source);
  let value: unknown;
  try {
    // Looking at every member takes longer than all the rest of parsing: only where the name can be meant at all.
    value = MAYBE_PROTOTYPE.test(source) ? JSON.parse(source, refusePrototype) : JSON.parse(source);
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem(400, 'malformed_json', `The body is not JSON: ${(error as Error).message}`);
  }
  if (SUSPECT_ESCAPE.test(source) || !source.isWellFormed()) refuseUnstorable(value, '');
  return value;
}

function refusePrototype(key: string, value: unknown): unknown {
  if (key === '__proto__') throw new Problem(400, 'malformed_json', 'The body holds a member named __proto__.');
  return value;
}

function refuseUnstorable(value: unknown, path: string): void {
  if (typeof value === 'string') {
    if (value.isWellFormed() && !value.includes('\0')) return;
    throw new Problem(422, 'unsupported_character', `${path || 'The body'} holds NUL or a lone surrogate.`);
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [key, member] of Object.entries(value)) {
    refuseUnstorable(key, path);
    refuseUnstorable(member, path === '' ? key : `${path}.${key}`);
  }
}

/** Before parsing: counts brackets outside of strings. */
function refuseDeep(source: string): void {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < source.length; at += 1) {
    const unit = source.charCodeAt(at);
    if (inString) {
      if (unit === BACKSLASH) at += 1;
      else if (unit === QUOTE) inString = false;
    } else if (unit === QUOTE) inString = true;
    else if (unit === OPEN_BRACE || unit === OPEN_BRACKET) {
      depth += 1;
      if (depth > MAX_DEPTH) throw new Problem(422, 'too_deep', `The body nests deeper than ${MAX_DEPTH} levels.`);
    } else if (unit === CLOSE_BRACE || unit === CLOSE_BRACKET) depth -= 1;
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
