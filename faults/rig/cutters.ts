import { type Proxy, startProxy } from './proxy.ts';

/** A proxy that cuts the next connections on which there is something to cut. */
export interface Cutter<C extends string> extends Proxy {
  cutNext(cut: C, count?: number): void;
  /** How many were cut so. */
  cut(...kinds: C[]): number;
}

/** Between a client and a server: while the request is sent, before a byte of the reply, in the middle of the reply. */
export const REPLY_CUTS = ['request', 'before-reply', 'mid-reply'] as const;
export type ReplyCut = (typeof REPLY_CUTS)[number];

export function startReplyCutter(target: () => number | null): Promise<Cutter<ReplyCut>> {
  const orders = new Orders<ReplyCut>();
  return orders.serve(target, () => ({
    up: () => (orders.take('request') === null ? 'pass' : 'half-and-cut'),
    down: () => {
      const cut = orders.take('before-reply', 'mid-reply');
      return cut === null ? 'pass' : cut === 'mid-reply' ? 'half-and-cut' : 'cut';
    },
  }));
}

/** Between a server and PostgreSQL: a commit never arrives, or it does and its answer does not. */
export const COMMIT_CUTS = ['lose-commit', 'lose-answer'] as const;
export type CommitCut = (typeof COMMIT_CUTS)[number];

/** As a query, and as a prepared statement that is a transaction by itself. */
const COMMITS = ['COMMIT\0', 'hot_once\0'].map((text) => Buffer.from(text));

export function startCommitCutter(port: number): Promise<Cutter<CommitCut>> {
  const orders = new Orders<CommitCut>();
  return orders.serve(
    () => port,
    () => ({
      up: (chunk) => {
        const cut = COMMITS.some((commit) => chunk.includes(commit)) ? orders.take('lose-commit', 'lose-answer') : null;
        return cut === null ? 'pass' : cut === 'lose-commit' ? 'cut' : 'pass-and-deafen';
      },
      down: () => 'pass',
    }),
  );
}

/** Cuts that are still to be made. */
class Orders<C extends string> {
  readonly #pending: C[] = [];
  readonly #done: C[] = [];

  take(...wanted: C[]): C | null {
    const at = this.#pending.findIndex((cut) => wanted.includes(cut));
    if (at < 0) return null;
    const [cut] = this.#pending.splice(at, 1) as [C];
    this.#done.push(cut);
    return cut;
  }

  async serve(...how: Parameters<typeof startProxy>): Promise<Cutter<C>> {
    return {
      ...(await startProxy(...how)),
      cutNext: (cut, count = 1) => void this.#pending.push(...Array.from({ length: count }, () => cut)),
      cut: (...kinds) => this.#done.filter((cut) => kinds.length === 0 || kinds.includes(cut)).length,
    };
  }
}
