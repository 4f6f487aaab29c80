import { type CaseMode, STEPS_A_TURN, storedPattern, workDone } from '../../patterns/index.ts';
import type { Statement } from '../../platform/database/pipeline.ts';
import { ENOUGH, PacedWork } from '../../platform/paced-work.ts';
import { settingsOf } from '../identity/index.ts';
import { isLoopHalted } from '../loops/index.ts';
import { type Claimants, candidateIdsStatements, weightOf } from './candidates.ts';
import { type Claim, type ClaimTexts, meet, readClaims } from './claim.ts';
import type { WantedIn } from './lookups.ts';
import type { LeaseMode } from './request.ts';

/** What a search without the lock found. Under the lock, only these and what came since need to be looked at. */
export interface Searched {
  /** The log's end when the search began: a lease or ticket with a higher number it does not know. */
  readonly knownTo: number;
  readonly leaseIds: readonly string[];
  readonly ticketIds: readonly string[];
  /** The place of who asks: of the waiters only those ahead of it were looked at. Left out: all were. */
  readonly place?: number | undefined;
  /** Whether these are all. If not, they must be in the way, or the search is made again. */
  readonly isWhole: boolean;
  /** It took too long, so that these are not all; made again, it would once more. */
  readonly isSpent: boolean;
}

/** What came of looking. */
interface Search {
  readonly searched: Searched;
  /**
   * Candidates that are over by their time alone, by a clock read without the lock. They have to be ended before anything is
   * granted over them: should the clock go back, they would be live again.
   */
  readonly overIds: readonly string[];
}

/** More than these are not needed for a refusal, and a grant has none at all. */
const FOUND_MAX = 200;
const FOUND_PATTERNS_MAX = 300;
const FOUND_WEIGHT_MAX = 2_000_000;
/** Leases read at once, each with all that it holds. */
const CHUNK = 100;
/** Steps that one search may cost (see `workDone`): two to seven seconds, in turns with whatever else is computed. */
const STEPS_MAX = 300_000_000;

/** Who looks for what is in the way of what is wanted. */
export interface Seeker extends WantedIn {
  readonly runId: string;
  readonly mode: LeaseMode;
  /** Under which it waits already; null: it has no place yet. */
  readonly ticketId: string | null;
}

/** Reads an org's rows in a short transaction that locks nothing. Returns those of each statement. */
export type ReadRows = (statements: readonly Statement[]) => Promise<unknown[][]>;

/**
 * Finds what shares anything with what a run wants and may be in its way, page by page. No connection is kept while it
 * compares: that may take seconds.
 * @param stepsMax what it may cost, see `workDone`
 */
export async function searchBroadly(
  read: ReadRows,
  orgId: string,
  wanted: Seeker,
  stepsMax: number = STEPS_MAX,
): Promise<Search> {
  const candidates = candidateIdsStatements(orgId, wanted);
  const [head, tickets, repos, leases, waiters] = await read([
    {
      text: 'SELECT h.seq, o.settings FROM org_head h JOIN org o ON o.org_id = h.org_id WHERE h.org_id = $1',
      values: [orgId],
    },
    {
      text: `SELECT w.seq FROM lease_waiter w WHERE w.org_id = $1 AND w.id = $2 AND w.status = 'waiting'`,
      values: [orgId, wanted.ticketId],
    },
    {
      text: 'SELECT p.case_sensitive FROM repo p WHERE p.org_id = $1 AND p.id = $2',
      values: [orgId, wanted.repoId],
    },
    candidates.lease,
    candidates.waiter,
  ]);
  const [{ seq, settings }] = head as [{ seq: string; settings: unknown }];
  const caseSensitive = (repos as { case_sensitive: boolean }[])[0]?.case_sensitive ?? true;
  const { lockDelaySeconds } = settingsOf(settings);
  const [ticket] = tickets as { seq: string }[];
  const place = ticket === undefined ? undefined : Number(ticket.seq);
  const comparison = new Comparison(wanted.matchers, { caseSensitive }, stepsMax);
  const among = (of: Claimants, rows: unknown[]) =>
    overlapping({
      ids: (rows as { id: string }[]).map(({ id }) => id),
      page: async (ids) => {
        const isLeases = of === 'lease';
        const page = isLeases ? pageOfLeases(orgId, ids, lockDelaySeconds) : pageOfWaiters(orgId, ids, wanted, place);
        return (await read([page]))[0] as Candidate[];
      },
      seeker: wanted,
      comparison,
    });
  const [inLeases, inWaiters] = [await among('lease', leases!), await among('waiter', waiters!)];
  const searched: Searched = {
    knownTo: Number(seq),
    leaseIds: inLeases.ids,
    ticketIds: inWaiters.ids,
    place,
    isWhole: inLeases.isWhole && inWaiters.isWhole,
    isSpent: comparison.isSpent,
  };
  return { searched, overIds: inLeases.overIds };
}

interface Among {
  readonly ids: readonly string[];
  readonly page: (ids: readonly string[]) => Promise<Candidate[]>;
  readonly seeker: Seeker;
  readonly comparison: Comparison;
}

/** Of a run that has finished nothing comes back, and what was taken back and is over has ended. */
const pageOfLeases = (orgId: string, ids: readonly string[], lockDelay: number): Statement => ({
  name: 'claims_of_leases',
  text: `SELECT x.id, x.run_id, x.mode, x.end_reason = 'revoked' AS revoked, q.over, x.paths, x.patterns, x.resources
      FROM lease x JOIN run r ON r.org_id = x.org_id AND r.id = x.run_id
        CROSS JOIN LATERAL (SELECT x.expires_at <= clock_timestamp() - make_interval(secs => $3) AS over) q
      WHERE x.org_id = $1 AND x.id = ANY ($2::uuid[]) AND r.status <> 'finished' AND NOT (q.over AND x.ended_at IS NOT NULL)`,
  values: [orgId, ids, lockDelay],
});

/**
 * Nor is whoever stands behind, or is passed over: counted, a long line would be too much for its first ever to have its turn.
 * Of the run itself all are told.
 */
const pageOfWaiters = (
  orgId: string,
  ids: readonly string[],
  seeker: Seeker,
  place: number | undefined,
): Statement => ({
  name: 'claims_of_waiters',
  text: `SELECT x.id, x.run_id, x.mode, false AS revoked, false AS over, x.paths, x.patterns, x.resources
      FROM lease_waiter x JOIN run r ON r.org_id = x.org_id AND r.id = x.run_id JOIN loop o ON o.org_id = x.org_id AND o.id = x.loop_id
      WHERE x.org_id = $1 AND x.id = ANY ($2::uuid[]) AND x.status = 'waiting' AND ($3::bigint IS NULL OR x.seq < $3)
        AND (x.run_id = $4 OR r.status = 'running' AND (x.held_until IS NULL OR x.held_until > clock_timestamp()) AND NOT ${isLoopHalted('o')})`,
  values: [orgId, ids, place ?? null, seeker.runId],
});

interface Candidate extends ClaimTexts {
  readonly id: string;
  readonly run_id: string;
  readonly mode: LeaseMode;
  readonly revoked: boolean | null;
  readonly over: boolean;
}

async function overlapping({
  ids,
  page,
  seeker,
  comparison,
}: Among): Promise<{ ids: string[]; overIds: string[]; isWhole: boolean }> {
  const found = new Found();
  const own = new Found();
  const overIds: string[] = [];
  for (let at = 0; at < ids.length && !found.isFull && !comparison.isSpent; at += CHUNK) {
    for (const row of await page(ids.slice(at, at + CHUNK))) {
      if (row.over) {
        overIds.push(row.id);
        continue;
      }
      // A run's own leases are in nobody's way: of many, some are enough to see what it holds already. What was revoked
      // is in its own run's way only, and what is shared in nobody's who would share it.
      const isOthers = row.run_id !== seeker.runId;
      const isShared = row.mode === 'shared' && seeker.mode === 'shared';
      const kept = isOthers || row.revoked === true ? found : own;
      if ((isOthers && (row.revoked === true || isShared)) || kept.isFull) continue;
      if (await comparison.meets(row)) kept.add(row);
    }
  }
  return { ids: [...found.ids, ...own.ids], overIds, isWhole: !found.isFull && !comparison.isSpent };
}

/** As many as a batch can look at again under its locks, without being too broad once more. */
class Found {
  readonly ids: string[] = [];
  #patterns = 0;
  #weight = 0;

  get isFull(): boolean {
    return this.ids.length >= FOUND_MAX || this.#patterns >= FOUND_PATTERNS_MAX || this.#weight >= FOUND_WEIGHT_MAX;
  }

  add(candidate: Candidate): void {
    this.ids.push(candidate.id);
    this.#patterns += candidate.patterns.length;
    this.#weight += weightOf(candidate);
  }
}

/** One search: compares in turns with everything else, and only until it has cost too much. */
export class Comparison {
  readonly #wanted: readonly Claim[];
  readonly #patterns: ReadonlyMap<string, Claim>;
  readonly #mode: CaseMode;
  readonly #stepsMax: number;
  readonly #work = new PacedWork(workDone, STEPS_A_TURN);

  constructor(wanted: readonly Claim[], mode: CaseMode, stepsMax: number = STEPS_MAX) {
    this.#wanted = wanted;
    this.#patterns = new Map(wanted.flatMap((claim) => (claim.kind === 'pattern' ? [[claim.text, claim]] : [])));
    this.#mode = mode;
    this.#stepsMax = stepsMax;
  }

  /** From then on nothing more is found. */
  get isSpent(): boolean {
    return this.#work.spent > this.#stepsMax;
  }

  /** Whether a row claims anything that is wanted. */
  async meets(row: ClaimTexts): Promise<boolean> {
    let isMet = false;
    await this.#work.each(row.patterns, (text) => storedPattern(text).index);
    await this.#work.each(this.#pairsWith(readClaims(row)), ([held, wanted]) => {
      if (this.isSpent) return ENOUGH;
      isMet = meet(held, wanted, this.#mode) !== null;
      return isMet ? ENOUGH : undefined;
    });
    return isMet;
  }

  /** First those of the same words: who asks again for what it holds is not to be compared with all the rest of it. */
  *#pairsWith(claims: readonly Claim[]): Generator<[Claim, Claim]> {
    for (const held of claims) {
      const same = held.kind === 'pattern' ? this.#patterns.get(held.text) : undefined;
      if (same !== undefined) yield [held, same];
    }
    for (const held of claims) for (const wanted of this.#wanted) yield [held, wanted];
  }
}
