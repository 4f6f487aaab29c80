import { setImmediate as nextTurn } from 'node:timers/promises';

/** What a piece of work costs besides what is counted. */
const COST_A_PIECE = 10;

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

  /** To be looked at between pieces: to await a turn that is not due would cost more than most of them. */
  get isTurnDue(): boolean {
    return this.#sinceTurn >= this.#costATurn;
  }

  async turn(): Promise<void> {
    await nextTurn();
    this.#sinceTurn = 0;
  }
}
