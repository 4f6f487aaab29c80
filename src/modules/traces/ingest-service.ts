import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../../platform/clock.ts';
import type { Database } from '../../platform/database/database.ts';
import { KeyedLimiter } from '../../platform/limiter.ts';
import type { Principal } from '../../platform/principal.ts';
import { ByteBudget, type Share } from './byte-budget.ts';
import { type AcceptedLog, type AcceptedSpan, logDigest } from './copy-text.ts';
import { Faults, faultOfLog, faultOfSpan, timeOfLog } from './judge.ts';
import { knownOf } from './known.ts';
import { LIMITS } from './limits.ts';
import { type Claim, claimOf, Linker } from './link.ts';
import { nanosOf } from './nanos.ts';
import type { Encoding, Rejected, Signal } from './otlp/answers.ts';
import type { Items, LogItem, SpanItem } from './otlp/items.ts';
import { readJsonLogs } from './otlp/json-logs.ts';
import { readJsonSpans } from './otlp/json-spans.ts';
import { parseExactJson } from './otlp/json-text.ts';
import { TooMuch } from './otlp/malformed.ts';
import { countForeign, countJsonPoints, countProtoPoints } from './otlp/metric-points.ts';
import { readProtoLogs } from './otlp/proto-logs.ts';
import { readProtoSpans } from './otlp/proto-spans.ts';
import type { SpanStore } from './span-store.ts';

export interface OtlpRequest {
  readonly encoding: Encoding;
  readonly body: Buffer;
}

/** Items that are decoded before others get their turn: some milliseconds. */
const ITEMS_PER_TURN = 256;
/** Requests of one org in the database at once, and waiting for that. */
const PER_ORG = { concurrency: 2, queue: 64 };
/** All orgs' together: ingest shares its connections with every other request and must leave some. */
const IN_ALL = { concurrency: 4, queue: 4096 };

/**
 * Takes telemetry in: decodes, judges each item, links it, stores it. Answered when it is durable.
 *
 * Nothing of it goes into the activity log. That log is the org's one order, and each entry locks the org's head row:
 * telemetry is a thousand times as much as all coordination, and would queue before every lease and decision. Spans and
 * log records are their own record, and each row says which key's word its link rests on: exact or inferred.
 */
export class IngestService {
  readonly #db: Database;
  readonly #store: SpanStore;
  readonly #clock: Clock;
  readonly #perOrg = new KeyedLimiter(PER_ORG);
  readonly #inAll = new KeyedLimiter(IN_ALL);
  readonly #budget = new ByteBudget({ perOrg: LIMITS.orgBytes, total: LIMITS.serverBytes });

  constructor(deps: { db: Database; store: SpanStore; clock: Clock }) {
    this.#db = deps.db;
    this.#store = deps.store;
    this.#clock = deps.clock;
  }

  /** Room for one request's body. */
  open(principal: Principal): Share {
    return this.#budget.open(principal.orgId);
  }

  /**
   * @returns what was not taken while the rest was; null when all was
   * @throws Malformed, TooMuch: nothing was taken; Problem 401, 429, 503
   */
  async ingest(principal: Principal, signal: Signal, request: OtlpRequest): Promise<Rejected | null> {
    if (request.body.length === 0) return null;
    return this.#perOrg.run(principal.orgId, () =>
      this.#inAll.run('', async () => {
        switch (signal) {
          case 'traces':
            return this.#spans(principal, request);
          case 'logs':
            return this.#logs(principal, request);
          case 'metrics':
            return rejectMetrics(request);
        }
      }),
    );
  }

  async #spans(principal: Principal, { encoding, body }: OtlpRequest): Promise<Rejected | null> {
    const request = encoding === 'json' ? parseExactJson(body) : null;
    const items = encoding === 'json' ? readJsonSpans(request) : readProtoSpans(body);
    const now = nanosOf(this.#clock.now());
    const { taken, faults } = await judged(items, (span) => faultOfSpan(span, now));
    const linker = await this.#linker(principal, taken);
    const spans = taken.map(
      ({ item, claim }): AcceptedSpan => ({ item, claim, link: linker.linkOf(claim, item.startNanos) }),
    );
    await this.#store.storeSpans(principal, spans);
    return rejection(faults, 'traces', request);
  }

  async #logs(principal: Principal, { encoding, body }: OtlpRequest): Promise<Rejected | null> {
    const request = encoding === 'json' ? parseExactJson(body) : null;
    const items = encoding === 'json' ? readJsonLogs(request) : readProtoLogs(body);
    const now = nanosOf(this.#clock.now());
    const { taken, faults } = await judged(items, (record) => faultOfLog(record, now));
    const linker = await this.#linker(principal, taken);
    const equals = new Map<string, number>();
    const records = taken.map(({ item, claim }): AcceptedLog => {
      const plain = logDigest(item, 0);
      const ordinal = equals.get(plain) ?? 0;
      equals.set(plain, ordinal + 1);
      const digest = ordinal === 0 ? plain : logDigest(item, ordinal);
      const atNanos = timeOfLog(item, now);
      return { item, claim, atNanos, digest, link: linker.linkOf(claim, atNanos) };
    });
    await this.#store.storeLogs(principal, records);
    return rejection(faults, 'logs', request);
  }

  async #linker(principal: Principal, taken: readonly { claim: Claim }[]): Promise<Linker> {
    const claims = taken.map(({ claim }) => claim);
    return new Linker(principal, await knownOf(this.#db, principal, claims));
  }
}

interface Taken<I> {
  readonly item: I;
  readonly claim: Claim;
}

/** Decodes and judges every item, with pauses in which others are served. @throws Malformed, TooMuch */
async function judged<I extends SpanItem | LogItem>(
  items: Items<I>,
  faultOf: (item: I) => string | null,
): Promise<{ taken: Taken<I>[]; faults: Faults }> {
  const taken: Taken<I>[] = [];
  const faults = new Faults();
  let size = 0;
  let seen = 0;
  for (const item of items) {
    const fault = faultOf(item);
    if (fault === null) {
      taken.push({ item, claim: claimOf(item.hints, item.resource.hints) });
      size += item.attributes.length + item.details.length + item.resource.attributes.length;
      if (size > LIMITS.rows) throw new TooMuch('The request is too much to store at once: send smaller batches.');
    } else {
      faults.add(fault);
    }
    seen += 1;
    if (seen % ITEMS_PER_TURN === 0) await nextTurn();
  }
  return { taken, faults };
}

const WORDS = { traces: 'spans were', logs: 'log records were' } as const;

function rejection(faults: Faults, signal: 'traces' | 'logs', jsonRequest: unknown): Rejected | null {
  const foreign = jsonRequest === null ? 0 : countForeign(jsonRequest, signal);
  if (foreign > 0) faults.add(`of another signal, which has a path of its own`, foreign);
  return faults.count === 0 ? null : { count: faults.count, message: faults.tell(WORDS[signal]) };
}

function rejectMetrics({ encoding, body }: OtlpRequest): Rejected | null {
  const count = encoding === 'json' ? countJsonPoints(parseExactJson(body)) : countProtoPoints(body);
  return count === 0 ? null : { count, message: 'Metrics are not kept by this server yet; traces and logs are.' };
}
