import type { Automaton } from './automaton.ts';
import { ANY, DOT, hasPoint, SLASH } from './char-set.ts';
import { foldPoint } from './fold.ts';
import { takes } from './labels.ts';
import { statesAfter } from './simulation.ts';
import { nextValidity, VALID_END, validityAfter } from './validity.ts';
import { spend } from './work.ts';

/** Transitions tried before giving up: what determinising one pattern costs is exponential at worst. */
const WORK_MAX = 20_000;
/** Steps that one of these costs: see `workDone`. */
const STEPS_A_UNIT = 16;

interface State {
  readonly inner: number;
  readonly validity: number;
  /** All states that the outer automaton may be in, sorted. */
  readonly outer: readonly number[];
}

/**
 * Whether every valid path that `inner` accepts is accepted by `outer`; null where the search would grow too large to tell.
 * True is proven. False may also mean that only spellings that are not NFC tell the two apart.
 */
export function includes(outer: Automaton, inner: Automaton, caseSensitive: boolean): boolean | null {
  // With a longer literal beginning, `outer` demands text where `inner` has a choice.
  if (!inner.prefix.startsWith(outer.prefix)) return false;
  if (isAllBelow(outer)) return true;
  const alphabet = representatives([...labelsOf(outer), ...labelsOf(inner)], caseSensitive);
  if (alphabet === null) return null;
  const outerStart = statesAfter(outer, inner.prefix, outer.prefix.length).toSorted((a, b) => a - b);
  const validity = validityAfter(inner.prefix);
  const queue: State[] = inner.starts.map((start) => ({ inner: start, validity, outer: outerStart }));
  const seen = new Set(queue.map(keyOf));
  let work = 0;
  for (const state of queue) {
    if (isCounterexample(outer, inner, state)) return false;
    for (const next of successors(outer, inner, state, alphabet)) {
      const key = keyOf(next);
      if (seen.has(key)) continue;
      seen.add(key);
      queue.push(next);
    }
    const units = alphabet.length * (1 + state.outer.length);
    spend(STEPS_A_UNIT * units);
    work += units;
    if (work > WORK_MAX) return null;
  }
  return true;
}

/** `**`, `dir/**` and their like, which most scopes are made of: no valid path ends where they begin. */
function isAllBelow({ prefix, accepts, labels, sets }: Automaton): boolean {
  if (prefix !== '' && !prefix.endsWith('/')) return false;
  return accepts.length <= 2 && accepts.at(-1) === 1 && labels.every((label) => label < 0 && sets[~label]!.slash);
}

function keyOf(state: State): string {
  return `${state.inner} ${state.validity} ${state.outer.join(',')}`;
}

function isCounterexample(outer: Automaton, inner: Automaton, state: State): boolean {
  if (state.validity !== VALID_END || inner.accepts[state.inner] === 0) return false;
  return !state.outer.some((one) => outer.accepts[one] === 1);
}

function successors(outer: Automaton, inner: Automaton, state: State, alphabet: readonly number[]): State[] {
  const result: State[] = [];
  for (const point of alphabet) {
    const validity = nextValidity(state.validity, point);
    if (validity < 0) continue;
    const inners = step(inner, [state.inner], point);
    if (inners.length === 0) continue;
    const outers = step(outer, state.outer, point);
    for (const target of inners) result.push({ inner: target, validity, outer: outers });
  }
  return result;
}

function step(automaton: Automaton, states: readonly number[], point: number): readonly number[] {
  const next = new Set<number>();
  for (const state of states) {
    const end = automaton.first[state + 1]!;
    for (let edge = automaton.first[state]!; edge < end; edge++) {
      if (takes(automaton, automaton.labels[edge]!, point)) next.add(automaton.targets[edge]!);
    }
  }
  return [...next].toSorted((a, b) => a - b);
}

type Membership = (point: number) => boolean;

interface Label {
  readonly bounds: readonly number[];
  readonly has: Membership;
}

function labelsOf(automaton: Automaton): Label[] {
  return [...new Set(automaton.labels)].map((label) => {
    const ranges = label >= 0 ? [[label, label] as const] : automaton.sets[~label]!.ranges;
    return { bounds: ranges.flatMap(([low, high]) => [low, high + 1]), has: (point) => takes(automaton, label, point) };
  });
}

/**
 * One code point for each set of code points that no label tells apart; `/` and `.` stand for themselves. Of folded
 * paths, one that such a path may hold. Null if finding them would be too much work already.
 */
function representatives(labels: readonly Label[], caseSensitive: boolean): readonly number[] | null {
  const starts = [...ANY.ranges.map(([low]) => low), SLASH, SLASH + 1, DOT, ...labels.flatMap((label) => label.bounds)];
  const bounds = [...new Set(starts)].toSorted((a, b) => a - b);
  spend(STEPS_A_UNIT * bounds.length);
  if (bounds.length * labels.length > WORK_MAX) return null;
  spend(STEPS_A_UNIT * bounds.length * labels.length);
  const chosen = new Map<string, number>();
  for (const [at, low] of bounds.entries()) {
    const point = caseSensitive ? low : firstFolded(low, bounds[at + 1] ?? low + 1);
    if (point === null || !hasPoint(ANY, point)) continue;
    const own = point === SLASH || point === DOT ? String(point) : '';
    const key = own + labels.map((label) => (label.has(point) ? '1' : '0')).join('');
    if (!chosen.has(key)) chosen.set(key, point);
  }
  return [...chosen.values()];
}

/** Upper-case letters stand in rows of a hundred at most. */
function firstFolded(low: number, below: number): number | null {
  for (let point = low; point < below; point++) if (foldPoint(point) === point) return point;
  return null;
}
