import type pg from 'pg';
import type { Logger } from 'pino';

const CHANNEL = 'signalbox_commits';
/** Commits within this span share one NOTIFY. Longer delays live feeds; shorter slows the writers. */
const DEBOUNCE_MS = 15;
const RECONNECT_MS = 1000;

/**
 * Tells who waits (live feeds, long polls) that an org has committed something, on any server. Only a hint: sent after
 * the commit, outside its transaction, and lost when a connection breaks; so a waiter also looks again on a timer.
 */
export class CommitSignal {
  readonly #newListener: () => pg.Client;
  readonly #pool: pg.Pool;
  readonly #log: Logger;
  readonly #waiters = new Map<string, Set<() => void>>();
  readonly #pending = new Set<string>();
  #flush: NodeJS.Timeout | null = null;
  #listener: pg.Client | null = null;
  #closed = false;

  constructor(newListener: () => pg.Client, pool: pg.Pool, log: Logger) {
    this.#newListener = newListener;
    this.#pool = pool;
    this.#log = log;
  }

  /** Starts listening; keeps trying in the background when the connection fails. */
  async start(): Promise<void> {
    await this.#listen().catch((error: unknown) => this.#retry(error));
  }

  /** Call after a commit. Wakes this server's waiters at once, other servers' within a few milliseconds. */
  touch(orgId: string): void {
    this.#wake(orgId);
    this.#pending.add(orgId);
    this.#flush ??= setTimeout(() => this.#notify(), DEBOUNCE_MS);
  }

  /** Calls `wake` after commits of that org until the returned function is called. */
  subscribe(orgId: string, wake: () => void): () => void {
    const set = this.#waiters.get(orgId) ?? new Set();
    this.#waiters.set(orgId, set.add(wake));
    return () => {
      set.delete(wake);
      if (set.size === 0 && this.#waiters.get(orgId) === set) this.#waiters.delete(orgId);
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#flush !== null) clearTimeout(this.#flush);
    await this.#listener?.end().catch(() => undefined);
  }

  #wake(orgId: string): void {
    for (const wake of this.#waiters.get(orgId) ?? []) wake();
  }

  #notify(): void {
    this.#flush = null;
    const orgIds = [...this.#pending];
    this.#pending.clear();
    this.#pool
      .query(`SELECT pg_notify($1, id) FROM unnest($2::text[]) AS id`, [CHANNEL, orgIds])
      .catch((error: unknown) => this.#log.debug({ err: error }, 'commit notification not sent'));
  }

  async #listen(): Promise<void> {
    if (this.#closed) return;
    const client = this.#newListener();
    client.on('notification', (message) => this.#wake(message.payload ?? ''));
    client.on('error', (error) => this.#retry(error, client));
    client.on('end', () => this.#retry(new Error('listening connection ended'), client));
    await client.connect();
    await client.query(`LISTEN ${CHANNEL}`);
    this.#listener = client;
    // It may have been closed meanwhile, when there was none yet to be ended.
    if (this.#closed) await client.end();
  }

  #retry(error: unknown, from?: pg.Client): void {
    if (this.#closed || (from !== undefined && from !== this.#listener)) return;
    this.#listener = null;
    this.#log.warn({ err: error }, 'commit notifications interrupted; live feeds fall back to polling meanwhile');
    const timer = setTimeout(() => void this.#listen().catch((again: unknown) => this.#retry(again)), RECONNECT_MS);
    timer.unref();
  }
}
