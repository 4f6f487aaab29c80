/**
 * An independent reading of the README's grammar that shares no code with src/patterns: braces are expanded in the
 * text, matching is a regular expression, overlap is a recursion over segments and then over characters.
 * It knows only the characters of UNIVERSE.
 */

/** Every character that generated patterns and paths use, and some that none names, for `?` and `[!…]`. */
export const UNIVERSE: readonly string[] = [
  'a',
  'b',
  'c',
  'A',
  'B',
  '.',
  '-',
  '0',
  'é',
  'É',
  '😀',
  'x',
  ']',
  'k',
  '\u017f',
  's',
];

/** All texts that the braces of `text` stand for. Braces within a class are characters. */
function expandBraces(text: string): string[] {
  const open = findBrace(text);
  if (open < 0) return [text];
  const commas: number[] = [];
  let depth = 0;
  for (let at = open; at < text.length; at = after(text, at)) {
    if (text[at] === '{') depth++;
    else if (text[at] === '}' && --depth === 0) {
      const cuts = [open, ...commas, at];
      const rest = text.slice(at + 1);
      return cuts
        .slice(1)
        .flatMap((cut, i) => expandBraces(text.slice(0, open) + text.slice(cuts[i]! + 1, cut) + rest));
    } else if (text[at] === ',' && depth === 1) commas.push(at);
  }
  throw new Error(`unbalanced: ${text}`);
}

function findBrace(text: string): number {
  for (let at = 0; at < text.length; at = after(text, at)) if (text[at] === '{') return at;
  return -1;
}

/** The index behind the character, escape or class at `at`. */
function after(text: string, at: number): number {
  if (text[at] === '\\') return at + 1 + String.fromCodePoint(text.codePointAt(at + 1)!).length;
  if (text[at] !== '[') return at + 1;
  let end = at + 1;
  if (text[end] === '!' || text[end] === '^') end++;
  if (text[end] === ']') end++;
  while (text[end] !== ']') end += text[end] === '\\' ? 2 : 1;
  return end + 1;
}

/** Whether `path` matches, by a regular expression. */
export function oracleMatches(pattern: string, path: string, caseSensitive: boolean): boolean {
  return expandBraces(pattern).some((text) => {
    const segments = segmentsOf(text);
    let source = '';
    segments.forEach((segment, at) => {
      const last = at === segments.length - 1;
      if (segment === '**') source += last ? '[^/]+(?:/[^/]+)*' : '(?:[^/]+/)*';
      else source += piecesOf(segment).map(regexOf).join('') + (last ? '' : '/');
    });
    return new RegExp(`^(?:${source})$`, caseSensitive ? 'u' : 'iu').test(path);
  });
}

function segmentsOf(text: string): string[] {
  const segments: string[] = [];
  let start = 0;
  for (let at = 0; at < text.length; at = after(text, at)) {
    if (text[at] !== '/') continue;
    segments.push(text.slice(start, at));
    start = at + 1;
  }
  segments.push(start === text.length ? '**' : text.slice(start));
  return segments;
}

function piecesOf(segment: string): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < segment.length; ) {
    const wide = segment.codePointAt(at)! > 0xffff;
    const end = wide ? at + 2 : after(segment, at);
    pieces.push(segment.slice(at, end));
    at = end;
  }
  return pieces;
}

function regexOf(piece: string): string {
  if (piece === '*') return '[^/]*';
  if (piece === '?') return '[^/]';
  if (piece.startsWith('[')) return `(?!/)${classRegex(piece)}`;
  const character = piece.startsWith('\\') ? piece.slice(1) : piece;
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}

/** The class as JavaScript writes it: each member in hexadecimal, the dash of a range as it stands. */
function classRegex(piece: string): string {
  const negated = piece[1] === '!' || piece[1] === '^';
  const members = Array.from(piece.slice(negated ? 2 : 1, -1).replaceAll(/\\(.)/gu, '$1'));
  const written = members.map((member, at) => {
    const isRange = member === '-' && at > 0 && at < members.length - 1;
    return isRange ? '-' : `\\u{${member.codePointAt(0)!.toString(16)}}`;
  });
  return `[${negated ? '^' : ''}${written.join('')}]`;
}

/** Whether some valid path over UNIVERSE matches both. */
export function oracleOverlap(left: string, right: string, caseSensitive: boolean): boolean {
  const read = (text: string) => expandBraces(text).map((one) => readSegments(one, caseSensitive));
  const rights = read(right);
  return read(left).some((a) => rights.some((b) => segmentsMeet(a, b)));
}

/** A segment as the characters each place may hold; 'star' for any run; '**' for any number of segments. */
type Place = ReadonlySet<string> | 'star';
type Segment = readonly Place[] | '**';

const ANY_NAME: readonly Place[] = ['star'];

function readSegments(text: string, caseSensitive: boolean): Segment[] {
  const segments = segmentsOf(text).map((segment): Segment => {
    return segment === '**' ? '**' : piecesOf(segment).map((piece) => placeOf(piece, caseSensitive));
  });
  // At the end, at least one.
  return segments.at(-1) === '**' ? [...segments, ANY_NAME] : segments;
}

function placeOf(piece: string, caseSensitive: boolean): Place {
  if (piece === '*') return 'star';
  const regex = new RegExp(`^${regexOf(piece)}$`, caseSensitive ? 'u' : 'iu');
  return new Set(UNIVERSE.filter((character) => regex.test(character)));
}

function segmentsMeet(a: readonly Segment[], b: readonly Segment[]): boolean {
  const [headA, ...restA] = a;
  const [headB, ...restB] = b;
  if (headA === '**') {
    if (segmentsMeet(restA, b)) return true;
    if (headB === undefined) return false;
    if (headB === '**') return segmentsMeet(a, restB);
    return namesMeet(ANY_NAME, headB) && segmentsMeet(a, restB);
  }
  if (headB === '**') return segmentsMeet(b, a);
  if (headA === undefined || headB === undefined) return headA === headB;
  return namesMeet(headA, headB) && segmentsMeet(restA, restB);
}

function namesMeet(a: readonly Place[], b: readonly Place[]): boolean {
  const failed = new Set<string>();
  const go = (i: number, j: number, name: string): boolean => {
    const key = `${i} ${j} ${name}`;
    if (failed.has(key)) return false;
    failed.add(key);
    if (i === a.length && j === b.length) return name === 'name';
    if (a[i] === 'star' && go(i + 1, j, name)) return true;
    if (b[j] === 'star' && go(i, j + 1, name)) return true;
    if (i === a.length || j === b.length) return false;
    return UNIVERSE.some((character) => {
      const holds = (place: Place) => place === 'star' || place.has(character);
      if (!holds(a[i]!) || !holds(b[j]!)) return false;
      return go(a[i] === 'star' ? i : i + 1, b[j] === 'star' ? j : j + 1, nameAfter(name, character));
    });
  };
  return go(0, 0, '');
}

/** '' , '.' and '..' name no file; whatever else a segment holds does. */
function nameAfter(name: string, character: string): string {
  return name !== 'name' && character === '.' && name.length < 2 ? `${name}.` : 'name';
}
