import type { Automaton } from './automaton.ts';
import { follow, type Moves, movesIn, type StateSet, stateSet, statesIn, type Wiring, wiringOf } from './wiring.ts';

/** An automaton in many states at once: all of them go on together, by a step for each 32 that go on alike. */
export class Crowd {
  readonly #automaton: Automaton;
  readonly #wiring: Wiring;
  /** By interval of code points, worked out when one of it is read. */
  readonly #moves = new Map<number, Moves>();
  #now: StateSet;
  #next: StateSet;

  constructor(automaton: Automaton, states: readonly number[]) {
    this.#automaton = automaton;
    this.#wiring = wiringOf(automaton);
    this.#now = stateSet(automaton, states);
    this.#next = stateSet(automaton, []);
  }

  read(point: number): void {
    const [now, next] = [this.#now, this.#next.fill(0)];
    follow(this.#movesIn(this.#wiring.alphabet.intervalOf(point)), now, next);
    [this.#now, this.#next] = [next, now];
  }

  #movesIn(interval: number): Moves {
    const known = this.#moves.get(interval);
    if (known !== undefined) return known;
    const moves = movesIn(this.#wiring, interval);
    this.#moves.set(interval, moves);
    return moves;
  }

  get states(): readonly number[] {
    return statesIn(this.#automaton, this.#now);
  }
}
