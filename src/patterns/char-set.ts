import { casedPoints, foldPoint, unfoldPoint } from './fold.ts';
import { spend } from './work.ts';

/** Inclusive ranges of code points. */
export type Ranges = readonly (readonly [low: number, high: number])[];

/** A set of code points that a path may hold. */
export interface CharSet {
  /** Members below U+0080, one bit each. */
  readonly ascii: readonly [number, number, number, number];
  /** Sorted, disjoint, neither `/` nor anything a path may not hold (see {@link CharSet.slash}). */
  readonly ranges: Ranges;
  /** Whether `/` is a member too. Only the set behind `**` has it. */
  readonly slash: boolean;
  /** The member that reads best in a witness, `.` only if there is no other; -1 if there is none but `/`. */
  readonly favourite: number;
}

export const SLASH = 0x2f;
export const DOT = 0x2e;
const MAX = 0x10ffff;
/** Steps that it costs to make a set, and each range of it: see `workDone`. */
const STEPS_TO_MAKE = 100;
const STEPS_TO_MAKE_RANGE = 5;

/** Control characters, surrogates, and the separator, which is no member of any segment. */
const FORBIDDEN: Ranges = [
  [0x00, 0x1f],
  [SLASH, SLASH],
  [0x7f, 0x9f],
  [0xd800, 0xdfff],
];
const SEGMENT: Ranges = complement(FORBIDDEN);
const CASED = casedPoints();
/** What each of them may be written as besides. */
const OTHER_CASES = CASED.map((point) => unfoldPoint(foldPoint(point)).filter((other) => other !== point));

/** ASCII in the order a reader likes it, then some letters that compose with nothing. */
const PREFERRED = points(
  'axbcdefghijklmnopqrstuvwyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_-+=~@#%,;:()!$&^\'"<>|[]{}?* `\\éñжλ中あ한😀',
);

/** Sets of those below U+0080, the more readable before the others: of one set the first is taken. */
const READABLE_ASCII = [/a/, /x/, /[a-z]/, /\d/, /[A-Z]/, /[^./]/].map((isMember) =>
  asciiBits(PREFERRED.filter((point) => point < 0x80 && isMember.test(String.fromCharCode(point)))),
);

/** What `?` and `*` run over: a code point of one segment. */
export const NOT_SLASH: CharSet = makeSet(SEGMENT, false);
/** What `**` runs over. */
export const ANY: CharSet = makeSet(SEGMENT, true);

/**
 * The set of a class `[…]`. With `folded`, each member's other cases are members too, and `[!x]` excludes `X`:
 * the set is then the same asked of a path or of the folded path.
 */
export function classSet(ranges: Ranges, negated: boolean, folded: boolean): CharSet {
  const own = merge(ranges);
  const written = folded ? merge([...own, ...otherCases(own)]) : own;
  return makeSet(intersect(negated ? complement(written) : written, SEGMENT), false);
}

/** The only member under folding, folded if so asked; -1 if there are several. */
export function onlyPoint(set: CharSet, folded: boolean): number {
  const point = set.ranges[0]?.[0] ?? -1;
  if (set.slash || point < 0) return -1;
  const only = folded ? foldPoint(point) : point;
  const same = (other: number) => (folded ? foldPoint(other) : other) === only;
  return set.ranges.every(([low, high]) => high - low < 2 && same(low) && same(high)) ? only : -1;
}

export function hasPoint(set: CharSet, point: number): boolean {
  if (point < 0x80) {
    if (point === SLASH) return set.slash;
    return ((set.ascii[point >> 5]! >>> (point & 31)) & 1) === 1;
  }
  let low = 0;
  let high = set.ranges.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const [from, to] = set.ranges[middle]!;
    if (point < from) high = middle - 1;
    else if (point > to) low = middle + 1;
    else return true;
  }
  return false;
}

/** The best member that two sets share, never `/`; -1 if there is none. */
export function commonPoint(a: CharSet, b: CharSet): number {
  if (a.ranges === SEGMENT) return b.favourite;
  if (b.ranges === SEGMENT) return a.favourite;
  if (!boundsMeet(a.ranges, b.ranges)) return -1;
  if (hasPoint(b, a.favourite)) return a.favourite;
  if (hasPoint(a, b.favourite)) return b.favourite;
  for (const group of READABLE_ASCII) {
    for (let word = 0; word < group.length; word++) {
      const common = a.ascii[word]! & b.ascii[word]! & group[word]!;
      if (common !== 0) return 32 * word + 31 - Math.clz32(common & -common);
    }
  }
  return firstCommon(a.ranges, b.ranges);
}

/** Whether the sets lie in rows of which one does not end before the other begins. */
function boundsMeet(a: Ranges, b: Ranges): boolean {
  if (a.length === 0 || b.length === 0) return false;
  return a[0]![0] <= b.at(-1)![1] && b[0]![0] <= a.at(-1)![1];
}

/** The dot only if there is no other. */
function firstCommon(a: Ranges, b: Ranges): number {
  let found = -1;
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length && (found < 0 || found === DOT)) {
    const low = Math.max(a[i]![0], b[j]![0]);
    const high = Math.min(a[i]![1], b[j]![1]);
    if (low <= high) found = low;
    if (a[i]![1] < b[j]![1]) i++;
    else j++;
  }
  spend(i + j);
  return found;
}

/** The ranges that two sets share, without `/`. */
export function commonRanges(a: CharSet, b: CharSet): Ranges {
  return a === b ? a.ranges : intersect(a.ranges, b.ranges);
}

function makeSet(ranges: Ranges, slash: boolean): CharSet {
  spend(STEPS_TO_MAKE + STEPS_TO_MAKE_RANGE * ranges.length);
  const ascii: [number, number, number, number] = [0, 0, 0, 0];
  for (const [from, to] of ranges) {
    for (let point = from; point <= Math.min(to, 0x7f); point++) ascii[point >> 5]! |= 1 << (point & 31);
  }
  return { ascii, ranges, slash, favourite: favouriteOf(ranges) };
}

function asciiBits(members: readonly number[]): readonly number[] {
  const words = [0, 0, 0, 0];
  for (const point of members) words[point >> 5]! |= 1 << (point & 31);
  return words;
}

function favouriteOf(ranges: Ranges): number {
  if (ranges.length === 0) return -1;
  const inside = (point: number) => ranges.some(([from, to]) => point >= from && point <= to);
  const preferred = PREFERRED.find(inside);
  if (preferred !== undefined) return preferred;
  return ranges.find(([from, to]) => from !== DOT || to !== DOT)?.[0] ?? DOT;
}

/** What members of `ranges`, sorted and disjoint, may be written as in another case, where that lies outside. */
function otherCases(ranges: Ranges): Ranges {
  const inside = (point: number) => ranges.some(([low, high]) => point >= low && point <= high);
  const others: (readonly [number, number])[] = [];
  for (const [low, high] of ranges) {
    for (let at = firstAtLeast(CASED, low); at < CASED.length && CASED[at]! <= high; at++) {
      for (const other of OTHER_CASES[at]!)
        if ((other < low || other > high) && !inside(other)) others.push([other, other]);
    }
  }
  return others;
}

function firstAtLeast(sorted: readonly number[], wanted: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

function merge(ranges: Ranges): Ranges {
  const sorted = ranges.toSorted((a, b) => a[0] - b[0]);
  const merged: [number, number][] = [];
  for (const [from, to] of sorted) {
    const last = merged.at(-1);
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else merged.push([from, to]);
  }
  return merged;
}

/** `ranges` sorted and disjoint. */
function complement(ranges: Ranges): Ranges {
  const rest: [number, number][] = [];
  let next = 0;
  for (const [from, to] of ranges) {
    if (from > next) rest.push([next, from - 1]);
    next = to + 1;
  }
  if (next <= MAX) rest.push([next, MAX]);
  return rest;
}

/** Both sorted and disjoint. */
function intersect(a: Ranges, b: Ranges): Ranges {
  const both: [number, number][] = [];
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    const low = Math.max(a[i]![0], b[j]![0]);
    const high = Math.min(a[i]![1], b[j]![1]);
    if (low <= high) both.push([low, high]);
    if (a[i]![1] < b[j]![1]) i++;
    else j++;
  }
  return both;
}

function points(text: string): readonly number[] {
  return Array.from(text, (character) => character.codePointAt(0)!);
}
