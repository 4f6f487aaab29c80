import { type Claim, holds, share } from './universe.ts';

/**
 * What the server should do, as plainly as it can be said: lists, looked through from end to end. Nothing of the server's
 * code is used here.
 */
export interface Model {
  readonly runs: Run[];
  /** In the order in which they were granted. */
  readonly leases: Lease[];
  /** In the order in which they came. */
  readonly tickets: Ticket[];
  /** Requests that were sent with an Idempotency-Key. */
  readonly asked: Asked[];
  /** What was answered under such a key: a lease, as it was then, or the ticket to follow. */
  readonly kept: Map<string, { readonly lease: unknown } | { readonly ticket: number }>;
  /** Runs that were refused something of late: each has been heard of by it, soon after the answer. */
  readonly refused: Set<number>;
}

export const newModel = (runIds: readonly string[]): Model => ({
  runs: runIds.map((id) => ({ id, status: 'running' })),
  leases: [],
  tickets: [],
  asked: [],
  kept: new Map(),
  refused: new Set(),
});

export interface Asked {
  readonly key: string;
  readonly request: Request;
  readonly waitSeconds: number;
}

export interface Run {
  readonly id: string;
  status: 'running' | 'silent' | 'finished';
}

export type Mode = 'shared' | 'exclusive';

/** What a run wants of a repo. */
export interface Request {
  readonly run: number;
  readonly repo: string;
  readonly mode: Mode;
  readonly claims: readonly Claim[];
  readonly ttlSeconds: number;
}

export interface Lease extends Omit<Request, 'ttlSeconds'> {
  /** Null until it is known: of a lease that a waiter was given. */
  id: string | null;
  fence: number | null;
  ttlSeconds: number;
  leftSeconds: number;
  /** By its expiry alone: `closing` is past the expiry and within the lock delay, `past` after both. */
  age: 'fresh' | 'closing' | 'past';
  end: 'released' | 'upgraded' | 'expired' | 'run_ended' | 'revoked' | null;
}

export interface Ticket extends Request {
  /** The longest that it was asked for. */
  ttlSeconds: number;
  id: string | null;
  status: 'waiting' | 'granted' | 'cancelled' | 'ended';
  reason: string | null;
  /** Whether others were given it as well: then nobody's hanging up gives it up. */
  joined: boolean;
  /** One of them is what it was granted; almost always there is only one. */
  leases: Lease[];
  /** What was answered of it before it was seen in its row: the lease it was granted, or null: that it came to nothing. */
  promised?: string | null;
}

/** A claim that cannot be had, and who is in its way. */
export interface Obstacle<T> {
  readonly claim: Claim;
  readonly by: T;
}

export type Verdict =
  | { readonly kind: 'revoked'; readonly leases: Lease[] }
  | {
      readonly kind: 'conflict';
      readonly leases: Obstacle<Lease>[];
      readonly tickets: Obstacle<Ticket>[];
      readonly free: string[];
    }
  | { readonly kind: 'held'; readonly leases: Lease[] }
  | { readonly kind: 'grant' };

/** Whoever was refused something is no longer silent. */
export function hearRefused(m: Model): void {
  for (const at of m.refused) hear(m.runs[at]!);
}

/** Any call of a run is a beat of it. */
export function hear(run: Run): void {
  if (run.status === 'silent') run.status = 'running';
}

const isLive = (m: Model, lease: Lease): boolean => standing(m, lease) === 'live';

export function standing(m: Model, lease: Lease): 'live' | 'closing' | 'revoked' | 'over' {
  if (m.runs[lease.run]!.status === 'finished' || lease.age === 'past') return 'over';
  if (lease.end === 'revoked') return lease.age === 'fresh' ? 'revoked' : 'over';
  if (lease.end !== null) return 'over';
  return lease.age === 'fresh' ? 'live' : 'closing';
}

/** Whether others stand behind it: a run that nobody hears of keeps its place, and holds nobody up. */
const isInLine = (m: Model, ticket: Ticket): boolean =>
  ticket.status === 'waiting' && m.runs[ticket.run]!.status === 'running';

const mayShare = (a: { mode: Mode }, b: { mode: Mode }): boolean => a.mode === 'shared' && b.mode === 'shared';

const overlapping = (
  a: Request,
  claim: Claim,
  b: { readonly repo: string; readonly claims: readonly Claim[] },
): boolean => a.repo === b.repo && b.claims.some((other) => share(claim, other));

/** Whether a request may have its lease now. `ahead`: who came before it, of all tickets. */
export function decide(m: Model, wanted: Request, ahead: readonly Ticket[]): Verdict {
  const own = m.leases.filter(({ run, repo }) => run === wanted.run && repo === wanted.repo);
  const live = own.filter((lease) => isLive(m, lease));
  const leases: Obstacle<Lease>[] = [];
  const tickets: Obstacle<Ticket>[] = [];
  for (const claim of wanted.claims) {
    for (const by of m.leases) {
      const isClosed = ['live', 'closing'].includes(standing(m, by));
      if (by.run !== wanted.run && isClosed && !mayShare(by, wanted) && overlapping(wanted, claim, by))
        leases.push({ claim, by });
    }
    // Whoever holds it already does not stand behind those who wait for that very run.
    const holding = live.filter((lease) => lease.claims.some((held) => holds(held, claim)));
    for (const by of waitingFor(m, wanted, claim, ahead))
      if (!holding.some((lease) => !mayShare(lease, by))) tickets.push({ claim, by });
  }
  const revoked = own.filter(
    (lease) => standing(m, lease) === 'revoked' && wanted.claims.some((claim) => overlapping(wanted, claim, lease)),
  );
  if (revoked.length > 0) return { kind: 'revoked', leases: revoked };
  const taken = new Set([...leases, ...tickets].map(({ claim }) => claim.text + claim.kind));
  const free = wanted.claims.filter((claim) => !taken.has(claim.text + claim.kind)).map(({ text }) => text);
  if (leases.length + tickets.length > 0) return { kind: 'conflict', leases, tickets, free };
  const whole = live.filter(
    (lease) =>
      (wanted.mode === 'shared' || lease.mode === 'exclusive') &&
      wanted.claims.every((claim) => lease.claims.some((held) => holds(held, claim))),
  );
  return whole.length > 0 ? { kind: 'held', leases: whole } : { kind: 'grant' };
}

/** Those ahead of a request who want something of one of its claims, and cannot have it together with it. */
export function waitingFor(m: Model, wanted: Request, claim: Claim, ahead: readonly Ticket[]): Ticket[] {
  return ahead.filter(
    (other) =>
      other.run !== wanted.run && isInLine(m, other) && !mayShare(other, wanted) && overlapping(wanted, claim, other),
  );
}

/** The verdict on one that waits, in its place. */
export const decideTicket = (m: Model, ticket: Ticket): Verdict =>
  decide(m, ticket, m.tickets.slice(0, m.tickets.indexOf(ticket)));

/** Grants it: the run's shared leases that it makes needless end with it, and it lasts as long as any of them would. */
export function grant(m: Model, { run, repo, mode, claims, ...asked }: Request): Lease {
  let { ttlSeconds } = asked;
  for (const old of m.leases) {
    if (old.run !== run || old.repo !== repo) continue;
    const isWhole = old.claims.every((held) => claims.some((claim) => holds(claim, held)));
    if (isWhole && isLive(m, old) && old.mode === 'shared' && mode === 'exclusive') {
      old.end = 'upgraded';
      ttlSeconds = Math.max(ttlSeconds, old.ttlSeconds);
    }
    if (standing(m, old) !== 'closing') continue;
    // What the run let run out, it has again: nothing of the old one is left to keep closed.
    const isAgain = isWhole && (old.mode === 'shared' || mode === 'exclusive');
    if (isAgain) old.end = 'expired';
  }
  const lease: Lease = {
    id: null,
    fence: null,
    run,
    repo,
    mode,
    claims,
    ttlSeconds,
    leftSeconds: ttlSeconds,
    age: 'fresh',
    end: null,
  };
  m.leases.push(lease);
  return lease;
}

/** Makes it last at least so long from now on; never shorter. */
export function extend(lease: Lease, ttlSeconds: number): void {
  if (ttlSeconds <= lease.leftSeconds) return;
  lease.leftSeconds = ttlSeconds;
  lease.ttlSeconds = ttlSeconds;
}

/** Asking again for what is held extends it when less than two thirds of the time asked for is left. */
export function askAgain(lease: Lease, ttlSeconds: number): void {
  if (lease.leftSeconds < (ttlSeconds * 2) / 3) extend(lease, ttlSeconds);
}

/**
 * Gives everybody their turn whose turn has come, in the order of the line, until nobody's has. Who waits for what was taken
 * back from them leaves it, whoever else is in their way.
 */
export function settle(m: Model): void {
  for (let again = true; again; ) {
    again = false;
    for (const ticket of m.tickets.filter((one) => isInLine(m, one))) {
      const verdict = decideTicket(m, ticket);
      if (verdict.kind === 'conflict') continue;
      again = true;
      if (verdict.kind === 'revoked') endTicket(ticket, 'ended', 'lease_revoked');
      else {
        ticket.status = 'granted';
        ticket.leases = verdict.kind === 'held' ? verdict.leases : [grant(m, ticket)];
        const [only, other] = ticket.leases;
        if (verdict.kind === 'held' && other === undefined) askAgain(only!, ticket.ttlSeconds);
      }
      break;
    }
  }
}

export function endTicket(ticket: Ticket, status: 'cancelled' | 'ended', reason: string): void {
  ticket.status = status;
  ticket.reason = reason;
}

/** Which runs each run waits for: also those that are silent, which may be heard of again. */
export function waitGraph(
  m: Model,
  isWaiting = (ticket: Ticket) => ticket.status === 'waiting',
): Map<number, Set<number>> {
  const graph = new Map<number, Set<number>>(m.runs.map((_, run) => [run, new Set()]));
  for (const ticket of m.tickets.filter(isWaiting)) {
    const verdict = decideTicket(m, ticket);
    if (verdict.kind === 'conflict') for (const run of inTheWay(m, verdict)) graph.get(ticket.run)!.add(run);
  }
  return graph;
}

/** Whom it waits for: what is only closing comes free whatever its run does. */
export const inTheWay = (m: Model, { leases, tickets }: Extract<Verdict, { kind: 'conflict' }>): Set<number> =>
  new Set([...leases.filter(({ by }) => isLive(m, by)), ...tickets].map(({ by }) => by.run));

/** How many steps the shortest way from a run back to itself has; null if there is none. */
export function shortestCycle(graph: ReadonlyMap<number, ReadonlySet<number>>, from: number): number | null {
  let frontier = new Set([from]);
  for (let steps = 1; steps <= graph.size; steps += 1) {
    frontier = new Set([...frontier].flatMap((run) => [...graph.get(run)!]));
    if (frontier.has(from)) return steps;
  }
  return null;
}

/** Whether runs wait for each other in a ring. */
export function isDeadlocked(m: Model): boolean {
  const graph = waitGraph(m, (ticket) => isInLine(m, ticket));
  return m.runs.some((_, run) => shortestCycle(graph, run) !== null);
}
