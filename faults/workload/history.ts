import type { Reply } from '../rig/http.ts';
import type { Wish } from './ground.ts';

export type Kind =
  | 'start'
  | 'acquire'
  | 'admit'
  | 'renew'
  | 'release'
  | 'heartbeat'
  | 'finish'
  | 'resume'
  | 'verify'
  | 'poll'
  | 'cancel'
  | 'revoke';

/** Why a request has to be refused: who sends it has lost the right to it, or never had it. */
export type Fault = 'wrong fence' | 'ended lease' | 'old epoch' | 'ended run' | "another's lease";

/** One request as its client knows it. Times are the campaign's own, which only go forward. */
export interface Operation {
  readonly client: number;
  readonly kind: Kind;
  readonly runId: string | null;
  readonly server: number;
  readonly key: string | null;
  /** The request must not be granted. */
  readonly mustFail: Fault | null;
  readonly sent: Sent;
  readonly invokedMs: number;
  /** When the whole reply was there; null with `reply`. */
  readonly answeredMs: number | null;
  readonly reply: Reply | null;
}

export interface Sent extends Partial<Wish> {
  /** Names the wish through all retries, and in the log: no two have the same. */
  readonly purpose?: string;
  readonly mode?: 'exclusive' | 'shared';
  readonly ttlSeconds?: number;
  readonly waitSeconds?: number;
  readonly leaseId?: string;
  readonly fence?: number;
  readonly epoch?: number;
  readonly ticketId?: string;
}

/** The parts of a lease in a reply that anybody here looks at. */
export interface ToldLease {
  readonly id: string;
  readonly fence: number;
  readonly repo: string;
  readonly runId: string;
  readonly mode: 'exclusive' | 'shared';
  readonly paths: readonly string[];
  readonly patterns: readonly string[];
  readonly resources: readonly string[];
  readonly purpose: string | null;
  readonly ttlSeconds: number;
  readonly expiresAt: string;
}

export function leaseIn(reply: Reply | null): ToldLease | null {
  return (reply?.body['lease'] as ToldLease | null | undefined) ?? null;
}

export interface ToldTicket {
  readonly id: string;
  readonly status: 'waiting' | 'granted' | 'cancelled' | 'ended';
}

/** The ticket that a reply is about: in an answer to an acquire, or the answer itself to a look at it. */
export function ticketIn({ kind, reply }: Pick<Operation, 'kind' | 'reply'>): ToldTicket | null {
  if (reply === null || reply.status >= 300) return null;
  if (kind === 'poll' || kind === 'cancel') return reply.body as unknown as ToldTicket;
  return (reply.body['ticket'] as ToldTicket | undefined) ?? null;
}

/** Whether it did what it was sent for. */
export function succeeded({ kind, reply }: Pick<Operation, 'kind' | 'reply'>): boolean {
  if (reply === null || reply.status >= 300) return false;
  return kind !== 'verify' || reply.body['ok'] === true;
}
