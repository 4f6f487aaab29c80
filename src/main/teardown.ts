/** What was started, to be stopped in the opposite order, whether the start got to its end or not. */
export class Teardown {
  readonly #steps: { readonly name: string; readonly stop: () => Promise<void> }[] = [];
  readonly #onError: (error: unknown, name: string) => void;

  /** @param onError hears of a step that failed; the others run all the same, the database's above all. */
  constructor(onError: (error: unknown, name: string) => void) {
    this.#onError = onError;
  }

  add(name: string, stop: () => Promise<void>): void {
    this.#steps.push({ name, stop });
  }

  /** Never rejects. @returns whether every step went well; a second call has nothing left to do. */
  async run(): Promise<boolean> {
    let isClean = true;
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step.stop();
      } catch (error) {
        isClean = false;
        this.#onError(error, step.name);
      }
    }
    return isClean;
  }
}
