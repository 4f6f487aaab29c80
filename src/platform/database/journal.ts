import { canonicalDigest } from '../canonical.ts';
import { actorOf, type Principal } from '../principal.ts';

/** An event as a transaction records it; its `seq` and hash are given at commit, by `append_events`. */
export interface NewEvent {
  /** `noun.verb`, past tense: `lease.granted`. */
  readonly kind: string;
  readonly subject: { readonly kind: string; readonly id: string };
  /** Values that survive JSON; no secrets, since every reader of the org's log sees them. */
  readonly data?: Readonly<Record<string, unknown>>;
}

/** An event ready for `append_events`: one element of its `p_events` array. */
export interface SealedEvent {
  readonly at: string;
  readonly kind: string;
  readonly actor: unknown;
  readonly subject: unknown;
  readonly data: unknown;
  /** Hex SHA-256 of the canonical JSON of the five fields above. */
  readonly digest: string;
}

/**
 * Fixes an event's content and digest. The chain over digests is computed in the database, where the order is known;
 * a reader can recompute both from what the API shows.
 */
export function sealEvent(event: NewEvent, principal: Principal, at: Date): SealedEvent {
  const content = {
    at: at.toISOString(),
    kind: event.kind,
    actor: actorOf(principal),
    subject: event.subject,
    data: event.data ?? {},
  };
  return { ...content, digest: canonicalDigest(content).toString('hex') };
}
