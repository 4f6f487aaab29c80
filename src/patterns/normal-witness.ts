import type { Ahead } from './ahead.ts';
import type { Automaton } from './automaton.ts';
import { commonRanges, type Ranges } from './char-set.ts';
import { foldPoint, unfoldPoint } from './fold.ts';
import { isInert, READABLE } from './inert.ts';
import { takes } from './labels.ts';
import { hasTooManyMarks } from './marks.ts';
import type { Meeting, Pair } from './meeting.ts';
import type { Outlook } from './outlook.ts';
import { nextValidity, VALID_END, validityAfter } from './validity.ts';
import { spend } from './work.ts';

/** Members of one class that are tried; beyond, the search is no longer exhaustive. */
const CANDIDATES_MAX = 256;
/** Spellings of the literal beginning's last cluster that are tried. */
const VARIANTS_MAX = 64;
/** Characters tried, and ranges of classes compared, after which the search gives up: some fifth of a millisecond. */
const WORK_MAX = 400;
/** Steps that one of these costs: see `workDone`. */
const STEPS_A_UNIT = 40;

interface Node {
  readonly a: number;
  readonly b: number;
  readonly validity: number;
  /** What the next code point may still compose with: the text from the last character on that is no mark; '' for an inert one. */
  readonly cluster: string;
  readonly text: string;
}

/** Whether `text` is NFC. Below U+0300 nothing composes with what stands before it, or is sorted. */
export function isNormal(text: string): boolean {
  return !/[\u0300-\uffff]/.test(text) || text.normalize('NFC') === text;
}

/**
 * A path in NFC that both automata accept, or null if there is none. For the rare pair whose first
 * witness, `candidate`, is no NFC text: `e*` and `*\u0301x` meet in `eq\u0301x`, `e?` and `?\u0301` nowhere.
 *
 * Exhaustive within bounds. Beyond them, which takes large classes none of which has a character that never composes, it
 * answers `candidate`: a conflict that may be none is better than one overlooked.
 */
export function normalWitness(ahead: Ahead, caseSensitive: boolean, candidate: string): string | null {
  const nodes = beginnings(ahead.meeting, caseSensitive);
  if (nodes === null) return candidate;
  const search = new Search(ahead, caseSensitive);
  const found = search.from(nodes.toReversed());
  spend(STEPS_A_UNIT * search.work);
  return found === null && !search.isExhaustive ? candidate : found;
}

/** The literal beginning in all cases that matter to what follows: only its last cluster can still compose. */
function beginnings(meeting: Meeting, caseSensitive: boolean): Node[] | null {
  spend(STEPS_A_UNIT * meeting.spelling.length);
  const at = clusterStart(meeting.spelling);
  const before = spelledNormally(meeting.spelling.slice(0, at), caseSensitive);
  const clusters = spellings(meeting.spelling.slice(at), caseSensitive);
  if (before === null || clusters === null) return null;
  const validity = validityAfter(meeting.prefix);
  return clusters
    .filter((cluster) => isNormal(before + cluster) && !hasTooManyMarks(before + cluster))
    .flatMap((cluster) => meeting.starts.map(([a, b]) => ({ a, b, validity, cluster, text: before + cluster })));
}

function clusterStart(text: string): number {
  return Math.max(0, text.search(/\P{M}\p{M}*$/u));
}

/** All ways to write `text` in other cases, itself first; null for too many. */
function spellings(text: string, caseSensitive: boolean): string[] | null {
  if (caseSensitive) return [text];
  let spelled = [''];
  for (const character of text) {
    const point = character.codePointAt(0)!;
    const points = [point, ...unfoldPoint(foldPoint(point)).filter((other) => other !== point)];
    spelled = spelled.flatMap((before) => points.map((other) => before + String.fromCodePoint(other)));
    if (spelled.length > VARIANTS_MAX) return null;
  }
  return spelled;
}

/** The beginning in such cases that it is NFC: folded, `j\u030c` is of `J\u030c`, which is, and of itself, which is not. */
function spelledNormally(text: string, caseSensitive: boolean): string | null {
  if (caseSensitive || isNormal(text)) return text;
  let before = '';
  for (const [cluster] of text.matchAll(/\p{M}+|\P{M}\p{M}*/gu)) {
    const last = before.slice(clusterStart(before));
    const normal = spellings(cluster, false)?.find((spelling) => isNormal(last + spelling));
    if (normal === undefined) return null;
    before += normal;
  }
  return before;
}

/** One search: what it has cost, and what need not be worked out again. */
class Search {
  readonly #pair: Pair;
  readonly #caseSensitive: boolean;
  /** Only what leads on is worth looking at, with characters that compose or without. */
  readonly #outlook: Outlook;
  readonly #tried = new Map<string, readonly number[]>();
  work = 0;
  /** Whether all members of every class were tried. */
  isExhaustive = true;

  constructor({ pair, outlook }: Ahead, caseSensitive: boolean) {
    this.#pair = pair;
    this.#caseSensitive = caseSensitive;
    this.#outlook = outlook;
  }

  /**
   * The text of the first node found that ends a path. The last node is looked at first: of the characters the most readable one,
   * and what goes on in both automata before what goes around.
   */
  from(nodes: Node[]): string | null {
    const { a, b } = this.#pair;
    const seen = new Set<string>();
    for (let node = nodes.pop(); node !== undefined; node = nodes.pop()) {
      if (node.validity === VALID_END && a.accepts[node.a] === 1 && b.accepts[node.b] === 1) return node.text;
      for (const next of this.#stepsFrom(node)) {
        const key = `${next.a} ${next.b} ${next.validity} ${next.cluster}`;
        if (seen.has(key)) continue;
        seen.add(key);
        nodes.push(next);
      }
      if (this.work > WORK_MAX) {
        this.isExhaustive = false;
        return null;
      }
    }
    return null;
  }

  #stepsFrom(node: Node): Node[] {
    const { a, b } = this.#pair;
    const nodes: Node[] = [];
    for (let edgeA = a.first[node.a]!; edgeA < a.first[node.a + 1]!; edgeA++) {
      for (let edgeB = b.first[node.b]!; edgeB < b.first[node.b + 1]!; edgeB++) {
        if (this.work > WORK_MAX) return nodes;
        // Whatever may follow a shorter beginning of a segment may follow a name.
        if (!this.#outlook.leadsOn(a.targets[edgeA]!, b.targets[edgeB]!, VALID_END)) continue;
        const points = this.#pointsOf(a.labels[edgeA]!, b.labels[edgeB]!);
        this.work += 1 + points.length;
        for (const point of points.toReversed()) {
          const next = follow(node, point, a.targets[edgeA]!, b.targets[edgeB]!);
          if (next !== null) nodes.push(next);
        }
      }
    }
    return nodes;
  }

  /** What to try where both labels are followed. */
  #pointsOf(labelA: number, labelB: number): readonly number[] {
    const key = `${labelA} ${labelB}`;
    const known = this.#tried.get(key);
    if (known !== undefined) return known;
    const common = commonLabel(this.#pair, labelA, labelB);
    const { points, exhaustive, looked } = candidatesOf(common, this.#caseSensitive, WORK_MAX - this.work);
    this.work += sizeOf(this.#pair.a, labelA) + sizeOf(this.#pair.b, labelB) + looked;
    this.isExhaustive &&= exhaustive;
    this.#tried.set(key, points);
    return points;
  }
}

function sizeOf(automaton: Automaton, label: number): number {
  return label < 0 ? automaton.sets[~label]!.ranges.length : 1;
}

function follow(node: Node, point: number, a: number, b: number): Node | null {
  const validity = nextValidity(node.validity, point);
  if (validity < 0) return null;
  const character = String.fromCodePoint(point);
  const joined = node.cluster + character;
  if (!isNormal(joined) || hasTooManyMarks(joined)) return null;
  return { a, b, validity, cluster: clusterOf(joined, character), text: node.text + character };
}

function clusterOf(joined: string, last: string): string {
  if (/^\p{M}$/u.test(last)) return joined;
  return isInert(last.codePointAt(0)!) ? '' : last;
}

/** What two labels share; as in the first search, never a slash that both would merely run over. */
function commonLabel({ a, b }: Pair, labelA: number, labelB: number): Ranges {
  if (labelA < 0 && labelB < 0) return commonRanges(a.sets[~labelA]!, b.sets[~labelB]!);
  const point = Math.max(labelA, labelB);
  const both = [
    [a, labelA],
    [b, labelB],
  ] as const;
  return both.every(([automaton, label]) => takes(automaton, label, point)) ? [[point, point]] : [];
}

/** Members to try, in all their cases if that matters. `looked`: code points looked at to find them, `mostLooked` at most. */
function candidatesOf(
  ranges: Ranges,
  caseSensitive: boolean,
  mostLooked: number,
): { points: readonly number[]; exhaustive: boolean; looked: number } {
  const readable = READABLE.find((point) => ranges.some(([low, high]) => point >= low && point <= high));
  if (readable !== undefined) return { points: [readable], exhaustive: true, looked: 1 };
  const active: number[] = [];
  let looked = 0;
  for (const [low, high] of ranges) {
    for (let point = low; point <= high; point++) {
      if (looked > mostLooked) return { points: [], exhaustive: false, looked };
      looked += 1;
      if (isInert(point)) return { points: [point], exhaustive: true, looked };
      // Some thousand are spelled otherwise wherever they stand.
      if (active.length < CANDIDATES_MAX && isNormal(String.fromCodePoint(point))) active.push(point);
    }
  }
  const points = caseSensitive ? active : active.flatMap((point) => unfoldPoint(point));
  return { points, exhaustive: active.length < CANDIDATES_MAX, looked };
}
