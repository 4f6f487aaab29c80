import { busy } from '../../platform/errors.ts';

/** What one request holds of the budget. Give it back whatever happens. */
export interface Share {
  /** @throws Problem 429 when the org, or the server, has no room for so many more */
  take(bytes: number): void;
  release(): void;
}

/**
 * Bounds the memory that requests under way may take, per org and in all, while their bodies still arrive: a queue that
 * counts requests alone would hold as many times the largest body.
 */
export class ByteBudget {
  readonly #perOrg: number;
  readonly #total: number;
  readonly #held = new Map<string, number>();
  #all = 0;

  constructor(limits: { perOrg: number; total: number }) {
    this.#perOrg = limits.perOrg;
    this.#total = limits.total;
  }

  open(orgId: string): Share {
    let mine = 0;
    const move = (bytes: number): void => {
      const held = (this.#held.get(orgId) ?? 0) + bytes;
      if (held === 0) this.#held.delete(orgId);
      else this.#held.set(orgId, held);
      this.#all += bytes;
      mine += bytes;
    };
    return {
      take: (bytes) => {
        const held = this.#held.get(orgId) ?? 0;
        if (held + bytes > this.#perOrg) throw busy('This org has too much telemetry under way on this server.');
        if (this.#all + bytes > this.#total) throw busy('This server has too much telemetry under way.');
        move(bytes);
      },
      release: () => move(-mine),
    };
  }
}
