import type { Clock } from '../../../../platform/clock.ts';
import { OrgBatcher, type Settled } from '../../../../platform/database/org-batcher.ts';
import { batchesOf, type HotAnswer, type HotOperation } from '../operation.ts';
import type { UnderWay } from '../under-way.ts';
import type { Committed, OneCall } from './one-call.ts';
import type { Subject } from './subject.ts';

type Answers = Settled<HotAnswer | null>[];

interface Deps {
  readonly oneCall: OneCall;
  readonly underWay: UnderWay;
  readonly clock: Clock;
  /** Hears of each batch that has committed, with how long it took. */
  readonly onCommitted: (orgId: string, committed: Committed, seconds: number) => void;
}

/** Gathers what one call may decide. Its batches run beside the general ones, as another server's would. */
export class ShortWay {
  readonly #deps: Deps;
  readonly #batcher: OrgBatcher<Subject, HotAnswer | null>;

  constructor(deps: Deps) {
    this.#deps = deps;
    this.#batcher = new OrgBatcher(
      (orgId, subjects) => this.#unlessLost(orgId, subjects),
      batchesOf<Subject>(({ wanted }) => wanted),
    );
  }

  /** Null for what has to be decided the general way. */
  async submit(operation: HotOperation): Promise<HotAnswer | null> {
    const subject = this.#deps.oneCall.subject(operation);
    return subject === null ? null : this.#batcher.submit(operation.principal.orgId, subject);
  }

  /** While nobody knows what came of a call, what it was about stays under way; the rest of the org does not wait for it. */
  async #unlessLost(
    orgId: string,
    subjects: readonly Subject[],
  ): Promise<Settled<HotAnswer | null | Promise<HotAnswer | null>>[]> {
    return new Promise((resolve, reject) => {
      const settling = this.#settle(orgId, subjects, () =>
        resolve(subjects.map((_, at) => ({ ok: true, answer: settling.then((settled) => answerOf(settled[at]!)) }))),
      );
      settling.then(resolve, reject);
    });
  }

  async #settle(orgId: string, subjects: readonly Subject[], onLost: () => void): Promise<Answers> {
    const { oneCall, underWay, clock, onCommitted } = this.#deps;
    const startedMs = clock.monotonicMs();
    const settled: Answers = subjects.map(() => ({ ok: true, answer: null }));
    // Since it was let in, the general way may have begun to decide about the same.
    const free = subjects.filter((subject) => underWay.of(orgId, subject) === null);
    const committed = await underWay.while(orgId, free, () => oneCall.attempt(orgId, free, onLost));
    if (committed === null) return settled;
    committed.taken.forEach((index, at) => {
      settled[subjects.indexOf(free[index]!)] = committed.results[at]!;
    });
    onCommitted(orgId, committed, (clock.monotonicMs() - startedMs) / 1000);
    return settled;
  }
}

function answerOf<A>(settled: Settled<A>): A {
  if (!settled.ok) throw settled.error;
  return settled.answer;
}
