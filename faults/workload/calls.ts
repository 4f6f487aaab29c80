import type { Call } from './caller.ts';
import type { Wish } from './ground.ts';
import type { ToldLease } from './history.ts';

/** A wish for a lease as it is sent, under its own name. */
export interface Wanted extends Wish {
  readonly purpose: string;
  readonly mode: 'exclusive' | 'shared';
  readonly ttlSeconds: number;
}

export interface Run {
  readonly id: string;
  readonly epoch: number;
}

/** A place in the queue. */
export interface Ticket {
  readonly id: string;
  readonly wish: Wanted;
}

type Key = string | null;
type Post = Omit<Call, 'method'>;

const post = (call: Post): Call => ({ method: 'POST', ...call });

export function start(loopId: string, key: Key): Call {
  return post({ kind: 'start', path: `/loops/${loopId}/runs`, body: {}, key });
}

export function acquire(wanted: Wanted, runId: string, key: Key, waitSeconds = 0): Call {
  const sent = { ...wanted, waitSeconds };
  return post({
    kind: 'acquire',
    path: '/leases',
    body: { ...sent, runId },
    runId,
    key,
    sent,
    heldSeconds: waitSeconds,
  });
}

/** The lease as an admission takes it: of paths only. */
export function admit(wanted: Wanted, runId: string, key: Key, waitSeconds: number): Call {
  const { repo, paths, purpose, mode, ttlSeconds } = wanted;
  const body = { runId, repo, paths, purpose, action: 'path.edit', lease: { mode, ttlSeconds }, waitSeconds };
  const sent = { ...wanted, waitSeconds };
  return post({ kind: 'admit', path: '/admissions', body, runId, key, sent, heldSeconds: waitSeconds });
}

export function renew({ id, fence, runId, ttlSeconds }: ToldLease, key: Key): Call {
  const body = { fence, ttlSeconds };
  return post({ kind: 'renew', path: `/leases/${id}/renew`, body, runId, key, sent: { leaseId: id, ...body } });
}

export function release({ id, fence, runId }: ToldLease, key: Key): Call {
  return post({
    kind: 'release',
    path: `/leases/${id}/release`,
    body: { fence },
    runId,
    key,
    sent: { leaseId: id, fence },
  });
}

export function revoke({ id, runId }: ToldLease): Call {
  const body = { reason: 'the nemesis wants it so' };
  return post({ kind: 'revoke', path: `/leases/${id}/revoke`, body, runId, sent: { leaseId: id } });
}

/** For leases that have a path. */
export function verify({ id, fence, repo, runId, paths }: ToldLease): Call {
  const body = { repo, paths, leases: [{ id, fence }] };
  return post({ kind: 'verify', path: '/leases/verify', body, runId, sent: { leaseId: id, fence } });
}

export function heartbeat({ id, epoch }: Run): Call {
  return post({ kind: 'heartbeat', path: `/runs/${id}/heartbeat`, body: { epoch }, runId: id, sent: { epoch } });
}

export function finish({ id, epoch }: Run): Call {
  const body = { epoch, outcome: { status: 'succeeded' } };
  return post({ kind: 'finish', path: `/runs/${id}/finish`, body, runId: id, sent: { epoch } });
}

export function resume({ id }: Run): Call {
  return post({ kind: 'resume', path: `/runs/${id}/resume`, body: {}, runId: id });
}

export function poll({ id, wish }: Ticket, runId: string, waitSeconds: number): Call {
  const path = `/lease-tickets/${id}?waitSeconds=${waitSeconds}`;
  return { kind: 'poll', method: 'GET', path, runId, sent: { ...wish, ticketId: id }, heldSeconds: waitSeconds };
}

export function cancel({ id, wish }: Ticket, runId: string): Call {
  const sent = { ticketId: id, purpose: wish.purpose };
  return { kind: 'cancel', method: 'DELETE', path: `/lease-tickets/${id}`, runId, sent };
}
