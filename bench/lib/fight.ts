import type { Answer } from './connection.ts';
import type { Fight, Job } from './job.ts';
import { headerLines, postText, unexpected } from './request-text.ts';
import type { Script } from './script.ts';
import { compileTemplate, type Slot } from './template.ts';

interface Holding {
  readonly id: string;
  readonly fence: number;
  readonly file: number;
}

/**
 * Each connection acquires a random one of the files (`{file}` in the body) that it does not hold itself, keeps what it
 * is granted, and gives the oldest back when it has more than `hold`. Acquires count, granted (201) and refused (409)
 * alike; releases do not, though they cost what they cost. At the end everything is given back.
 */
export class FightScript implements Script {
  readonly answers: Record<string, number> = {};
  readonly unused: number;
  readonly #job: Job;
  readonly #fight: Fight;
  readonly #headers: (slot: Slot) => string;
  readonly #body: (slot: Slot) => string;
  readonly #held: Holding[][];
  /** What each connection waits for: the file it asked for, or the lease it gives back. */
  readonly #asked: (number | Holding)[] = [];
  #stopping = false;

  constructor(job: Job, fight: Fight) {
    this.#job = job;
    this.#fight = fight;
    this.unused = job.from;
    this.#headers = compileTemplate(headerLines(job));
    this.#body = compileTemplate(job.body);
    this.#held = Array.from({ length: job.connections }, () => []);
  }

  next(connection: number): string | null {
    const held = this.#held[connection]!;
    const lanes = this.#job.lanes ?? [{}];
    const slot = { n: 0, i: 0, lane: lanes[connection % lanes.length]!, item: {} };
    if (held.length > (this.#stopping ? 0 : this.#fight.hold)) {
      const lease = held.shift()!;
      this.#asked[connection] = lease;
      const body = JSON.stringify({ fence: lease.fence });
      return postText(`${this.#job.path}/${lease.id}/release`, this.#headers(slot), body);
    }
    if (this.#stopping) return null;
    const file = this.#pick(held);
    this.#asked[connection] = file;
    return postText(this.#job.path, this.#headers(slot), this.#body({ ...slot, item: { file: String(file) } }));
  }

  #pick(held: readonly Holding[]): number {
    for (;;) {
      const file = Math.floor(Math.random() * this.#fight.files);
      if (!held.some((lease) => lease.file === file)) return file;
    }
  }

  take(connection: number, answer: Answer): boolean {
    const asked = this.#asked[connection]!;
    const name = typeof asked === 'number' ? this.#acquired(connection, asked, answer) : released(answer);
    if (name === null) throw unexpected(this.#job, answer);
    this.answers[name] = (this.answers[name] ?? 0) + 1;
    return name !== 'released';
  }

  #acquired(connection: number, file: number, { status, body }: Answer): string | null {
    if (status === 409) return body.includes('"lease_conflict"') ? 'refused' : null;
    if (status !== 201) return null;
    const { lease } = JSON.parse(body.toString()) as { lease: { id: string; fence: number } };
    this.#held[connection]!.push({ id: lease.id, fence: lease.fence, file });
    return 'granted';
  }

  stop(): void {
    this.#stopping = true;
  }
}

function released({ status }: Answer): string | null {
  return status === 200 ? 'released' : null;
}
