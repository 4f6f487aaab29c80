import type { Clock } from '../../platform/clock.ts';
import { unavailable } from '../../platform/errors.ts';

/**
 * How long an answer may take. A late answer counts as none, and an agent that got none may go on as if nobody had been
 * asked: so a no in time is worth more than a yes too late.
 */
export class Patience {
  readonly #clock: Clock;
  #endsAtMs: number;

  constructor(clock: Clock, ms: number) {
    this.#clock = clock;
    this.#endsAtMs = clock.monotonicMs() + ms;
  }

  /** Time that is not ours: somebody is waited for. */
  extend(ms: number): void {
    this.#endsAtMs += ms;
  }

  /** @throws Problem 503 when `work` is not done in time; what it still does is nobody's answer any more */
  async demand<T>(work: Promise<T>): Promise<T> {
    const done = new AbortController();
    try {
      return await Promise.race([work, this.#run(done.signal)]);
    } finally {
      done.abort();
      work.catch(() => undefined);
    }
  }

  async #run(done: AbortSignal): Promise<never> {
    for (let leftMs = this.#left(); leftMs > 0; leftMs = this.#left()) {
      await this.#clock.sleep(leftMs, done).catch(() => undefined);
      if (done.aborted) return new Promise<never>(() => undefined);
    }
    throw unavailable('the database did not answer in time.');
  }

  #left(): number {
    return this.#endsAtMs - this.#clock.monotonicMs();
  }
}
