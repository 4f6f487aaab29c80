import { busy } from './errors.ts';

/**
 * At most `concurrency` holders a key at a time, first come first served, at most `queue` waiting. It keeps one org
 * from taking every database connection of a server.
 */
export class KeyedLimiter {
  readonly #concurrency: number;
  readonly #queue: number;
  readonly #slots = new Map<string, { running: number; waiting: (() => void)[] }>();

  constructor(limits: { concurrency: number; queue: number }) {
    this.#concurrency = limits.concurrency;
    this.#queue = limits.queue;
  }

  /** @throws Problem 429 when the queue of that key is full. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    await this.#enter(key);
    try {
      return await work();
    } finally {
      this.#leave(key);
    }
  }

  #enter(key: string): Promise<void> | void {
    const slot = this.#slots.get(key) ?? { running: 0, waiting: [] };
    this.#slots.set(key, slot);
    if (slot.running < this.#concurrency) {
      slot.running += 1;
      return;
    }
    if (slot.waiting.length >= this.#queue) throw busy('Too many requests are waiting on this server.');
    return new Promise((resolve) => slot.waiting.push(resolve));
  }

  #leave(key: string): void {
    const slot = this.#slots.get(key)!;
    const next = slot.waiting.shift();
    // The place is handed on as it is, so that nobody who comes now can take it first.
    if (next !== undefined) next();
    else if (--slot.running === 0) this.#slots.delete(key);
  }
}
