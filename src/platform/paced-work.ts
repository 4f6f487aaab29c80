/** What a piece of work costs besides what is counted. */
const COST_A_PIECE = 10;

/** What a piece returns after which the others are not needed. */
export const ENOUGH = Symbol('enough');

/** All long computing of this process, one after the other. */
const line: (() => void)[] = [];

/**
 * Resolves when it is its turn: one a turn of the event loop, first come first served. However much is computed at once, a
 * request that only passes through waits for one piece of it, and whoever has little to compute is not kept waiting
 * until what takes long is done.
 */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (line.push(resolve) === 1) setImmediate(callFirst);
  });
}

function callFirst(): void {
  line.shift()!();
  if (line.length > 0) setImmediate(callFirst);
}

/** Long computing, piece by piece: it lets everything else go on in between, and knows what it has cost. */
export class PacedWork {
  readonly #costSoFar: () => number;
  readonly #costATurn: number;
  #spent = 0;
  #sinceTurn = 0;

  /**
   * @param costSoFar of all such work in this process, in whatever unit
   * @param costATurn after which others have a turn
   */
  constructor(costSoFar: () => number, costATurn: number) {
    this.#costSoFar = costSoFar;
    this.#costATurn = costATurn;
  }

  /** What the pieces have cost; others' work in their turns is not part of it. */
  get spent(): number {
    return this.#spent;
  }

  do<T>(piece: () => T): T {
    const before = this.#costSoFar();
    const result = piece();
    const cost = COST_A_PIECE + this.#costSoFar() - before;
    this.#spent += cost;
    this.#sinceTurn += cost;
    return result;
  }

  /** Of each item a piece, in turns; until one returns `ENOUGH`. */
  async each<T>(items: Iterable<T>, piece: (item: T) => unknown): Promise<void> {
    for (const item of items) {
      // To await a turn that is not due would cost more than most pieces.
      if (this.#sinceTurn >= this.#costATurn) await this.#turn();
      if (this.do(() => piece(item)) === ENOUGH) return;
    }
  }

  async #turn(): Promise<void> {
    await nextTurn();
    this.#sinceTurn = 0;
  }
}
