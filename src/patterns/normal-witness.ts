import type { Automaton } from './automaton.ts';
import { commonRanges, hasPoint, type Ranges } from './char-set.ts';
import { foldPoint, unfoldPoint } from './fold.ts';
import type { Meeting } from './meeting.ts';
import { nextValidity, VALID_END, validityAfter } from './validity.ts';

/** Members of one class that are tried; beyond, the search is no longer exhaustive. */
const CANDIDATES_MAX = 256;
/** Spellings of the literal beginning's last cluster that are tried. */
const VARIANTS_MAX = 64;
/** States after which the search gives up. */
const STATES_MAX = 10_000;

/** These compose with nothing, before or behind: where one is allowed, nothing else need be tried. */
const INERT = Array.from('q0123456789_-QX,;:()!@#%&~+*?', (character) => character.codePointAt(0)!);
const IDEOGRAPHS: Ranges = [[0x4e00, 0x9fff]];

interface Node {
  readonly a: number;
  readonly b: number;
  readonly validity: number;
  /** What the next code point may still compose with: the text from the last character on that is no mark. */
  readonly cluster: string;
  readonly text: string;
}

/** Whether `text` is NFC. Below U+0300 nothing composes with what stands before it, or is sorted. */
export function isNormal(text: string): boolean {
  return !/[\u0300-\uffff]/.test(text) || text.normalize('NFC') === text;
}

/**
 * A shortest path in NFC that both automata accept, or null if there is none. For the rare pair whose first
 * witness, `candidate`, is no NFC text: `e*` and `*\u0301x` meet in `eq\u0301x`, `e?` and `?\u0301` nowhere.
 *
 * Exhaustive within bounds. Beyond them, which takes classes of more than 256 characters none of which is an
 * ordinary letter or digit, it answers `candidate`: a conflict that may be none is better than one overlooked.
 */
export function normalWitness(
  a: Automaton,
  b: Automaton,
  meeting: Meeting,
  caseSensitive: boolean,
  candidate: string,
): string | null {
  const queue = beginnings(meeting, caseSensitive);
  if (queue === null) return candidate;
  const seen = new Set<string>();
  let exhaustive = true;
  for (const node of queue) {
    if (node.validity === VALID_END && a.accepts[node.a] === 1 && b.accepts[node.b] === 1) return node.text;
    const steps = stepsFrom(a, b, node, caseSensitive);
    exhaustive &&= steps.exhaustive;
    for (const next of steps.nodes) {
      const key = `${next.a} ${next.b} ${next.validity} ${next.cluster}`;
      if (seen.has(key)) continue;
      seen.add(key);
      queue.push(next);
    }
    if (queue.length > STATES_MAX) return candidate;
  }
  return exhaustive ? null : candidate;
}

/** The literal beginning in all cases that matter to what follows: only its last cluster can still compose. */
function beginnings(meeting: Meeting, caseSensitive: boolean): Node[] | null {
  const at = clusterStart(meeting.spelling);
  const before = meeting.spelling.slice(0, at);
  let clusters = [''];
  for (const character of meeting.spelling.slice(at)) {
    const points = caseSensitive ? [character.codePointAt(0)!] : unfoldPoint(foldPoint(character.codePointAt(0)!));
    clusters = clusters.flatMap((cluster) => points.map((point) => cluster + String.fromCodePoint(point)));
    if (clusters.length > VARIANTS_MAX) return null;
  }
  if (!caseSensitive && !isNormal(before)) return null;
  const validity = validityAfter(meeting.prefix);
  return clusters
    .filter((cluster) => isNormal(before + cluster))
    .flatMap((cluster) => meeting.starts.map(([a, b]) => ({ a, b, validity, cluster, text: before + cluster })));
}

function clusterStart(text: string): number {
  return Math.max(0, text.search(/\P{M}\p{M}*$/u));
}

function stepsFrom(a: Automaton, b: Automaton, node: Node, caseSensitive: boolean) {
  const nodes: Node[] = [];
  let exhaustive = true;
  for (let edgeA = a.first[node.a]!; edgeA < a.first[node.a + 1]!; edgeA++) {
    for (let edgeB = b.first[node.b]!; edgeB < b.first[node.b + 1]!; edgeB++) {
      const candidates = candidatesOf(commonLabel(a, b, a.labels[edgeA]!, b.labels[edgeB]!));
      exhaustive &&= candidates.exhaustive;
      const points = caseSensitive ? candidates.points : candidates.points.flatMap((point) => unfoldPoint(point));
      for (const point of points) {
        const next = follow(node, point, a.targets[edgeA]!, b.targets[edgeB]!);
        if (next !== null) nodes.push(next);
      }
    }
  }
  return { nodes, exhaustive };
}

function follow(node: Node, point: number, a: number, b: number): Node | null {
  const validity = nextValidity(node.validity, point);
  if (validity < 0) return null;
  const character = String.fromCodePoint(point);
  const joined = node.cluster + character;
  if (!isNormal(joined)) return null;
  return { a, b, validity, cluster: /^\p{M}$/u.test(character) ? joined : character, text: node.text + character };
}

/** What two labels share; as in the first search, never a slash that both would merely run over. */
function commonLabel(a: Automaton, b: Automaton, labelA: number, labelB: number): Ranges {
  if (labelA < 0 && labelB < 0) return commonRanges(a.sets[~labelA]!, b.sets[~labelB]!);
  const point = Math.max(labelA, labelB);
  const both = [
    [a, labelA],
    [b, labelB],
  ] as const;
  const taken = both.every(([automaton, label]) =>
    label >= 0 ? label === point : hasPoint(automaton.sets[~label]!, point),
  );
  return taken ? [[point, point]] : [];
}

function candidatesOf(ranges: Ranges): { points: number[]; exhaustive: boolean } {
  const inside = (point: number) => ranges.some(([low, high]) => point >= low && point <= high);
  const inert = INERT.find(inside) ?? firstCommon(ranges, IDEOGRAPHS);
  if (inert !== undefined) return { points: [inert], exhaustive: true };
  const points: number[] = [];
  for (const [low, high] of ranges) {
    for (let point = low; point <= high; point++) {
      if (points.length === CANDIDATES_MAX) return { points, exhaustive: false };
      points.push(point);
    }
  }
  return { points, exhaustive: true };
}

function firstCommon(a: Ranges, b: Ranges): number | undefined {
  for (const [low, high] of a) {
    for (const [from, to] of b) if (Math.max(low, from) <= Math.min(high, to)) return Math.max(low, from);
  }
  return undefined;
}
