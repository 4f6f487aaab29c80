import type { Automaton } from './automaton.ts';
import { SLASH } from './char-set.ts';
import { spend } from './work.ts';

const BITS = 32;
/** Steps that it costs to put one end of a range in its place: see `workDone`. */
const STEPS_AN_END = 4;

/** From `point` on, the label in this place takes code points, or does not any more. */
interface Change {
  readonly point: number;
  readonly place: number;
}

/**
 * The code points by what the labels of an automaton make of them: those of one interval are taken by the same labels. A path
 * may be of a thousand different ones, and to ask each label about each of them costs more than all the rest.
 */
export class Alphabet {
  /** The distinct labels; below they are called by their place here. */
  readonly labels: readonly number[];
  /** The first code point of each interval, in order. */
  readonly #starts: Int32Array;
  /** A bit for each label, interval by interval. */
  readonly #taking: Int32Array;
  readonly #words: number;

  constructor(automaton: Automaton) {
    this.labels = [...new Set(automaton.labels)];
    this.#words = (this.labels.length + BITS - 1) >> 5;
    const changes = this.labels.flatMap((label, place) => changesOf(automaton, label, place));
    changes.sort((one, other) => one.point - other.point);
    spend(STEPS_AN_END * changes.length);
    this.#starts = Int32Array.from(new Set([0, ...changes.map(({ point }) => point)]));
    this.#taking = this.#sweep(changes);
  }

  /** @returns its number */
  intervalOf(point: number): number {
    let [low, high] = [0, this.#starts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#starts[middle]! <= point) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  isTaken(interval: number, place: number): boolean {
    return (this.#taking[interval * this.#words + (place >> 5)]! & (1 << (place & 31))) !== 0;
  }

  /** Each label begins and ends in turn: each of its changes is the opposite of the one before. */
  #sweep(changes: readonly Change[]): Int32Array {
    const words = this.#words;
    const taking = new Int32Array(this.#starts.length * words);
    let at = 0;
    this.#starts.forEach((start, interval) => {
      if (interval > 0) taking.copyWithin(interval * words, (interval - 1) * words, interval * words);
      for (; at < changes.length && changes[at]!.point === start; at += 1) {
        const { place } = changes[at]!;
        taking[interval * words + (place >> 5)]! ^= 1 << (place & 31);
      }
    });
    spend(taking.length);
    return taking;
  }
}

function changesOf({ sets }: Automaton, label: number, place: number): Change[] {
  const around = (low: number, high: number): Change[] => [
    { point: low, place },
    { point: high + 1, place },
  ];
  if (label >= 0) return around(label, label);
  const { ranges, slash } = sets[~label]!;
  return [...ranges.flatMap(([low, high]) => around(low, high)), ...(slash ? around(SLASH, SLASH) : [])];
}
