/**
 * What must never reach a log line, whichever field or message it came in by. Lines are scrubbed as a whole, after
 * they are written as JSON: a list of field paths only finds the secrets that somebody expected.
 */

const REDACTED = '[redacted]';

/** Field names whose value is a secret whatever it looks like. Compared without case, `-` and `_`. */
const SECRET_FIELDS = [
  'authorization',
  'proxy-?authorization',
  'cookie',
  'set-?cookie',
  'x-?api-?key',
  'api-?key',
  'api-?secret',
  'client-?secret',
  'secret',
  'root-?key',
  'signalbox-?root-?key',
  'password',
  'passwd',
  'pgpassword',
  'access-?token',
  'refresh-?token',
  'id-?token',
  'token',
]
  .join('|')
  .replaceAll('-?', '[-_]?');

/** `"password":"…"`, `"set-cookie":["…"]`. */
const FIELD = new RegExp(
  `("(?:${SECRET_FIELDS})"\\s*:\\s*)(?:"(?:[^"\\\\]|\\\\.)*"|\\[[^\\]]*\\]|-?\\d[\\d.eE+-]*)`,
  'gi',
);

/** The same one level down, in JSON that is itself the text of a field: `\"password\":\"…\"`. A quote inside has three backslashes. */
const NESTED_FIELD = new RegExp(
  `(\\\\"(?:${SECRET_FIELDS})\\\\"\\s*:\\s*\\\\")(?:[^"]|(?<=\\\\\\\\\\\\)")*?(?<!\\\\)\\\\"`,
  'gi',
);

/** An API key of ours, in any text. */
const API_KEY = /sbx_[A-Za-z0-9_.~+/=-]{8,}/g;

/** `Bearer abc`, `Basic abc`. The credentials are at least eight characters, so that prose about a bearer token survives. */
const CREDENTIALS = /\b(Bearer|Basic)(\s+)[A-Za-z0-9._~+/=-]{8,}/gi;

/** The password of a URL with credentials. A raw `@` inside a password is covered: the last `@` before `/` or a space ends it. */
const URL_PASSWORD = /(\b[a-z][a-z0-9+.-]{0,20}:\/\/[^\s:/?#"\\@]*:)[^\s/"\\]+(?=@)/gi;

/** `password=…` in a query or in a libpq connection string. */
const ASSIGNMENT =
  /\b((?:access_token|refresh_token|id_token|api_?key|token|password|passwd|client_secret|secret)=)(?:'[^'"\\]*'|[^\s&"'\\;,]+)/gi;

/**
 * A function that blanks every secret it recognises in a line of JSON or of plain text, and keeps JSON valid.
 * @param literals exact secrets known at start (the root key, database passwords); those under six characters are
 *   left to the patterns, as blanking `app` everywhere would destroy the log.
 */
export function createScrubber(literals: readonly string[] = []): (text: string) => string {
  const literal = literalPattern(literals);
  return (text) => {
    let scrubbed = literal === undefined ? text : text.replace(literal, REDACTED);
    // Each pattern is guarded by a cheap search for what it cannot match without: most lines hold none of it.
    if (scrubbed.includes('sbx_')) scrubbed = scrubbed.replace(API_KEY, `sbx_${REDACTED}`);
    if (scrubbed.includes('://')) scrubbed = scrubbed.replace(URL_PASSWORD, `$1${REDACTED}`);
    scrubbed = scrubbed.replace(FIELD, `$1"${REDACTED}"`).replace(CREDENTIALS, `$1$2${REDACTED}`);
    if (scrubbed.includes('\\"')) scrubbed = scrubbed.replace(NESTED_FIELD, `$1${REDACTED}\\"`);
    if (scrubbed.includes('=')) scrubbed = scrubbed.replace(ASSIGNMENT, `$1${REDACTED}`);
    return scrubbed;
  };
}

/** Query parameters whose values say what was asked for and hold no secret. Any other value is blanked: a name nobody foresaw must not leak. */
const PLAIN_QUERY = new Set(
  'after before cursor limit status repo path paths loop loopId runId service environment kind groupBy waitSeconds since until start end from to'.split(
    ' ',
  ),
);

/** A request's URL for the log: its path, and a query in which only well-known names keep their value. */
export function redactQuery(url: string): string {
  const mark = url.indexOf('?');
  if (mark === -1) return url;
  const query = url
    .slice(mark + 1)
    .split('&')
    .map((pair) => {
      const equals = pair.indexOf('=');
      // A pair without a name may itself be the secret.
      if (equals === -1) return PLAIN_QUERY.has(pair) || pair === '' ? pair : REDACTED;
      const name = pair.slice(0, equals);
      return PLAIN_QUERY.has(name) ? pair : `${name}=${REDACTED}`;
    });
  return `${url.slice(0, mark)}?${query.join('&')}`;
}

function literalPattern(literals: readonly string[]): RegExp | undefined {
  const texts = new Set<string>();
  for (const literal of literals) {
    if (literal.length < 6) continue;
    texts.add(literal);
    // As it stands in a JSON line, and one level deeper.
    const once = JSON.stringify(literal).slice(1, -1);
    texts.add(once);
    texts.add(JSON.stringify(once).slice(1, -1));
  }
  if (texts.size === 0) return undefined;
  const alternatives = [...texts].toSorted((a, b) => b.length - a.length).map(escapeForRegExp);
  return new RegExp(alternatives.join('|'), 'g');
}

function escapeForRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, String.raw`\$&`);
}
