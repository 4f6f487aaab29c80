import * as fc from 'fast-check';
import { type Model, type Request, standing } from './reference.ts';
import { AT_ONCE, HELD_OPEN, type Step } from './steps.ts';
import { type Claim, MENU } from './universe.ts';

export const RUNS = 4;
const REPOS = ['acme/one', 'acme/two'];
const TTLS = [300, 900, 3600];
const WAITS = [0, AT_ONCE, HELD_OPEN];

/** What to do, with picks from lists that are known only when it is done. */
export type Plan =
  | {
      readonly kind: 'acquire';
      readonly run: number;
      readonly repo: number;
      readonly claims: readonly number[];
      readonly mode: Request['mode'];
      readonly ttl: number;
      readonly waits: number;
      readonly key: string | null;
    }
  | {
      readonly kind: 'admit';
      readonly run: number;
      readonly repo: number;
      readonly claims: readonly number[];
      readonly mode: Request['mode'];
      readonly ttl: number;
    }
  | {
      readonly kind: 'upgrade';
      readonly lease: number;
      readonly more: number | null;
      readonly waits: number;
      readonly key: string | null;
    }
  | { readonly kind: 'retry'; readonly asked: number; readonly isOther: boolean }
  | {
      readonly kind: 'renew';
      readonly lease: number;
      readonly isOwner: boolean;
      readonly isRightFence: boolean;
      readonly ttl: number | null;
    }
  | { readonly kind: 'release'; readonly lease: number; readonly isOwner: boolean; readonly isRightFence: boolean }
  | { readonly kind: 'revoke'; readonly lease: number; readonly isAdmin: boolean }
  | { readonly kind: 'heartbeat' | 'finish'; readonly run: number }
  | { readonly kind: 'cancel' | 'poll'; readonly ticket: number; readonly isOwner: boolean }
  | { readonly kind: 'look'; readonly lease: number };

const nat = (max: number) => fc.nat({ max });
const pick = nat(999);
const run = nat(RUNS - 1);
const mostly = fc.nat({ max: 7 }).map((n) => n > 0);
const key = fc.option(fc.uuid(), { freq: 2 });
const ttl = nat(TTLS.length - 1);
const waits = fc.constantFrom(0, 0, 1, 1, 2);

const menuOf = (kind: Claim['kind']) =>
  fc.constantFrom(...MENU.flatMap((claim, at) => (claim.kind === kind ? [at] : [])));

/** Few claims a request, and most of them on few paths: what never meets tells nothing. */
const claims = fc
  .uniqueArray(
    fc.oneof({ weight: 2, arbitrary: fc.constantFrom(0, 1, 5) }, { weight: 3, arbitrary: nat(MENU.length - 1) }),
    {
      minLength: 1,
      maxLength: 3,
    },
  )
  .map((picked) => picked.toSorted((a, b) => a - b));

const kindOf = <K extends string>(...kinds: K[]) => fc.constantFrom(...kinds);

export const acquire: fc.Arbitrary<Plan> = fc.record({
  kind: kindOf('acquire'),
  run,
  repo: fc.constantFrom(0, 0, 0, 1),
  claims,
  mode: fc.constantFrom('exclusive' as const, 'exclusive' as const, 'shared' as const),
  ttl,
  waits,
  key,
});
/** What is asked before an edit: of files, and perhaps of a resource. */
const admit: fc.Arbitrary<Plan> = fc.record({
  kind: kindOf('admit'),
  run,
  repo: fc.constantFrom(0, 0, 0, 1),
  claims: fc
    .tuple(fc.uniqueArray(menuOf('paths'), { minLength: 1, maxLength: 2 }), fc.option(menuOf('resources'), { freq: 1 }))
    .map(([paths, resource]) => [...paths, ...(resource === null ? [] : [resource])].toSorted((a, b) => a - b)),
  mode: fc.constantFrom('exclusive' as const, 'exclusive' as const, 'shared' as const),
  ttl,
});
const upgrade: fc.Arbitrary<Plan> = fc.record({
  kind: kindOf('upgrade'),
  lease: pick,
  more: fc.option<number>(nat(MENU.length - 1), { freq: 1 }),
  waits,
  key,
});
const holding: fc.Arbitrary<Plan> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: kindOf('release'), lease: pick, isOwner: mostly, isRightFence: mostly }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: kindOf('renew'),
      lease: pick,
      isOwner: mostly,
      isRightFence: mostly,
      ttl: fc.option(ttl),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: kindOf('revoke'), lease: pick, isAdmin: mostly }) },
);
const retry: fc.Arbitrary<Plan> = fc.record({ kind: kindOf('retry'), asked: pick, isOther: mostly.map((it) => !it) });
const ofRun: fc.Arbitrary<Plan> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: kindOf('heartbeat'), run }) },
  { weight: 1, arbitrary: fc.record({ kind: kindOf('finish'), run }) },
);
const cancel: fc.Arbitrary<Plan> = fc.record({ kind: kindOf('cancel'), ticket: pick, isOwner: mostly });
const reading: fc.Arbitrary<Plan> = fc.oneof(
  fc.record({ kind: kindOf('poll'), ticket: pick, isOwner: mostly }),
  fc.record({ kind: kindOf('look'), lease: pick }),
);

/** What changes something: also done two at a time. */
export const change: fc.Arbitrary<Plan> = fc.oneof(
  { weight: 8, arbitrary: acquire },
  { weight: 3, arbitrary: admit },
  { weight: 2, arbitrary: upgrade },
  { weight: 6, arbitrary: holding },
  { weight: 2, arbitrary: cancel },
  { weight: 2, arbitrary: ofRun },
  { weight: 1, arbitrary: retry },
);
export const plan: fc.Arbitrary<Plan> = fc.oneof(
  { weight: 8, arbitrary: change },
  { weight: 1, arbitrary: retry },
  { weight: 2, arbitrary: reading },
);

/** Mostly one of those that still mean something. Null: there is none. */
function pickFrom<T>(all: readonly T[], matters: (one: T) => boolean, at: number): number | null {
  const some = all.filter(matters);
  const from = some.length > 0 && at % 5 > 0 ? some : all;
  return from.length === 0 ? null : all.indexOf(from[at % from.length]!);
}

export const pickLease = (m: Model, at: number): number | null =>
  pickFrom(m.leases, (lease) => standing(m, lease) !== 'over', at);
const pickTicket = (m: Model, at: number): number | null =>
  pickFrom(m.tickets, ({ status }) => status === 'waiting', at);

/** What a plan means as things stand; null: nothing. */
export function resolve(m: Model, what: Plan): Step | null {
  switch (what.kind) {
    case 'acquire':
      return asking(m, { request: requestOf(what), waitSeconds: WAITS[what.waits]!, key: what.key });
    case 'admit':
      return { kind: 'admit', request: requestOf(what) };
    case 'upgrade': {
      const shared = m.leases.filter((lease) => lease.mode === 'shared' && standing(m, lease) === 'live');
      const lease = shared[what.lease % shared.length];
      if (lease === undefined) return null;
      const texts = new Set(lease.claims.map(({ text, kind }) => kind + text));
      const wanted = MENU.filter((claim, at) => texts.has(claim.kind + claim.text) || at === what.more);
      const { run: holder, repo, ttlSeconds } = lease;
      const request: Request = { run: holder, repo, ttlSeconds, mode: 'exclusive', claims: wanted };
      return asking(m, { request, waitSeconds: WAITS[what.waits]!, key: what.key });
    }
    case 'retry': {
      const asked = m.asked[what.asked % m.asked.length];
      if (asked === undefined) return null;
      if (m.kept.has(asked.key)) return { kind: 'retry', asked, isOther: what.isOther };
      return asking(m, asked);
    }
    case 'heartbeat':
    case 'finish':
      return what;
    case 'cancel':
    case 'poll': {
      const ticket = pickTicket(m, what.ticket);
      if (ticket === null) return null;
      const owner = m.tickets[ticket]!.run;
      return { kind: what.kind, ticket, by: what.isOwner ? owner : (owner + 1) % RUNS };
    }
    default:
      return ofLease(m, what);
  }
}

function requestOf({ run: who, repo, mode, claims: picked, ttl: at }: Extract<Plan, { claims: unknown }>): Request {
  return { run: who, repo: REPOS[repo]!, mode, claims: picked.map((claim) => MENU[claim]!), ttlSeconds: TTLS[at]! };
}

function ofLease(m: Model, what: Extract<Plan, { kind: 'renew' | 'release' | 'revoke' | 'look' }>): Step | null {
  const lease = pickLease(m, what.lease);
  if (lease === null) return null;
  const owner = m.leases[lease]!.run;
  if (what.kind === 'look') return { kind: 'look', lease };
  if (what.kind === 'revoke') return { kind: 'revoke', lease, isAdmin: what.isAdmin };
  const { kind, isRightFence, isOwner } = what;
  const ttlSeconds = what.kind === 'renew' && what.ttl !== null ? TTLS[what.ttl]! : null;
  return { kind, lease, by: isOwner ? owner : (owner + 1) % RUNS, isRightFence, ttlSeconds };
}

/** One that may join a ticket of its own run is not held open: nothing would tell when it has. */
function asking(m: Model, asked: { request: Request; waitSeconds: number; key: string | null }): Step {
  const { run: asker, repo } = asked.request;
  const mayJoin = m.tickets.some((it) => it.run === asker && it.status === 'waiting' && it.repo === repo);
  const waitSeconds = mayJoin ? Math.min(asked.waitSeconds, AT_ONCE) : asked.waitSeconds;
  return { kind: 'acquire', ...asked, waitSeconds };
}
