import type { Clock } from './clock.ts';
import type { CommitSignal } from './database/commit-signal.ts';
import { busy } from './errors.ts';

/** Commit signals are hints; this is the longest that a lost one delays an answer. */
const POLL_MS = 1000;
/** A busy org commits all the time: one look at all that is waited for, at most this often. */
const GAP_MS = 50;
const MAX_WAITERS_PER_ORG = 2000;

/**
 * Waits for rows (approvals, tickets) to be settled, by any server. However many wait in an org, one query at a time asks
 * for all of them, and between two queries nobody holds a connection.
 */
export class SettledWatch {
  readonly #deps: WatchDeps;
  readonly #orgs = new Map<string, WatchedOrg>();

  constructor(deps: WatchDeps) {
    this.#deps = deps;
  }

  /** How many wait now. */
  get waiting(): number {
    return [...this.#orgs.values()].reduce((sum, org) => sum + org.size, 0);
  }

  /** The rows of an org that are waited for here by those whom they are for. */
  kept(orgId: string): string[] {
    return this.#orgs.get(orgId)?.kept ?? [];
  }

  /** Whether anybody of those waits for it here. */
  isKept(orgId: string, id: string): boolean {
    return this.#orgs.get(orgId)?.isKept(id) ?? false;
  }

  /** Says that a row is settled, to whoever waits for it on this server, without another look. */
  wake(orgId: string, id: string): void {
    this.#orgs.get(orgId)?.wake(id);
  }

  /**
   * Resolves once the row is settled, `waitMs` have passed, or `ended` aborts; which of them, the caller reads.
   * @param isFor whether it is for the one who waits, and not merely looked at
   * @throws Problem 429 when too many wait in this org
   */
  async settled(orgId: string, id: string, waitMs: number, ended: AbortSignal, isFor = true): Promise<void> {
    if (ended.aborted) return;
    const org = this.#orgs.get(orgId) ?? new WatchedOrg(orgId, this.#deps, () => this.#orgs.delete(orgId));
    if (org.size >= MAX_WAITERS_PER_ORG) throw busy('Too many requests of this org are held open on this server.');
    this.#orgs.set(orgId, org);
    const over = new AbortController();
    const end = (): void => over.abort();
    ended.addEventListener('abort', end, { once: true });
    org.add(id, end, isFor);
    try {
      await this.#deps.clock.sleep(waitMs, over.signal).catch(() => undefined);
    } finally {
      org.remove(id, end);
      ended.removeEventListener('abort', end);
    }
  }
}

export interface WatchDeps {
  /** Which of these rows are settled. */
  readonly look: (orgId: string, ids: readonly string[]) => Promise<readonly string[]>;
  readonly signal: CommitSignal;
  readonly clock: Clock;
}

class WatchedOrg {
  readonly #orgId: string;
  readonly #deps: WatchDeps;
  /** By row: each who waits, and whether it is for him. */
  readonly #waiters = new Map<string, Map<() => void, boolean>>();
  readonly #onEmpty: () => void;
  #running = false;
  #hint = new AbortController();
  size = 0;

  constructor(orgId: string, deps: WatchDeps, onEmpty: () => void) {
    this.#orgId = orgId;
    this.#deps = deps;
    this.#onEmpty = onEmpty;
  }

  add(id: string, wake: () => void, isFor: boolean): void {
    this.#waiters.set(id, (this.#waiters.get(id) ?? new Map<() => void, boolean>()).set(wake, isFor));
    this.size += 1;
    this.#hint.abort();
    if (!this.#running) void this.#run();
  }

  remove(id: string, wake: () => void): void {
    const wakes = this.#waiters.get(id);
    if (wakes?.delete(wake) === true) this.size -= 1;
    if (wakes?.size === 0) this.#waiters.delete(id);
    if (this.size === 0) this.#hint.abort();
  }

  get ids(): string[] {
    return [...this.#waiters.keys()];
  }

  get kept(): string[] {
    return this.ids.filter((id) => this.isKept(id));
  }

  isKept(id: string): boolean {
    return [...(this.#waiters.get(id)?.values() ?? [])].includes(true);
  }

  wake(id: string): void {
    for (const wake of this.#waiters.get(id)?.keys() ?? []) wake();
  }

  async #run(): Promise<void> {
    this.#running = true;
    const unsubscribe = this.#deps.signal.subscribe(this.#orgId, () => this.#hint.abort());
    while (this.size > 0) {
      // Before the look: what commits during it is looked at again.
      this.#hint = new AbortController();
      // A look that fails (a database that restarts) is made again; whoever waits for too long is answered by the time.
      await this.#look().catch(() => undefined);
      await this.#deps.clock.sleep(GAP_MS);
      await this.#deps.clock.sleep(POLL_MS - GAP_MS, this.#hint.signal).catch(() => undefined);
    }
    unsubscribe();
    this.#running = false;
    this.#onEmpty();
  }

  async #look(): Promise<void> {
    for (const id of await this.#deps.look(this.#orgId, this.ids)) this.wake(id);
  }
}
