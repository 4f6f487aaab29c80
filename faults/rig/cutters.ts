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
/**
 * The same of what decides about leases: a call that is a transaction by itself, and a batch that is written with its COMMIT.
 * Who sent it learns what became of it in another way for each. Of all commits they are few.
 */
export const CALL_CUTS = ['lose-call', 'lose-call-answer'] as const;
export const BATCH_CUTS = ['lose-batch', 'lose-batch-answer'] as const;
export type WriteCut = (typeof CALL_CUTS | typeof BATCH_CUTS)[number];
export type CommitCut = (typeof COMMIT_CUTS)[number] | WriteCut;

const IS_REQUEST: Readonly<Record<CommitCut, boolean>> = {
  'lose-commit': true,
  'lose-answer': false,
  'lose-call': true,
  'lose-call-answer': false,
  'lose-batch': true,
  'lose-batch-answer': false,
};

const COMMIT = Buffer.from('COMMIT\0');
const BATCH = Buffer.from('hot_write\0');
/** How the names of prepared calls begin; where one ends, a zero byte says. */
const CALL = Buffer.from('hot_once');
const CALL_NAME = /hot_once\w*\0/;

export function startCommitCutter(port: number): Promise<Cutter<CommitCut>> {
  const orders = new Orders<CommitCut>();
  return orders.serve(
    () => port,
    () => ({
      up: (chunk) => {
        const cut = orders.take(...cutsOf(chunk));
        return cut === null ? 'pass' : IS_REQUEST[cut] ? 'cut' : 'pass-and-deafen';
      },
      down: () => 'pass',
    }),
  );
}

/** Those that what is sent can be cut by. */
function cutsOf(chunk: Buffer): readonly CommitCut[] {
  if (isCall(chunk)) return CALL_CUTS;
  if (!chunk.includes(COMMIT)) return [];
  return chunk.includes(BATCH) ? [...BATCH_CUTS, ...COMMIT_CUTS] : COMMIT_CUTS;
}

/** The text of the call has its name too, without the zero byte. */
function isCall(chunk: Buffer): boolean {
  return chunk.includes(CALL) && CALL_NAME.test(chunk.toString('latin1'));
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
