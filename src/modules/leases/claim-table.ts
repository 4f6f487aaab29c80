import { type CaseMode, workDone } from '../../patterns/index.ts';
import { type Claim, type ClaimLookup, claimKey, claimLookup, holds, meet } from './claim.ts';
import { tooIntricate } from './too-broad.ts';

/** Somebody with claims: a lease that holds them, or a waiter that wants them. */
interface Claimant {
  readonly id: string;
  readonly matchers: readonly Claim[];
}

interface Entry<T> {
  readonly by: T;
  readonly claim: Claim;
  readonly tail: string | null;
}

/** A claim of somebody's that shares a path, or a resource, with a requested one; and what they share. */
export interface Overlap<T> {
  readonly by: T;
  readonly held: Claim;
  readonly requested: Claim;
  readonly witness: string;
}

function push<T>(index: Map<string, T[]>, key: string, entry: T): void {
  const entries = index.get(key);
  if (entries === undefined) index.set(key, [entry]);
  else entries.push(entry);
}

interface LookOptions<T> {
  readonly among?: (by: T) => boolean;
  readonly most?: number;
}

/** Steps of comparing (see `workDone`) that one request may cost while others wait for the lock: what five hundred ordinary patterns need against as many; 30 to 200 milliseconds. */
const STEPS_MAX = 3_000_000;

/**
 * The leases, or the waiters, of one repo that a batch has to reckon with: those loaded as candidates, and those that it
 * adds itself. Indexed by the same keys as the tables, so that a batch of a thousand paths stays linear.
 */
export class ClaimTable<T extends Claimant> {
  readonly #mode: CaseMode;
  readonly #claimants = new Map<string, T>();
  readonly #byKey = { literal: new Map<string, Entry<T>[]>(), pattern: new Map<string, Entry<T>[]>() };
  readonly #resources = new Map<string, Entry<T>[]>();
  /** Patterns, as spelled. */
  readonly #byText = new Map<string, Entry<T>[]>();
  #steps = 0;
  /** Counted by itself: whoever asks for five hundred things again that it holds is to be told so. */
  #stepsToHold = 0;

  constructor(mode: CaseMode) {
    this.#mode = mode;
  }

  get size(): number {
    return this.#claimants.size;
  }

  add(by: T): void {
    this.#claimants.set(by.id, by);
    for (const claim of by.matchers) {
      const { kind, key, tail } = claimKey(claim);
      const index = kind === 'resource' ? this.#resources : this.#byKey[kind];
      const entry = { by, claim, tail };
      push(index, key, entry);
      if (claim.kind === 'pattern') push(this.#byText, claim.text, entry);
    }
  }

  /** Takes out one that has ended; its index entries are skipped from then on. */
  remove(id: string): void {
    this.#claimants.delete(id);
  }

  get(id: string): T | undefined {
    return this.#claimants.get(id);
  }

  all(): Iterable<T> {
    return this.#claimants.values();
  }

  /** A new request is looked at. */
  begin(): void {
    this.#steps = 0;
    this.#stepsToHold = 0;
  }

  /** Everybody, or all of those `among` whom is looked, who share something with `requested`, one overlap each. @throws TooBroad */
  overlaps(requested: Claim, among?: (by: T) => boolean): readonly Overlap<T>[] {
    const { overlaps, isWhole } = this.look(requested, among === undefined ? {} : { among });
    if (!isWhole) throw tooIntricate();
    return overlaps;
  }

  /** Whether anybody does: the first is enough. @throws TooBroad */
  overlapsAny(requested: Claim): boolean {
    const { overlaps, isWhole } = this.look(requested, { most: 1 });
    if (overlaps.length === 0 && !isWhole) throw tooIntricate();
    return overlaps.length > 0;
  }

  /**
   * As `overlaps`; and those that were found where it would take too long to find all.
   * @param only `among`: who is compared at all; `most`: so many at most
   */
  look(requested: Claim, only: LookOptions<T> = {}): { overlaps: readonly Overlap<T>[]; isWhole: boolean } {
    const { among = () => true, most } = only;
    const overlaps: Overlap<T>[] = [];
    if (this.#claimants.size === 0) return { overlaps, isWhole: true };
    const { tail: wantedTail } = claimKey(requested);
    let seen = null as Set<T> | null;
    for (const { by, claim, tail } of this.#near(requested)) {
      if (tail !== null && wantedTail !== null && tail !== wantedTail) continue;
      if (seen?.has(by) === true || this.#claimants.get(by.id) !== by || !among(by)) continue;
      const before = workDone();
      const witness = meet(requested, claim, this.#mode);
      this.#steps += workDone() - before;
      if (witness !== null) {
        (seen ??= new Set()).add(by);
        if (overlaps.push({ by, held: claim, requested, witness }) === most) break;
      }
      if (this.#steps > STEPS_MAX) return { overlaps, isWhole: false };
    }
    return { overlaps, isWhole: true };
  }

  /** Whether the overlap's holder holds all that was requested: what shares a path with it most often does. @throws TooBroad */
  isHeldWhole({ by, held, requested }: Overlap<T>): boolean {
    return this.holds(held, requested) || by.matchers.some((other) => this.holds(other, requested));
  }

  /** As the function of this name. @throws TooBroad once the request has cost too much */
  holds(held: Claim, wanted: Claim): boolean {
    if (this.#stepsToHold > STEPS_MAX) throw tooIntricate();
    const before = workDone();
    const isHeld = holds(held, wanted, this.#mode);
    this.#stepsToHold += workDone() - before;
    return isHeld;
  }

  /** Most ask for a path where nobody has patterns: then there is one place to look. */
  #near(requested: Claim): Iterable<Entry<T>> {
    if (requested.kind === 'path' && this.#byKey.pattern.size === 0)
      return this.#byKey.literal.get(claimKey(requested).key) ?? [];
    return this.#candidates(requested, claimLookup(requested));
  }

  *#candidates(requested: Claim, wanted: ClaimLookup): Generator<Entry<T>> {
    // First whoever has just that: a run that asks again for hundreds of patterns has each found before it is compared with the others.
    if (requested.kind === 'pattern') yield* this.#byText.get(requested.text) ?? [];
    for (const key of wanted.resources) yield* this.#resources.get(key) ?? [];
    for (const key of wanted.literals) yield* this.#byKey.literal.get(key) ?? [];
    for (const key of wanted.patternPrefixes) yield* this.#byKey.pattern.get(key) ?? [];
    if (wanted.range === null) return;
    // A pattern against everything: rare, and bounded by what the candidate query let through.
    for (const entries of this.#byKey.literal.values()) yield* entries;
    for (const entries of this.#byKey.pattern.values()) yield* entries;
  }
}
