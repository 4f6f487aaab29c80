import type { Automaton } from './automaton.ts';
import { type Meeting, mirrored, type Pair } from './meeting.ts';
import { Outlook } from './outlook.ts';
import { LOOP } from './step-dag.ts';

/** What lies ahead of where two automata meet: worked out once it is asked for, by whoever asks first, and for all of them. */
export class Ahead {
  readonly #given: readonly [Pair, Meeting];
  #cheaper: readonly [Pair, Meeting] | null = null;
  #outlook: Outlook | null = null;

  constructor(pair: Pair, meeting: Meeting) {
    this.#given = [pair, meeting];
  }

  /** The same two, perhaps the other way around. */
  get pair(): Pair {
    return this.#way[0];
  }

  get meeting(): Meeting {
    return this.#way[1];
  }

  /** Of `pair`. */
  get outlook(): Outlook {
    return (this.#outlook ??= new Outlook(this.pair));
  }

  get #way(): readonly [Pair, Meeting] {
    return (this.#cheaper ??= cheaperWay(...this.#given));
  }
}

/** An outlook costs the less the fewer loops over several segments the first of the two has. */
function cheaperWay({ a, b }: Pair, meeting: Meeting): [Pair, Meeting] {
  return longLoops(a) > longLoops(b) ? [{ a: b, b: a }, mirrored(meeting)] : [{ a, b }, meeting];
}

const longLoops = ({ loops }: Automaton): number =>
  loops.reduce((count, loop) => count + (loop === LOOP.globstar || loop === LOOP.any ? 1 : 0), 0);
