import type { Clock } from '../../../platform/clock.ts';

/** So many are kept; what is left out the sweep finds. */
const MOST = 20_000;

/** Calls back when leases run out that somebody watches: one timer for all of them. */
export class Alarm {
  readonly #clock: Clock;
  readonly #onRing: (orgId: string, id: string) => void;
  readonly #due = new Map<string, { readonly orgId: string; readonly atMs: number }>();
  #hint = new AbortController();
  #nextMs = Number.POSITIVE_INFINITY;
  #running = false;
  #closed = false;

  constructor(clock: Clock, onRing: (orgId: string, id: string) => void) {
    this.#clock = clock;
    this.#onRing = onRing;
  }

  /** One that is set for earlier already stays: whoever hears it looks, and sets it anew. */
  ring(orgId: string, id: string, inMs: number): void {
    const atMs = this.#clock.monotonicMs() + Math.max(0, inMs);
    const known = this.#due.get(id);
    if (this.#closed || (known === undefined ? this.#due.size >= MOST : known.atMs <= atMs)) return;
    this.#due.set(id, { orgId, atMs });
    if (atMs < this.#nextMs) this.#hint.abort();
    if (!this.#running) void this.#run();
  }

  close(): void {
    this.#closed = true;
    this.#due.clear();
    this.#hint.abort();
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#due.size > 0) {
      this.#hint = new AbortController();
      this.#nextMs = [...this.#due.values()].reduce((next, { atMs }) => Math.min(next, atMs), Number.POSITIVE_INFINITY);
      await this.#clock.sleep(this.#nextMs - this.#clock.monotonicMs(), this.#hint.signal).catch(() => undefined);
      const now = this.#clock.monotonicMs();
      for (const [id, { orgId, atMs }] of this.#due) {
        if (atMs > now) continue;
        this.#due.delete(id);
        this.#onRing(orgId, id);
      }
    }
    this.#nextMs = Number.POSITIVE_INFINITY;
    this.#running = false;
  }
}
