import { isAscii } from './ascii.ts';
import { foldText } from './fold.ts';
import { type IndexKey, literalKey } from './literal-key.ts';
import { hasTooManyMarks, MARKS_MAX } from './marks.ts';
import { type Problem, showPoint } from './problem.ts';

/** UTF-8 bytes of a path, as PATH_MAX. Any two patterns that overlap have a witness far shorter than this. */
const PATH_BYTES_MAX = 4096;

/** A literal, repo-relative path in its one spelling. Never a pattern: `app/[id]/page.tsx` is a file. */
export interface Path {
  readonly kind: 'path';
  /** NFC. */
  readonly text: string;
  /** `text` under simple case folding. */
  readonly folded: string;
  /** See `indexKey`: needed of every path that is stored or looked for, several times. */
  readonly index: IndexKey;
}

export type PathResult = { readonly ok: true; readonly path: Path } | { readonly ok: false; readonly problem: Problem };

/** C0, DEL and C1: what Unicode calls a control character. */
// oxlint-disable-next-line no-control-regex -- they are what is looked for
const CONTROL = /[\x00-\x1f\x7f-\x9f]/;
const LONE_SURROGATE = /[\ud800-\udfff]/u;

/**
 * Reads a literal path. What has several spellings is normalised only where the result is certain (NFC); `./x`,
 * `a//b` and `a/` are refused with the spelling to use: a caller that sends them may mean something else, and two
 * spellings of one path would be two leases.
 */
export function parsePath(text: string): PathResult {
  const problem = checkText(text);
  if (problem !== null) return { ok: false, problem };
  const normal = isAscii(text) ? text : text.normalize('NFC');
  // What was no drive before may be one now: the Kelvin sign is spelled K.
  const problemOfNormal = (normal === text ? null : checkText(normal)) ?? checkLength(normal);
  if (problemOfNormal !== null) return { ok: false, problem: problemOfNormal };
  return { ok: true, path: storedPath(normal) };
}

/** The path of a text that `parsePath` has made, and that was kept since: whatever is refused by now, it stays what it was. */
export function storedPath(text: string): Path {
  const folded = foldText(text);
  return { kind: 'path', text, folded, index: literalKey(folded) };
}

function checkText(text: string): Problem | null {
  if (text === '') return { code: 'path_empty', detail: 'a path names a file; this one is empty' };
  // Before anything that walks the text: a refusal must not cost more than the limit allows.
  if (text.length > PATH_BYTES_MAX) return tooLongProblem();
  if (LONE_SURROGATE.test(text)) {
    return { code: 'path_lone_surrogate', detail: 'the path is not valid Unicode: it holds half of a surrogate pair' };
  }
  if (hasTooManyMarks(text)) {
    return { code: 'path_too_many_marks', detail: `the path holds more than ${MARKS_MAX} combining marks in a row` };
  }
  const control = CONTROL.exec(text);
  if (control !== null) {
    const point = showPoint(control[0].charCodeAt(0));
    return { code: 'path_control_character', detail: `the path holds the control character ${point}` };
  }
  if (text.startsWith('/') || /^[A-Za-z]:[\\/]/.test(text)) {
    return { code: 'path_absolute', detail: 'the path is absolute; send it relative to the root of the repo' };
  }
  return checkSegments(text);
}

function checkSegments(text: string): Problem | null {
  if (text.endsWith('/')) {
    return {
      code: 'path_empty_segment',
      detail: 'the path ends in "/"; a path names a file, what lies below a directory is the pattern "dir/"',
    };
  }
  if (text.includes('//')) {
    return { code: 'path_empty_segment', detail: 'the path holds "//"; separate segments by one "/"' };
  }
  if (/(^|\/)\.\.?(\/|$)/.test(text)) {
    return { code: 'path_dot_segment', detail: 'the path holds a "." or ".." segment; send it resolved' };
  }
  return null;
}

function checkLength(text: string): Problem | null {
  if (text.length * 3 <= PATH_BYTES_MAX) return null;
  return Buffer.byteLength(text, 'utf8') > PATH_BYTES_MAX ? tooLongProblem() : null;
}

function tooLongProblem(): Problem {
  return { code: 'path_too_long', detail: `the path is longer than ${PATH_BYTES_MAX} bytes of UTF-8` };
}
