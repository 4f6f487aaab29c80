import { setTimeout as delay } from 'node:timers/promises';

/**
 * Time as the server sees it, injected so that tests need not wait.
 * It is never the authority on leases or policies: there the database's clock decides.
 */
export interface Clock {
  /** Wall-clock time; may jump. */
  now(): Date;
  /** Milliseconds from an arbitrary start, fractions included; never goes back. For durations and timeouts. */
  monotonicMs(): number;
  /**
   * Resolves after `ms` milliseconds; zero or less on the next turn of the event loop.
   * @throws the signal's reason as soon as it aborts, also when it was aborted before.
   */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** setTimeout takes no longer wait: anything above would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  sleep,
};

async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  let remainingMs = Math.max(0, ms);
  try {
    do {
      const partMs = Math.min(remainingMs, LONGEST_TIMER_MS);
      await delay(partMs, undefined, signal === undefined ? {} : { signal });
      remainingMs -= partMs;
    } while (remainingMs > 0);
  } catch (error) {
    // The timer rejects with an AbortError of its own; callers wait for the reason they aborted with.
    signal?.throwIfAborted();
    throw error;
  }
}
