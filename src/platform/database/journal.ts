import { hash } from 'node:crypto';
import { canonicalJson } from '../canonical.ts';
import { actorOf, type Principal } from '../principal.ts';

/** An event as a transaction records it; its `seq` and hash are given at commit, by `append_events`. */
export interface NewEvent {
  /** `noun.verb`, past tense: `lease.granted`. */
  readonly kind: string;
  readonly subject: { readonly kind: string; readonly id: string };
  /** Values that survive JSON; no secrets, since every reader of the org's log sees them. */
  readonly data?: Readonly<Record<string, unknown>>;
}

/**
 * An event ready for `append_events`: one element of its `p_events` array, as JSON text `{digest, actor, at, data, kind,
 * subject}`; the digest is the hex SHA-256 of the canonical JSON of the other five.
 */
export type SealedEvent = string;

/**
 * Fixes an event's content and digest. The chain over digests is computed in the database, where the order is known;
 * a reader can recompute both from what the API shows.
 */
export function sealEvent(event: NewEvent, principal: Principal, at: Date): SealedEvent {
  const content = eventContent(event, principal, at.toISOString());
  return `{"digest":"${hash('sha256', content, 'hex')}",${content.slice(1)}`;
}

/** What the digest is made of. `at` is RFC 3339, or stands for a time that only the database will know. */
export function eventContent(event: NewEvent, principal: Principal, at: string): string {
  const { data = {}, kind, subject } = event;
  // The canonical JSON of all five, whose names stand in order here. The actor is written once for many events.
  return `{"actor":${actorJson(principal)},"at":"${at}","data":${canonicalJson(data)},"kind":${JSON.stringify(kind)},"subject":${canonicalJson(subject)}}`;
}

const actors = new WeakMap<Principal, string>();

function actorJson(principal: Principal): string {
  const known = actors.get(principal);
  if (known !== undefined) return known;
  const written = canonicalJson(actorOf(principal));
  actors.set(principal, written);
  return written;
}

/** The `p_events` array. */
export function eventsJson(events: readonly SealedEvent[]): string {
  return `[${events.join(',')}]`;
}
