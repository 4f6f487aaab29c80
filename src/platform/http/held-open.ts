import type { FastifyReply } from 'fastify';

/** The reason of the abort when nobody is there to be answered. */
export const CLIENT_GONE = Symbol('client gone');

/** Answers that are held open until there is something to say, the client has gone, or the server drains. */
export class HeldAnswers {
  readonly #draining: AbortSignal;
  readonly #ends = new Set<() => void>();

  /** `draining` lives as long as the server, so it gets one listener, not one for each answer. */
  constructor(draining: AbortSignal) {
    this.#draining = draining;
    draining.addEventListener('abort', () => {
      for (const end of this.#ends) end();
    });
  }

  /** Runs `work` with a signal that aborts when there is no use in waiting any more. */
  async hold<T>(reply: FastifyReply, work: (ended: AbortSignal) => Promise<T>): Promise<T> {
    const over = new AbortController();
    const end = (): void => over.abort();
    const leave = (): void => over.abort(CLIENT_GONE);
    this.#ends.add(end);
    reply.raw.once('close', leave);
    if (this.#draining.aborted) end();
    // It may have gone before anybody listened.
    if (reply.raw.destroyed) leave();
    try {
      return await work(over.signal);
    } finally {
      this.#ends.delete(end);
      reply.raw.off('close', leave);
    }
  }
}
