import type { Answer } from './connection.ts';
import type { Job } from './job.ts';
import { headerLines, postText, unexpected } from './request-text.ts';
import { compileTemplate, type Slot } from './template.ts';

/** What each connection sends next, and what it makes of the answer. */
export interface Script {
  /** A request, whole; null when the connection has nothing left to do. */
  next(connection: number): string | null;
  /** Takes note of the answer. Returns whether it counts. @throws Error for one that was not expected */
  take(connection: number, answer: Answer): boolean;
  /** No new work: what was begun is finished. */
  stop(): void;
  /** First number that no request has had. */
  readonly unused: number;
  /** All answers so far, by what they were. */
  readonly answers: Readonly<Record<string, number>>;
}

/** Every request is the job's template, filled anew. */
export class TemplateScript implements Script {
  readonly answers: Record<string, number> = {};
  readonly #job: Job;
  readonly #path: (slot: Slot) => string;
  readonly #headers: (slot: Slot) => string;
  readonly #body: (slot: Slot) => string;
  #sent = 0;
  #limit: number;

  constructor(job: Job) {
    this.#job = job;
    this.#path = compileTemplate(job.path);
    this.#headers = compileTemplate(headerLines(job));
    this.#body = compileTemplate(job.body);
    this.#limit = job.requests ?? Number.POSITIVE_INFINITY;
  }

  get unused(): number {
    return this.#job.from + this.#sent;
  }

  next(connection: number): string | null {
    if (this.#sent >= this.#limit) return null;
    const i = this.#sent++;
    const { lanes = [{}], items = [{}], from } = this.#job;
    const slot = { i, n: from + i, lane: lanes[connection % lanes.length]!, item: items[i % items.length]! };
    return postText(this.#path(slot), this.#headers(slot), this.#body(slot));
  }

  take(_connection: number, answer: Answer): boolean {
    const { expect } = this.#job;
    const good = expect === undefined ? answer.status >= 200 && answer.status < 300 : answer.status === expect.status;
    if (!good || (expect?.text !== undefined && !answer.body.includes(expect.text)))
      throw unexpected(this.#job, answer);
    this.answers[answer.status] = (this.answers[answer.status] ?? 0) + 1;
    return true;
  }

  stop(): void {
    this.#limit = 0;
  }
}
