import { type Automaton, NOT_SLASH_LABEL } from './automaton.ts';
import { DOT, SLASH } from './char-set.ts';
import { Gate, gatesOf } from './gate.ts';
import { meetLabels } from './labels.ts';
import type { Pair } from './meeting.ts';
import { endsFirst, Reaching } from './reaching.ts';
import { addState, addStates, clear, hasState, type StateSets, stateSets } from './state-sets.ts';
import { LOOP } from './step-dag.ts';
import { nextValidity, VALID_END, VALIDITY_START, VALIDITY_STATES } from './validity.ts';
import { spend } from './work.ts';

/** Steps that it costs to see what two labels share: see `workDone`. */
const STEPS_A_MEETING = 2;

/** The transitions of the second automaton that can be followed together with one label of the first, by what is read. */
type Gates = readonly [plain: Gate | null, dot: Gate | null, slash: Gate | null];

/**
 * From which places of a product a path can still be completed. Worked out from the ends, a state of the first automaton after
 * the other, at once for all states of the second: it costs about a step for each transition of the one and 32 states of
 * the other, however many places the product has.
 */
export class Outlook {
  readonly #pair: Pair;
  /** A set of states of the second automaton for each state of the first and each validity. */
  readonly #open: StateSets;
  /** The second automaton's transitions by their labels, and those labels that are sets. */
  readonly #own: ReadonlyMap<number, Gate>;
  readonly #sets: readonly number[];
  readonly #gates = new Map<number, Gates>();
  /** From which states of the second others are reached within a segment, and by whole segments where one begins. */
  readonly #reachingWithin: Reaching;
  #reachingAcross: Reaching | null = null;

  constructor(pair: Pair) {
    this.#pair = pair;
    this.#open = stateSets(pair.b, setOf(pair.a.accepts.length + 2, 0));
    this.#own = gatesOf(pair.b);
    this.#sets = [...this.#own.keys()].filter((label) => label < 0);
    this.#reachingWithin = new Reaching(pair.b, stepsWithin(pair.b));
    for (const state of endsFirst(pair.a)) this.#survey(state);
  }

  leadsOn(first: number, second: number, validity: number): boolean {
    return hasState(this.#open, setOf(first, validity), second);
  }

  #survey(state: number): void {
    const { a, b } = this.#pair;
    // Looked at together with its beginning.
    if (a.loops[state] === LOOP.inside) return;
    if (a.accepts[state] === 1) {
      for (let end = 0; end < b.accepts.length; end += 1)
        if (b.accepts[end] === 1) addState(this.#open, setOf(state, VALID_END), end);
    }
    for (let edge = a.first[state]!; edge < a.first[state + 1]!; edge += 1) {
      const target = a.targets[edge]!;
      if (target !== state && a.loops[target] !== LOOP.inside) this.#follow(state, a.labels[edge]!, target);
    }
    if (a.loops[state] === LOOP.globstar) this.#goAround(state, state + 1);
    else if (a.loops[state] !== LOOP.none) this.#goAround(state, state);
  }

  #follow(state: number, label: number, target: number): void {
    const gates = this.#gatesOf(label);
    this.#followWithin(state, gates, target);
    this.#followSlash(state, gates, target);
  }

  /** A loop is in `outer` where a segment begins, and else in `inner`. */
  #goAround(outer: number, inner: number): void {
    this.#goOnWithin(outer, inner);
    if (this.#pair.a.loops[outer] === LOOP.star) return;
    this.#reachingAcross ??= new Reaching(this.#pair.b, this.#stepsAcross());
    this.#reachingAcross.addTo(this.#open, setOf(outer, VALIDITY_START));
    if (this.#followSlash(inner, this.#gatesOf(SLASH), outer)) this.#goOnWithin(outer, inner);
  }

  #goOnWithin(outer: number, inner: number): void {
    const gates = this.#gatesOf(NOT_SLASH_LABEL);
    this.#reachingWithin.addTo(this.#open, setOf(inner, VALID_END));
    this.#followWithin(inner, gates, inner);
    if (inner !== outer) this.#followWithin(outer, gates, inner);
  }

  /** For each state of the second automaton where a segment may begin, from where it is come to by one whole segment. */
  #stepsAcross(): StateSets {
    const { b } = this.#pair;
    const steps = stateSets(b, b.accepts.length);
    const [, , slash] = this.#gatesOf(SLASH);
    for (const state of slash?.targets ?? []) {
      const place = this.#nowhere;
      for (let validity = 0; validity < VALIDITY_STATES; validity += 1) clear(this.#open, setOf(place, validity));
      addState(this.#open, setOf(place, VALIDITY_START), state);
      this.#followSlash(place, this.#gatesOf(SLASH), place);
      clear(this.#open, setOf(place, VALIDITY_START));
      this.#goOnWithin(place, place);
      addStates(steps, state, this.#open, setOf(place, VALIDITY_START));
    }
    return steps;
  }

  #followWithin(state: number, [plain, dot]: Gates, target: number): void {
    // Whatever stands before it, a character that is no dot makes it a name.
    if (plain !== null) {
      const scratch = setOf(this.#nowhere + 1, 0);
      clear(this.#open, scratch);
      plain.addBefore(this.#open, scratch, setOf(target, VALID_END));
      for (let validity = 0; validity < VALIDITY_STATES; validity += 1)
        addStates(this.#open, setOf(state, validity), this.#open, scratch);
    }
    if (dot === null) return;
    // The later ones first: a state that is its own target learns from them.
    for (let validity = VALIDITY_STATES - 1; validity >= 0; validity -= 1)
      dot.addBefore(this.#open, setOf(state, validity), setOf(target, nextValidity(validity, DOT)));
  }

  /** Returns whether it leads from anywhere that nothing was known to lead from. */
  #followSlash(state: number, [, , slash]: Gates, target: number): boolean {
    return slash?.addBefore(this.#open, setOf(state, VALID_END), setOf(target, VALIDITY_START)) ?? false;
  }

  /** No state of the first automaton: its sets are for what is only worked out on the way. */
  get #nowhere(): number {
    return this.#pair.a.accepts.length;
  }

  #gatesOf(label: number): Gates {
    const known = this.#gates.get(label);
    if (known !== undefined) return known;
    const { a, b } = this.#pair;
    const gates: [Gate | null, Gate | null, Gate | null] = [null, null, null];
    for (const other of this.#labelsToMeet(label)) {
      spend(STEPS_A_MEETING);
      const point = meetLabels(a, b, label, other);
      if (point < 0) continue;
      const kind = point === SLASH ? 2 : point === DOT ? 1 : 0;
      (gates[kind] ??= new Gate(b)).addAll(this.#own.get(other)!);
    }
    this.#gates.set(label, gates);
    return gates;
  }

  /** Labels of the second automaton with which something may be shared: of code points only the same one. */
  #labelsToMeet(label: number): readonly number[] {
    if (label < 0) return [...this.#own.keys()];
    return this.#own.has(label) ? [label, ...this.#sets] : this.#sets;
  }
}

const setOf = (first: number, validity: number): number => first * VALIDITY_STATES + validity;

/** For each state those that lead to it by something else than a slash. */
function stepsWithin(automaton: Automaton): StateSets {
  const { accepts, first, labels, targets, sets } = automaton;
  const steps = stateSets(automaton, accepts.length);
  for (let state = 0; state < accepts.length; state += 1) {
    for (let edge = first[state]!; edge < first[state + 1]!; edge += 1) {
      const label = labels[edge]!;
      if (label < 0 ? sets[~label]!.favourite >= 0 : label !== SLASH) addState(steps, targets[edge]!, state);
    }
  }
  return steps;
}
