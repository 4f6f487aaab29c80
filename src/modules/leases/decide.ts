import type { Claim } from './claim.ts';
import type { ClaimTable, Overlap } from './claim-table.ts';
import { closedUntil, type HeldLease, type Holder, standing } from './lease.ts';
import type { LeaseMode, Wanted } from './request.ts';
import { TooBroad, tooIntricate } from './too-broad.ts';
import { counts, LAST, placeOf, type Waiter } from './waiting/waiter.ts';

/**
 * One reason why a request cannot have its lease: who holds what, or who asked for it before, and a path that both would
 * touch. `leaseId` is null for somebody who waits (`ticketId`), and with it the times that only a lease has.
 */
export interface Conflict {
  readonly witness: string;
  readonly requested: string;
  readonly held: string;
  readonly leaseId: string | null;
  readonly ticketId: string | null;
  readonly holder: Holder;
  readonly mode: LeaseMode;
  readonly purpose: string | null;
  readonly since: string;
  readonly expiresAt: string | null;
  /** When the path is free at the latest if nobody renews: the expiry and the lock delay after it. */
  readonly freeAt: string | null;
  /** The lease has expired; only its lock delay still runs. */
  readonly closing: boolean;
  /** Others who wait for something of what was requested there, before whoever asks now. */
  readonly queueLength: number;
  /** Filled in from the repo's history of holds where the answer is given; see `expectedWait`. */
  expectedWaitSeconds: number | null;
}

/** Conflicts told in one refusal, besides one for each thing that was asked for and is not free. */
const MAX_CONFLICTS = 50;

export interface Moment {
  readonly now: Date;
  readonly lockDelaySeconds: number;
}

/** Who asks: a run, and its place among those who wait (`LAST` for one that has none yet). */
export interface Asker {
  readonly runId: string;
  readonly place: number;
}

/** Everything in the way of a request: what the refusal tells is only a part of it. */
export interface InTheWay {
  readonly leases: readonly Overlap<HeldLease>[];
  readonly waiters: readonly Overlap<Waiter>[];
  /** False where it would have taken too long to find all of it: enough for a refusal, and too little to wait by. */
  readonly isWhole: boolean;
}

export type Verdict =
  | {
      readonly kind: 'conflict';
      readonly conflicts: readonly Conflict[];
      /** Whether there are more than these. */
      readonly isCut: boolean;
      readonly free: readonly string[];
      readonly inTheWay: InTheWay;
    }
  | { readonly kind: 'revoked'; readonly lease: HeldLease; readonly witness: string }
  | { readonly kind: 'held'; readonly lease: HeldLease }
  /** `over`: leases that only their rows still keep. `upgraded`: shared ones of the run that the new one holds whole. */
  | { readonly kind: 'grant'; readonly over: readonly HeldLease[]; readonly upgraded: readonly HeldLease[] };

export interface Tables {
  readonly leases: ClaimTable<HeldLease>;
  readonly waiters: ClaimTable<Waiter>;
}

/** What is found while a request's claims are looked at one by one. */
interface Findings {
  readonly over: Set<HeldLease>;
  /** Expired leases of the run itself that it does not ask for again. */
  readonly closing: Set<HeldLease>;
  /** Leases of the run itself, with the claims of the request that each holds. */
  readonly own: Map<HeldLease, Set<Claim>>;
  readonly leases: Overlap<HeldLease>[];
  readonly waiters: Overlap<Waiter>[];
  /** The claims about which all was found out. */
  readonly known: Set<Claim>;
  readonly queues: Map<Claim, number>;
  revoked: Overlap<HeldLease> | null;
  isWhole: boolean;
}

/**
 * Decides one request against what is held and who waits: refused by every lease of another run that shares a path with it
 * (unless both are shared), and by every waiter who came before and wants such a path too, so that a wide pattern is not
 * starved by narrow ones. Already held when one live lease of the same run covers all of it, granted otherwise. A run never
 * conflicts with itself, and does not stand behind waiters for what it holds already: they wait for that very run.
 * @throws TooBroad where it would take too long to find out, and nothing has been found in the way so far; or to tell which
 *   shared leases an exclusive one takes the place of
 */
export function decideLease(tables: Tables, asker: Asker, wanted: Wanted, moment: Moment): Verdict {
  const found: Findings = {
    over: new Set(),
    closing: new Set(),
    own: new Map(),
    leases: [],
    waiters: [],
    known: new Set(),
    queues: new Map(),
    revoked: null,
    isWhole: true,
  };
  tables.leases.begin();
  tables.waiters.begin();
  for (const requested of wanted.matchers) {
    lookAt(tables, requested, { asker, wanted, moment, found });
    if (!found.isWhole) break;
    found.known.add(requested);
  }
  if (found.revoked !== null) return { kind: 'revoked', lease: found.revoked.by, witness: found.revoked.witness };
  if (!found.isWhole && found.leases.length + found.waiters.length === 0) throw tooIntricate();
  if (found.leases.length > 0 || found.waiters.length > 0) return refusal(wanted, found, moment);
  for (const [lease, claims] of found.own) {
    const strong = wanted.mode === 'shared' || lease.mode === 'exclusive';
    if (strong && claims.size === wanted.matchers.length) return { kind: 'held', lease };
  }
  return { kind: 'grant', over: [...found.over], upgraded: upgradedBy(tables, wanted, found) };
}

interface Look {
  readonly asker: Asker;
  readonly wanted: Wanted;
  readonly moment: Moment;
  readonly found: Findings;
}

/** What has been found in the way by then is enough for a refusal, whatever it would take to find out about the rest. */
function lookAt({ leases, waiters }: Tables, requested: Claim, look: Look): void {
  try {
    lookAtLeases(leases, requested, look);
    lookAtWaiters(waiters, requested, look);
  } catch (error) {
    if (!(error instanceof TooBroad)) throw error;
    look.found.isWhole = false;
  }
}

function lookAtLeases(table: ClaimTable<HeldLease>, requested: Claim, { asker, wanted, moment, found }: Look): void {
  const { overlaps, isWhole } = table.look(requested);
  found.isWhole &&= isWhole;
  for (const overlap of overlaps) {
    const lease = overlap.by;
    const isOwn = lease.runId === asker.runId;
    const state = standing(lease, moment.now, moment.lockDelaySeconds);
    if (state === 'revoked') {
      if (isOwn) found.revoked ??= overlap;
    } else if (state === 'over' || (state === 'closing' && isOwn)) {
      // Told once of each lease: it takes all its claims, whichever of them is looked at.
      if (lease.revoked !== null || found.over.has(lease) || found.closing.has(lease)) continue;
      const isOver = state === 'over' || isTakenAgain(lease, wanted, table);
      found[isOver ? 'over' : 'closing'].add(lease);
    } else if (isOwn) {
      const claims = found.own.get(lease) ?? new Set();
      if (table.isHeldWhole(overlap)) claims.add(requested);
      found.own.set(lease, claims);
    } else if (wanted.mode === 'exclusive' || lease.mode === 'exclusive') {
      found.leases.push(overlap);
    }
  }
}

/** Of an expired lease, what its run does not ask for again stays closed to others, and as tightly, until the delay is over. */
function isTakenAgain(lease: HeldLease, wanted: Wanted, table: ClaimTable<HeldLease>): boolean {
  if (lease.mode === 'exclusive' && wanted.mode === 'shared') return false;
  return lease.matchers.every((held) => wanted.matchers.some((claim) => table.holds(claim, held)));
}

function lookAtWaiters(table: ClaimTable<Waiter>, requested: Claim, { asker, wanted, moment, found }: Look): void {
  if (table.size === 0) return;
  // Only they are compared: a ticket that is to have its turn is in this table, too, and is not held up by what it costs to be
  // compared with itself.
  const mayStandAhead = (waiter: Waiter): boolean =>
    waiter.runId !== asker.runId &&
    isAhead(waiter, asker) &&
    counts(waiter, moment.now) &&
    !(wanted.mode === 'shared' && waiter.mode === 'shared');
  const { overlaps, isWhole } = table.look(requested, { among: mayStandAhead });
  found.isWhole &&= isWhole;
  const holding = [...found.own].filter(([, claims]) => claims.has(requested)).map(([lease]) => lease);
  for (const overlap of overlaps) {
    const waiter = overlap.by;
    // Who would share it with this run does not wait for it, and must not come to by being passed.
    const waitsForThis = holding.some((lease) => lease.mode === 'exclusive' || waiter.mode === 'exclusive');
    if (!waitsForThis) found.waiters.push(overlap);
  }
  found.queues.set(requested, overlaps.length);
}

/** One without a row is of this very batch: whoever asks after it stands behind it, unless they have a place already. */
function isAhead(waiter: Waiter, asker: Asker): boolean {
  return waiter.seq === null ? asker.place === LAST : waiter.seq < asker.place;
}

/** Shared leases of the run that an exclusive one takes the place of: kept, they would outlast its release. */
function upgradedBy({ leases }: Tables, wanted: Wanted, found: Findings): HeldLease[] {
  if (wanted.mode === 'shared') return [];
  return [...found.own.keys()].filter(
    (lease) =>
      lease.mode === 'shared' &&
      lease.matchers.every((held) => wanted.matchers.some((claim) => leases.holds(claim, held))),
  );
}

function refusal(wanted: Wanted, found: Findings, moment: Moment): Verdict {
  const all: Overlap<HeldLease | Waiter>[] = [...found.leases, ...found.waiters];
  const first = new Map<Claim, Overlap<HeldLease | Waiter>>();
  for (const overlap of all) if (!first.has(overlap.requested)) first.set(overlap.requested, overlap);
  const others = all.filter((overlap) => first.get(overlap.requested) !== overlap);
  const told = [...first.values(), ...others.slice(0, Math.max(0, MAX_CONFLICTS - first.size))];
  return {
    kind: 'conflict',
    conflicts: told.map((overlap) =>
      isByLease(overlap) ? byLease(overlap, found, moment) : byWaiter(overlap as Overlap<Waiter>, found),
    ),
    isCut: told.length < all.length || !found.isWhole,
    free: wanted.matchers.filter((claim) => found.known.has(claim) && !first.has(claim)).map(({ text }) => text),
    inTheWay: { leases: found.leases, waiters: found.waiters, isWhole: found.isWhole },
  };
}

function isByLease(overlap: Overlap<HeldLease | Waiter>): overlap is Overlap<HeldLease> {
  return 'grantedAt' in overlap.by;
}

function byLease({ by, held, requested, witness }: Overlap<HeldLease>, found: Findings, moment: Moment): Conflict {
  return {
    witness,
    requested: requested.text,
    held: held.text,
    leaseId: by.id,
    ticketId: null,
    holder: by.holder,
    mode: by.mode,
    purpose: by.purpose,
    since: by.grantedAt.toISOString(),
    expiresAt: by.expiresAt.toISOString(),
    freeAt: closedUntil(by, moment.lockDelaySeconds).toISOString(),
    closing: standing(by, moment.now, moment.lockDelaySeconds) === 'closing',
    queueLength: found.queues.get(requested) ?? 0,
    expectedWaitSeconds: null,
  };
}

function byWaiter({ by, held, requested, witness }: Overlap<Waiter>, found: Findings): Conflict {
  return {
    witness,
    requested: requested.text,
    held: held.text,
    leaseId: null,
    ticketId: by.id,
    holder: by.holder,
    mode: by.mode,
    purpose: by.purpose,
    since: by.queuedAt.toISOString(),
    expiresAt: null,
    freeAt: null,
    closing: false,
    queueLength: found.queues.get(requested) ?? 0,
    expectedWaitSeconds: null,
  };
}

/**
 * What to watch of all that is in the way: while that one is there, nothing else needs to be looked at. The last of the
 * waiters ahead, so that a line of a thousand is a chain and not a crowd behind one lease; without any, the lease that is
 * free last.
 */
export function toWatch({ leases, waiters }: InTheWay): HeldLease | Waiter {
  const ahead = waiters.map(({ by }) => by);
  const last = ahead.reduce<Waiter | null>((a, b) => (a === null || placeOf(b) >= placeOf(a) ? b : a), null);
  return last ?? leases.map(({ by }) => by).reduce((a, b) => (b.expiresAt > a.expiresAt ? b : a));
}
