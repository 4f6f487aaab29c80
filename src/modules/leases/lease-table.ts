import { type CaseMode, indexKey, lookup, type Matcher, overlap } from '../../patterns/index.ts';
import type { HeldLease } from './lease.ts';

interface Entry {
  readonly lease: HeldLease;
  readonly matcher: Matcher;
}

/** A lease's matcher that shares a path with a requested one, and such a path. */
export interface Overlap {
  readonly lease: HeldLease;
  readonly held: Matcher;
  readonly requested: Matcher;
  readonly witness: string;
}

/**
 * The leases of one repo that a batch has to reckon with: those loaded as candidates, and those it grants itself.
 * Indexed by the same keys as the table lease_key, so that a batch of a thousand paths stays linear.
 */
export class LeaseTable {
  readonly #mode: CaseMode;
  readonly #leases = new Map<string, HeldLease>();
  readonly #literals = new Map<string, Set<Entry>>();
  readonly #patterns = new Map<string, Set<Entry>>();

  constructor(mode: CaseMode) {
    this.#mode = mode;
  }

  get mode(): CaseMode {
    return this.#mode;
  }

  add(lease: HeldLease): void {
    this.#leases.set(lease.id, lease);
    for (const matcher of lease.matchers) {
      const { kind, key } = indexKey(matcher);
      const index = kind === 'literal' ? this.#literals : this.#patterns;
      const entries = index.get(key) ?? new Set();
      index.set(key, entries.add({ lease, matcher }));
    }
  }

  /** Takes out a lease that has ended; its index entries are skipped from then on. */
  remove(leaseId: string): void {
    this.#leases.delete(leaseId);
  }

  get(leaseId: string): HeldLease | undefined {
    return this.#leases.get(leaseId);
  }

  /** Every lease that shares a path with `requested`, one overlap a lease and requested matcher. */
  *overlaps(requested: Matcher): Generator<Overlap> {
    const seen = new Set<string>();
    for (const { lease, matcher } of this.#candidates(requested)) {
      if (seen.has(lease.id) || this.#leases.get(lease.id) !== lease) continue;
      const witness = overlap(requested, matcher, this.#mode);
      if (witness === null) continue;
      seen.add(lease.id);
      yield { lease, held: matcher, requested, witness };
    }
  }

  *#candidates(requested: Matcher): Generator<Entry> {
    const wanted = lookup(requested);
    for (const key of wanted.literals) yield* this.#literals.get(key) ?? [];
    for (const key of wanted.patternPrefixes) yield* this.#patterns.get(key) ?? [];
    if (wanted.range === null) return;
    // A pattern against everything: rare, and bounded by what the candidate query let through.
    for (const entries of this.#literals.values()) yield* entries;
    for (const entries of this.#patterns.values()) yield* entries;
  }
}
