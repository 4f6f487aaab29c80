import { busy } from '../errors.ts';

/** What became of one request of a batch. */
export type Settled<A> = { readonly ok: true; readonly answer: A } | { readonly ok: false; readonly error: unknown };

interface Waiting<O, A> {
  readonly op: O;
  readonly resolve: (answer: A | Promise<A>) => void;
  readonly reject: (error: unknown) => void;
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const MAX_WAITING = 8192;

/** What one batch may be: with more, whoever comes after it waits too long, and so does the next org. */
export interface BatchLimits<O> {
  readonly ops: number;
  /** What an op weighs, and what those of a batch may together; one alone may weigh more. */
  readonly weigh?: (op: O) => number;
  readonly weight?: number;
}

/**
 * One batch in flight per org on this server. While it commits, new requests gather; the next batch takes them all.
 * Nothing waits for a timer: an idle org's lone request starts at once.
 */
export class OrgBatcher<O, A> {
  readonly #run: (orgId: string, ops: readonly O[]) => Promise<Settled<A | Promise<A>>[]>;
  readonly #limits: BatchLimits<O>;
  readonly #orgs = new Map<string, { waiting: Waiting<O, A>[]; running: boolean }>();

  /**
   * `run` settles every op of its batch, in order; when it rejects, all of the batch fail with its error. Ops whose answer is
   * a promise are answered when that is: the next batch does not wait for it.
   */
  constructor(run: (orgId: string, ops: readonly O[]) => Promise<Settled<A | Promise<A>>[]>, limits: BatchLimits<O>) {
    this.#run = run;
    this.#limits = limits;
  }

  /** @throws Problem 429 when the org has too many requests waiting on this server. */
  submit(orgId: string, op: O): Promise<A> {
    const lane = this.#orgs.get(orgId) ?? { waiting: [], running: false };
    this.#orgs.set(orgId, lane);
    if (lane.waiting.length >= MAX_WAITING) throw busy('This org has too many requests waiting on this server.');
    return new Promise<A>((resolve, reject) => {
      lane.waiting.push({ op, resolve, reject });
      if (!lane.running) void this.#drain(orgId, lane);
    });
  }

  async #drain(orgId: string, lane: { waiting: Waiting<O, A>[]; running: boolean }): Promise<void> {
    lane.running = true;
    let settle: (() => void) | null = null;
    // Requests that have arrived but are not parsed yet belong in this batch too: one turn of the event loop, no timer.
    await nextTurn();
    while (lane.waiting.length > 0) {
      const batch = lane.waiting.splice(0, this.#fitting(lane.waiting));
      const running = this.#settled(orgId, batch);
      // The previous batch is answered after this one is under way: the database works while we write answers. A turn later,
      // as this one first takes a connection, for which it waits some ticks.
      if (settle !== null) setImmediate(settle);
      settle = await running;
      await nextTurn();
    }
    lane.running = false;
    this.#orgs.delete(orgId);
    settle?.();
  }

  /** How many of them, from the first on, are a batch. */
  #fitting(waiting: readonly Waiting<O, A>[]): number {
    const { ops, weigh, weight: most = Number.POSITIVE_INFINITY } = this.#limits;
    const count = Math.min(ops, waiting.length);
    if (weigh === undefined) return count;
    let weight = 0;
    for (let at = 0; at < count; at += 1) {
      weight += weigh(waiting[at]!.op);
      if (weight > most && at > 0) return at;
    }
    return count;
  }

  async #settled(orgId: string, batch: Waiting<O, A>[]): Promise<() => void> {
    let results: Settled<A | Promise<A>>[];
    try {
      results = await this.#run(
        orgId,
        batch.map(({ op }) => op),
      );
    } catch (error) {
      results = batch.map(() => ({ ok: false, error }));
    }
    return () => {
      batch.forEach((waiting, index) => {
        const result = results[index]!;
        if (result.ok) waiting.resolve(result.answer);
        else waiting.reject(result.error);
      });
    };
  }
}
