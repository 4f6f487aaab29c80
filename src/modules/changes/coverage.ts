import {
  type CaseMode,
  indexKey,
  lookup,
  type Matcher,
  matches,
  type Path,
  STEPS_A_TURN,
  workDone,
} from '../../patterns/index.ts';
import { invalid } from '../../platform/errors.ts';
import { ENOUGH, PacedWork } from '../../platform/paced-work.ts';

export const STALE_REASONS = ['other_repo', 'other_run', 'fence', 'not_yet', 'expired', 'ended'] as const;
export type StaleReason = (typeof STALE_REASONS)[number];

/** A lease as whoever reports a change names it. */
export interface PresentedLease {
  readonly id: string;
  readonly fence: number;
}

/** A lease as it is on record, ended or not. */
export interface LeaseRecord {
  readonly id: string;
  readonly repoId: string;
  readonly runId: string;
  readonly loopId: string;
  /** The principal that owns the loop. */
  readonly ownerId: string;
  readonly fence: number;
  readonly matchers: readonly Matcher[];
  readonly grantedAt: Date;
  /** When it ended or, if nothing ended it before, when it expires. */
  readonly endsAt: Date;
  readonly endedEarly: boolean;
}

/** When the change was made. A committer's clock counts whole seconds: the moment lies somewhere in [from, to]. */
export interface Moment {
  readonly from: Date;
  readonly to: Date;
}

const SECOND_MS = 1000;

/** Never later than now, whatever the committer's clock says. */
export function momentOf(committedAt: Date | null, now: Date): Moment {
  if (committedAt === null || committedAt >= now) return { from: now, to: now };
  return { from: committedAt, to: new Date(Math.min(committedAt.getTime() + SECOND_MS, now.getTime())) };
}

export interface Claim {
  readonly repoId: string;
  /** Whose lease it has to be. */
  readonly isOwn: (lease: LeaseRecord) => boolean;
  readonly moment: Moment;
}

/** Why a presented lease says nothing about this change; null if it was in force when the change was made. */
export function staleness(lease: LeaseRecord, fence: number, claim: Claim): StaleReason | null {
  if (lease.repoId !== claim.repoId) return 'other_repo';
  if (!claim.isOwn(lease)) return 'other_run';
  if (lease.fence !== fence) return 'fence';
  if (lease.grantedAt > claim.moment.to) return 'not_yet';
  if (lease.endsAt <= claim.moment.from) return lease.endedEarly ? 'ended' : 'expired';
  return null;
}

/** Steps that one report may cost (see `workDone`): two to three seconds, in turns with everything else. */
const STEPS_MAX = 300_000_000;

/** Which of the paths these leases cover. Found by the keys of the patterns' index, so that many leases stay cheap. */
export class Coverage {
  readonly #mode: CaseMode;
  readonly #matchers: readonly Matcher[];
  readonly #byKey = new Map<string, Map<string, Matcher>>();
  readonly #stepsMax: number;
  readonly #work = new PacedWork(workDone, STEPS_A_TURN);

  constructor(leases: readonly LeaseRecord[], mode: CaseMode, stepsMax: number = STEPS_MAX) {
    this.#mode = mode;
    this.#stepsMax = stepsMax;
    this.#matchers = leases.flatMap((lease) => lease.matchers);
  }

  /** Of each path, whether any of them covers it. @throws Problem 422 `leases_too_intricate` */
  async ofEach(paths: readonly Path[]): Promise<boolean[]> {
    await this.#each(this.#matchers, (matcher) => {
      // Whoever is asked for its key is compiled.
      const { kind, key } = indexKey(matcher);
      const name = `${kind} ${key}`;
      const there = this.#byKey.get(name) ?? new Map<string, Matcher>();
      this.#byKey.set(name, there.set(matcher.text, matcher));
    });
    const covered: boolean[] = [];
    for (const path of paths) covered.push(await this.#covers(path));
    return covered;
  }

  async #covers(path: Path): Promise<boolean> {
    let isCovered = false;
    await this.#each(this.#near(path), (matcher) => {
      isCovered = matches(matcher, path, this.#mode);
      return isCovered ? ENOUGH : undefined;
    });
    return isCovered;
  }

  #each<T>(items: Iterable<T>, piece: (item: T) => unknown): Promise<void> {
    return this.#work.each(items, (item) => {
      if (this.#work.spent > this.#stepsMax) throw tooIntricate();
      return piece(item);
    });
  }

  *#near(path: Path): Generator<Matcher> {
    const { literals, patternPrefixes } = lookup(path);
    for (const key of literals) yield* this.#byKey.get(`literal ${key}`)?.values() ?? [];
    for (const key of patternPrefixes) yield* this.#byKey.get(`pattern ${key}`)?.values() ?? [];
  }
}

/** A file judged without having looked at all of them would be on record as changed without a lease. */
function tooIntricate() {
  return invalid(
    'leases_too_intricate',
    'The patterns of these leases are too intricate to be compared with so many files; present fewer leases, or those with simpler patterns.',
  );
}
