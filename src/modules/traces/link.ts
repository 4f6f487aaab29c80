import type { Principal } from '../../platform/principal.ts';
import { mayActFor } from '../loops/index.ts';
import { type Hints, hint } from './hot-keys.ts';

/** What telemetry says it belongs to. A word of ours for attributes that may be unset or made up. */
export interface Claim {
  /** UUIDs in lower case; null for none and for what is no UUID. */
  readonly loopId: string | null;
  readonly runId: string | null;
  readonly sessionId: string | null;
}

export interface KnownRun {
  readonly id: string;
  readonly loopId: string;
  readonly ownerId: string;
  readonly sessionId: string | null;
  readonly startedNanos: bigint;
}

/** What the org knows of the loops, runs and sessions that a request claims. */
export interface Known {
  readonly runs: readonly KnownRun[];
  readonly loops: readonly { readonly id: string; readonly ownerId: string }[];
}

/** Exact: said by a key that may speak for that loop. Inferred: anybody may have said it. */
export interface Link {
  readonly loopId: string | null;
  readonly runId: string | null;
  readonly link: 'exact' | 'inferred' | null;
}

const NO_LINK: Link = { loopId: null, runId: null, link: null };
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const SESSION_ID_CHARACTERS = 200;

export function claimOf(own: Hints, resource: Hints): Claim {
  const uuid = (text: string | null) => (text !== null && UUID.test(text) ? text.toLowerCase() : null);
  return {
    loopId: uuid(hint('loopId', own, resource)),
    runId: uuid(hint('runId', own, resource)),
    sessionId: hint('sessionId', own, resource)?.slice(0, SESSION_ID_CHARACTERS) ?? null,
  };
}

/** Finds the links of one request's items. */
export class Linker {
  readonly #principal: Principal;
  readonly #runs: ReadonlyMap<string, KnownRun>;
  readonly #sessions: ReadonlyMap<string, readonly KnownRun[]>;
  readonly #loops: ReadonlyMap<string, { id: string; ownerId: string }>;

  constructor(principal: Principal, { runs, loops }: Known) {
    this.#principal = principal;
    this.#runs = new Map(runs.map((run) => [run.id, run]));
    this.#loops = new Map(loops.map((loop) => [loop.id, loop]));
    const sessions = new Map<string, KnownRun[]>();
    for (const run of runs) {
      if (run.sessionId === null) continue;
      sessions.set(run.sessionId, [...(sessions.get(run.sessionId) ?? []), run]);
    }
    this.#sessions = sessions;
  }

  /**
   * A run that is named goes before a session, a session before a loop. What contradicts itself (a run of another loop
   * than the one named) is linked to the run, as inferred: one of the two is wrong, and nobody can say which.
   */
  linkOf(claim: Claim, atNanos: bigint): Link {
    const run = this.#runOf(claim, atNanos);
    if (run !== undefined) {
      const agrees = claim.loopId === null || claim.loopId === run.loopId;
      const exact = agrees && mayActFor(this.#principal, run);
      return { loopId: run.loopId, runId: run.id, link: exact ? 'exact' : 'inferred' };
    }
    const loop = claim.loopId === null ? undefined : this.#loops.get(claim.loopId);
    if (loop === undefined) return NO_LINK;
    const exact = mayActFor(this.#principal, { loopId: loop.id, ownerId: loop.ownerId });
    return { loopId: loop.id, runId: null, link: exact ? 'exact' : 'inferred' };
  }

  #runOf({ loopId, runId, sessionId }: Claim, atNanos: bigint): KnownRun | undefined {
    const named = runId === null ? undefined : this.#runs.get(runId);
    if (named !== undefined || sessionId === null) return named;
    const all = this.#sessions.get(sessionId) ?? [];
    // A session may be known in several loops: in the one that is named, else in one that the key may speak for.
    const inLoop = this.#loops.has(loopId ?? '') ? all.filter((run) => run.loopId === loopId) : all;
    const own = inLoop.filter((run) => mayActFor(this.#principal, run));
    return latestAt(own.length > 0 ? own : inLoop, atNanos);
  }
}

/** A resumed session is several runs: the last that had begun by then, else the first. */
function latestAt(runs: readonly KnownRun[], atNanos: bigint): KnownRun | undefined {
  const ordered = runs.toSorted((a, b) => (a.startedNanos < b.startedNanos ? -1 : 1));
  return ordered.findLast((run) => run.startedNanos <= atNanos) ?? ordered[0];
}
