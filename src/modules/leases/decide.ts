import type { Matcher } from '../../patterns/index.ts';
import { closedUntil, type HeldLease, type Holder, standing } from './lease.ts';
import type { LeaseTable } from './lease-table.ts';
import type { LeaseMode, Wanted } from './request.ts';

/** One reason why a request cannot have its lease: who holds what, and a path that both would touch. */
export interface Conflict {
  readonly witness: string;
  readonly requested: string;
  readonly held: string;
  readonly leaseId: string;
  readonly holder: Holder;
  readonly mode: LeaseMode;
  readonly purpose: string | null;
  readonly since: string;
  readonly expiresAt: string;
  /** When the path is free at the latest if nobody renews: the expiry and the lock delay after it. */
  readonly freeAt: string;
  /** The lease has expired; only its lock delay still runs. */
  readonly closing: boolean;
  readonly queueLength: number;
}

/** Conflicts told in one refusal; with more, the request is as refused as it can be. */
const MAX_CONFLICTS = 50;

export interface Moment {
  readonly now: Date;
  readonly lockDelaySeconds: number;
}

export type Verdict =
  | { readonly kind: 'conflict'; readonly conflicts: readonly Conflict[]; readonly free: readonly string[] }
  | { readonly kind: 'held'; readonly lease: HeldLease }
  | { readonly kind: 'grant'; readonly over: readonly HeldLease[] };

/**
 * Decides one request against what is held: refused by every lease of another run that shares a path with it (unless
 * both are shared), already held when one live lease of the same run covers all of it, granted otherwise. `over` are the
 * leases that only their rows still keep: the grant ends them in its own transaction. A run never conflicts with itself.
 */
export function decideLease(table: LeaseTable, runId: string, wanted: Wanted, moment: Moment): Verdict {
  const conflicts: Conflict[] = [];
  const taken = new Set<Matcher>();
  const over = new Set<HeldLease>();
  const own = new Map<HeldLease, number>();
  for (const requested of wanted.matchers) {
    for (const { lease, held, witness } of table.overlaps(requested)) {
      const state = standing(lease, moment.now, moment.lockDelaySeconds);
      if (state === 'over' || (state === 'closing' && lease.runId === runId)) {
        over.add(lease);
      } else if (lease.runId === runId) {
        if (covers(lease, requested, wanted.mode)) own.set(lease, (own.get(lease) ?? 0) + 1);
      } else if (wanted.mode === 'exclusive' || lease.mode === 'exclusive') {
        taken.add(requested);
        if (conflicts.length < MAX_CONFLICTS)
          conflicts.push(describe({ lease, held, requested, witness }, state === 'closing', moment));
      }
    }
  }
  if (taken.size > 0) {
    const free = wanted.matchers.filter((matcher) => !taken.has(matcher)).map(({ text }) => text);
    return { kind: 'conflict', conflicts, free };
  }
  for (const [lease, covered] of own) {
    if (covered === wanted.matchers.length) return { kind: 'held', lease };
  }
  return { kind: 'grant', over: [...over] };
}

function describe(
  found: { lease: HeldLease; held: Matcher; requested: Matcher; witness: string },
  closing: boolean,
  moment: Moment,
): Conflict {
  const { lease, held, requested, witness } = found;
  return {
    witness,
    requested: requested.text,
    held: held.text,
    leaseId: lease.id,
    holder: lease.holder,
    mode: lease.mode,
    purpose: lease.purpose,
    since: lease.grantedAt.toISOString(),
    expiresAt: lease.expiresAt.toISOString(),
    freeAt: closedUntil(lease, moment.lockDelaySeconds).toISOString(),
    closing,
    queueLength: 0,
  };
}

/**
 * Whether a lease of the same run, which overlaps `requested`, covers it as strongly as it is wanted. For a path, the
 * overlap is the path; for a pattern only the same text counts, which is all that a run asking again sends.
 */
function covers(lease: HeldLease, requested: Matcher, mode: LeaseMode): boolean {
  if (mode === 'exclusive' && lease.mode === 'shared') return false;
  return (
    requested.kind === 'path' || lease.matchers.some((held) => held.kind === 'pattern' && held.text === requested.text)
  );
}
