import type { Clock } from '../../src/platform/clock.ts';

interface Sleeper {
  readonly wakesAtMs: number;
  readonly wake: () => void;
}

/**
 * A clock that stands still until `advance` moves it. Sleepers wake in the order of their due times, and each one's
 * follow-up work runs before the next wakes, as it would in real time.
 */
export class ManualClock implements Clock {
  private elapsedMs = 0;
  private sleepers: Sleeper[] = [];
  private readonly startMs: number;

  constructor(start = new Date('2026-01-01T00:00:00.000Z')) {
    this.startMs = start.getTime();
  }

  now(): Date {
    return new Date(this.startMs + this.elapsedMs);
  }

  monotonicMs(): number {
    return this.elapsedMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.sleepers = this.sleepers.filter((other) => other !== sleeper);
        reject(signal?.reason as Error);
      };
      const wake = () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      const sleeper: Sleeper = { wakesAtMs: this.elapsedMs + Math.max(0, ms), wake };
      this.sleepers.push(sleeper);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** How many sleeps are under way: lets a test wait until the code under test has reached its sleep. */
  get pending(): number {
    return this.sleepers.length;
  }

  /** Moves time on by `ms`, waking whoever is due on the way, also those who fall asleep again during it. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.elapsedMs + ms;
    for (let next = this.nextDue(untilMs); next !== undefined; next = this.nextDue(untilMs)) {
      this.elapsedMs = Math.max(this.elapsedMs, next.wakesAtMs);
      this.sleepers = this.sleepers.filter((other) => other !== next);
      next.wake();
      await settled();
    }
    this.elapsedMs = untilMs;
    await settled();
  }

  private nextDue(untilMs: number): Sleeper | undefined {
    const due = this.sleepers.filter((sleeper) => sleeper.wakesAtMs <= untilMs);
    return due.toSorted((a, b) => a.wakesAtMs - b.wakesAtMs)[0];
  }
}

/** Runs everything that promises have ready. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
