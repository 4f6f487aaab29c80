import type { FlagCode } from './model.ts';

/** One word of a command after expansion. */
export interface Field {
  /** The exact text; of a glob, the text that stays if nothing matches; of an unknown word, its source. */
  readonly text: string;
  /** Set for a glob: the pattern of everything it may become. */
  readonly pattern?: string;
  /** Set if the word could not be resolved, with the reason. */
  readonly unknown?: FlagCode;
  /** What every expansion of an unknown word starts with. */
  readonly prefix?: string;
  /** An unknown word that may become several words or none. */
  readonly loose?: true;
}

export function literal(text: string): Field {
  return { text };
}

export function unknownField(code: FlagCode, text: string, prefix = '', loose = false): Field {
  return loose ? { text, unknown: code, prefix, loose: true } : { text, unknown: code, prefix };
}

/** Whether a program could read the word as an option. `-` alone is standard input, not an option. */
export function mayBeOption(field: Field): boolean {
  if (field.unknown !== undefined) {
    return field.loose === true || field.prefix === undefined || field.prefix === '' || field.prefix.startsWith('-');
  }
  if (field.pattern !== undefined) return /^[-*?[{]/.test(field.pattern);
  return field.text.startsWith('-') && field.text !== '-';
}

/** Escapes every character that means something in a Signalbox pattern. */
export function escapePattern(text: string): string {
  return text.replace(/[\\*?[\]{},!]/g, '\\$&');
}

/** The literal text of a field, or undefined if it is a glob or unknown. */
export function textOf(field: Field | undefined): string | undefined {
  if (field === undefined || field.unknown !== undefined || field.pattern !== undefined) return undefined;
  return field.text;
}

/** `left` directly followed by `right`, as one word. */
export function concat(left: Field, right: Field): Field {
  const text = left.text + right.text;
  if (left.unknown !== undefined) return { ...left, text };
  if (right.unknown !== undefined) {
    const prefix = left.pattern === undefined ? left.text + (right.prefix ?? '') : '';
    return unknownField(right.unknown, text, prefix, right.loose === true);
  }
  if (left.pattern === undefined && right.pattern === undefined) return { text };
  return { text, pattern: patternOf(left) + patternOf(right) };
}

export function patternOf(field: Field): string {
  return field.pattern ?? escapePattern(field.text);
}

function isAbsolute(field: Field): boolean {
  const start = field.unknown === undefined ? field.text : (field.prefix ?? '');
  return start.startsWith('/');
}

/** `field` as seen from `directory`: itself if absolute. */
export function under(directory: Field, field: Field): Field {
  return isAbsolute(field) ? field : concat(concat(directory, literal('/')), field);
}

/** The last component of a path; undefined if it is not a name (`.`, `..`, `/`, empty). */
export function baseName(field: Field): Field | undefined {
  if (field.unknown !== undefined) return unknownField(field.unknown, field.text);
  const text = lastSegment(field.text);
  if (text === '' || text === '.' || text === '..') return undefined;
  return field.pattern === undefined ? { text } : { text, pattern: lastSegment(field.pattern) };
}

function lastSegment(path: string): string {
  const trimmed = path.replace(/\/+$/, '');
  return trimmed.slice(trimmed.lastIndexOf('/') + 1);
}

/** An absolute path without `.`, `..`, doubled and trailing slashes. */
export function normalisePath(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') kept.pop();
    else if (segment !== '' && segment !== '.') kept.push(segment);
  }
  return `/${kept.join('/')}`;
}

/** As {@link normalisePath} for a pattern; undefined where `..` follows a wildcard, whose parent is not known. */
export function normalisePattern(pattern: string): string | undefined {
  const kept: string[] = [];
  for (const segment of pattern.split('/')) {
    if (segment === '..') {
      const parent = kept.pop();
      if (parent !== undefined && /[*?[]/.test(parent.replace(/\\./g, ''))) return undefined;
    } else if (segment !== '' && segment !== '.') kept.push(segment);
  }
  return `/${kept.join('/')}`;
}
