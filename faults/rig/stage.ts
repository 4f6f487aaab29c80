/** What has to be ended when a campaign is over, however that comes: last first. */
export class Stage {
  #isOver = false;
  readonly #ends: (() => Promise<unknown> | void)[] = [];

  /** What is started after the end is ended at once. */
  onEnd(end: () => Promise<unknown> | void): void {
    if (this.#isOver) void Promise.resolve(end()).catch(() => {});
    else this.#ends.unshift(end);
  }

  async end(): Promise<void> {
    this.#isOver = true;
    for (const end of this.#ends) await Promise.resolve(end()).catch(() => {});
  }

  /** Rejects with the signal's reason; never settles without one. */
  aborted(signal: AbortSignal | undefined): Promise<never> {
    const aborted = new Promise<never>((_resolve, reject) => {
      const abort = () => reject(signal?.reason as Error);
      if (signal?.aborted) abort();
      signal?.addEventListener('abort', abort);
      this.onEnd(() => signal?.removeEventListener('abort', abort));
    });
    aborted.catch(() => {});
    return aborted;
  }
}
