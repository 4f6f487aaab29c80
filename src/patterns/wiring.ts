import { Alphabet } from './alphabet.ts';
import type { Automaton } from './automaton.ts';
import { spend } from './work.ts';

const BITS = 32;
/** Steps that it costs to find a transition's slot: see `workDone`. */
const STEPS_A_TRANSITION = 20;

/** A bit for each state, with a word before the first and one behind the last. */
export type StateSet = Int32Array;

/**
 * What one code point does to a set of states, move by move. Where there is a `SHIFT`, the states `TARGETS` of the word `INTO` are
 * entered from those equally far before them, which begin at that bit of the word `FROM`; where it is `NONE`, all of them are
 * from any of the states `SOURCES` of that word.
 */
export type Moves = Int32Array;
const [INTO, TARGETS, FROM, SOURCES, SHIFT, COLUMNS] = [0, 1, 2, 3, 4, 5];
const NONE = -1;

/** The transitions of an automaton as `Moves` are made of them. */
export interface Wiring {
  readonly alphabet: Alphabet;
  /** Moves of no transitions yet. */
  readonly slots: Moves;
  /** Of each label of the alphabet its transitions, each as two numbers: where its bit is to be put, and the bit. */
  readonly byLabel: readonly Int32Array[];
}

const known = new WeakMap<Automaton, Wiring>();

/** Worked out when it is first asked for: only what is costly needs it. */
export function wiringOf(automaton: Automaton): Wiring {
  const before = known.get(automaton);
  if (before !== undefined) return before;
  const alphabet = new Alphabet(automaton);
  const places = new Map(alphabet.labels.map((label, place) => [label, place]));
  const transitions = transitionsOf(automaton);
  const ways = transitions.map(waysOf);
  const sizes = new Map<string, number>();
  for (const { name } of ways.flat()) sizes.set(name, (sizes.get(name) ?? 0) + 1);
  const slots: number[] = [];
  const slotAt = new Map<string, number>();
  const byLabel = alphabet.labels.map((): number[] => []);
  transitions.forEach(({ label }, at) => {
    const { name, move, column, bit } = ways[at]!.reduce((a, b) => (sizes.get(b.name)! > sizes.get(a.name)! ? b : a));
    const slot = slotAt.get(name) ?? slots.length;
    if (slot === slots.length) slots.push(...move);
    slotAt.set(name, slot);
    byLabel[places.get(label)!]!.push(slot + column, bit);
  });
  spend(STEPS_A_TRANSITION * transitions.length);
  const wiring = { alphabet, slots: Int32Array.from(slots), byLabel: byLabel.map((pairs) => Int32Array.from(pairs)) };
  known.set(automaton, wiring);
  return wiring;
}

interface Transition {
  readonly source: number;
  readonly target: number;
  readonly label: number;
}

function transitionsOf({ accepts, first, labels, targets }: Automaton): Transition[] {
  const transitions: Transition[] = [];
  for (let source = 0; source < accepts.length; source += 1) {
    for (let edge = first[source]!; edge < first[source + 1]!; edge += 1)
      transitions.push({ source, target: targets[edge]!, label: labels[edge]! });
  }
  return transitions;
}

/** One way in which a transition may be part of a move, together with others of the same name. */
interface Way {
  readonly name: string;
  /** `COLUMNS` numbers; what `bit` is put into is 0 as yet. */
  readonly move: readonly number[];
  readonly column: number;
  readonly bit: number;
}

/** With others that lead equally far, into the same state, or out of the same one. */
function waysOf({ source, target }: Transition): Way[] {
  const [from, into] = [source >> 5, target >> 5];
  const [sourceBit, targetBit] = [1 << (source & 31), 1 << (target & 31)];
  // The state that leads to the first of that word, were there one so far before it.
  const begin = BITS * into - (target - source);
  return [
    {
      name: `far ${into} ${target - source}`,
      move: [1 + into, 0, 1 + (begin >> 5), 0, begin & 31],
      column: TARGETS,
      bit: targetBit,
    },
    {
      name: `into ${target} ${from}`,
      move: [1 + into, targetBit, 1 + from, 0, NONE],
      column: SOURCES,
      bit: sourceBit,
    },
    {
      name: `from ${source} ${into}`,
      move: [1 + into, 0, 1 + from, sourceBit, NONE],
      column: TARGETS,
      bit: targetBit,
    },
  ];
}

/** What a code point of an interval does. In plain loops: there may be as many intervals as code points. */
export function movesIn({ alphabet, slots, byLabel }: Wiring, interval: number): Moves {
  const moves = slots.slice();
  let steps = byLabel.length + moves.length / COLUMNS;
  for (let label = 0; label < byLabel.length; label += 1) {
    if (!alphabet.isTaken(interval, label)) continue;
    const transitions = byLabel[label]!;
    steps += transitions.length / 2;
    for (let at = 0; at < transitions.length; at += 2) moves[transitions[at]!]! |= transitions[at + 1]!;
  }
  spend(steps);
  let end = 0;
  for (let move = 0; move < moves.length; move += COLUMNS) {
    if (moves[move + TARGETS] === 0 || (moves[move + SHIFT] === NONE && moves[move + SOURCES] === 0)) continue;
    moves.copyWithin(end, move, move + COLUMNS);
    end += COLUMNS;
  }
  return moves.slice(0, end);
}

/** From the states of `now` to those of `next`, which is empty. */
export function follow(moves: Moves, now: StateSet, next: StateSet): void {
  for (let move = 0; move < moves.length; move += COLUMNS) {
    const [from, shift, targets] = [moves[move + FROM]!, moves[move + SHIFT]!, moves[move + TARGETS]!];
    let entered = targets;
    if (shift === NONE) entered = (now[from]! & moves[move + SOURCES]!) === 0 ? 0 : targets;
    else entered &= shift === 0 ? now[from]! : (now[from]! >>> shift) | (now[from + 1]! << (BITS - shift));
    next[moves[move + INTO]!]! |= entered;
  }
  spend(1 + moves.length / COLUMNS);
}

export function stateSet({ accepts }: Automaton, states: readonly number[]): StateSet {
  const set = new Int32Array(((accepts.length + BITS - 1) >> 5) + 2);
  for (const state of states) set[1 + (state >> 5)]! |= 1 << (state & 31);
  return set;
}

export function statesIn({ accepts }: Automaton, set: StateSet): number[] {
  return Array.from(accepts, (_, state) => state).filter((state) => hasBit(set[1 + (state >> 5)]!, state));
}

const hasBit = (word: number, state: number): boolean => (word & (1 << (state & 31))) !== 0;
