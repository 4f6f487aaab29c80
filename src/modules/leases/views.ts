import { z } from 'zod';
import { time, uuid } from '../../platform/http/schemas.ts';
import { textsOf } from './claim.ts';
import { closedUntil, type HeldLease, standing } from './lease.ts';
import { LEASE_MODES } from './request.ts';
import { TICKET_STATUSES } from './waiting/waiter.ts';

const holderView = z.object({
  loop: z.object({ id: uuid(), name: z.string() }),
  run: z.object({ id: uuid() }),
  owner: z.object({ kind: z.string(), id: uuid(), name: z.string() }),
});

export const leaseView = z
  .object({
    id: uuid(),
    fence: z.int().describe('The seq of the grant: a later holder of the same path always has a higher one.'),
    repo: z.string(),
    runId: uuid(),
    mode: z.enum(LEASE_MODES),
    paths: z.array(z.string()),
    patterns: z.array(z.string()),
    resources: z.array(z.string()),
    purpose: z.string().nullable(),
    ttlSeconds: z.int(),
    grantedAt: time(),
    expiresAt: time(),
    closedUntil: time().describe(
      'The expiry and the lock delay after it: until then nobody else gets the paths of a lease that is live or closing.',
    ),
    state: z.enum(['live', 'closing', 'revoked', 'over']),
    revokeReason: z.string().nullable().describe('Why an admin took it back.'),
    holder: holderView,
  })
  .meta({ id: 'Lease' });

export type LeaseView = z.output<typeof leaseView>;

export const conflictView = z
  .object({
    witness: z.string().describe('A path that both would touch.'),
    requested: z.string(),
    held: z.string(),
    leaseId: uuid().nullable().describe('Null for somebody who waits: see ticketId.'),
    ticketId: uuid().nullable().describe('Of somebody who asked before: overlapping requests are served in order.'),
    holder: holderView,
    mode: z.enum(LEASE_MODES),
    purpose: z.string().nullable(),
    since: time(),
    expiresAt: time().nullable(),
    freeAt: time().nullable().describe('When it is free at the latest, if it is not renewed.'),
    closing: z.boolean(),
    queueLength: z.int().describe('Others who wait for something of what was requested.'),
    expectedWaitSeconds: z
      .number()
      .nullable()
      .describe(
        'Judged by how long leases of this repo were held lately, and never later than the lease is free if nobody renews it, which is all there is to go by while there is no history; null where there is nothing.',
      ),
  })
  .meta({ id: 'LeaseConflict' });

export const ticketView = z
  .object({
    id: uuid(),
    status: z.enum(TICKET_STATUSES),
    reason: z
      .string()
      .nullable()
      .describe(
        'Why it ended without a lease: cancelled, run_ended, epoch_stale, key_revoked, lease_revoked, deadlock, abandoned, timed_out, decided_otherwise, too_intricate.',
      ),
    position: z
      .int()
      .nullable()
      .describe(
        'How many are to be served first, plus one; null once it is settled, or where that is too much to find out.',
      ),
    repo: z.string(),
    runId: uuid(),
    paths: z.array(z.string()),
    patterns: z.array(z.string()),
    resources: z.array(z.string()),
    mode: z.enum(LEASE_MODES),
    purpose: z.string().nullable(),
    ttlSeconds: z.int(),
    queuedAt: time(),
    settledAt: time().nullable(),
    expectedWaitSeconds: z.number().nullable(),
    conflicts: z.array(conflictView).describe('What is in the way.'),
    moreConflicts: z.boolean().describe('Whether more than these is, or may be.'),
    lease: leaseView.nullable().describe('What came of it.'),
  })
  .meta({ id: 'LeaseTicket' });

/** As a list shows them: without a look at all that is in the way of each. */
export const ticketSummary = ticketView
  .pick({
    id: true,
    status: true,
    repo: true,
    runId: true,
    paths: true,
    patterns: true,
    resources: true,
    mode: true,
    purpose: true,
    queuedAt: true,
  })
  .extend({
    holder: holderView.describe('Who waits.'),
    behind: uuid().nullable().describe('A lease or ticket in its way; null while its way is free.'),
  })
  .meta({ id: 'LeaseTicketSummary' });

export type TicketSummary = z.output<typeof ticketSummary>;

export type TicketView = z.output<typeof ticketView>;

/** `now` is the database's clock. The fence of a lease whose grant has not committed yet shows as 0. */
export function viewLease(lease: HeldLease, now: Date, lockDelaySeconds: number): LeaseView {
  return {
    id: lease.id,
    fence: lease.fence ?? 0,
    repo: lease.repo,
    runId: lease.runId,
    mode: lease.mode,
    paths: textsOf(lease.matchers, 'path'),
    patterns: textsOf(lease.matchers, 'pattern'),
    resources: textsOf(lease.matchers, 'resource'),
    purpose: lease.purpose,
    ttlSeconds: lease.ttlSeconds,
    ...leaseTimes(lease, lockDelaySeconds),
    state: standing(lease, now, lockDelaySeconds),
    revokeReason: lease.revoked,
    holder: lease.holder,
  };
}

export function leaseTimes(
  lease: HeldLease,
  lockDelaySeconds: number,
): Pick<LeaseView, 'grantedAt' | 'expiresAt' | 'closedUntil'> {
  return {
    grantedAt: written(lease.grantedAt),
    expiresAt: written(lease.expiresAt),
    closedUntil: written(closedUntil(lease, lockDelaySeconds)),
  };
}

const MOST_WRITTEN = 64;
const writtenTimes = new Map<number, string>();

/** RFC 3339. The leases of a batch have the same few times, and to write one takes longer than to look it up. */
function written(at: Date): string {
  const ms = at.getTime();
  let text = writtenTimes.get(ms);
  if (text === undefined) {
    text = at.toISOString();
    if (writtenTimes.size >= MOST_WRITTEN) writtenTimes.clear();
    writtenTimes.set(ms, text);
  }
  return text;
}
