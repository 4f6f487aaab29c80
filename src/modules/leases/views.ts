import { z } from 'zod';
import type { Matcher } from '../../patterns/index.ts';
import { time, uuid } from '../../platform/http/schemas.ts';
import { closedUntil, type HeldLease, standing } from './lease.ts';
import { LEASE_MODES } from './request.ts';

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
    purpose: z.string().nullable(),
    ttlSeconds: z.int(),
    grantedAt: time(),
    expiresAt: time(),
    closedUntil: time().describe('The expiry and the lock delay after it: until then nobody else gets its paths.'),
    state: z.enum(['live', 'closing', 'over']),
    holder: holderView,
  })
  .meta({ id: 'Lease' });

export type LeaseView = z.output<typeof leaseView>;

export const conflictView = z
  .object({
    witness: z.string().describe('A path that both would touch.'),
    requested: z.string(),
    held: z.string(),
    leaseId: uuid(),
    holder: holderView,
    mode: z.enum(LEASE_MODES),
    purpose: z.string().nullable(),
    since: time(),
    expiresAt: time(),
    freeAt: time(),
    closing: z.boolean(),
    queueLength: z.int(),
  })
  .meta({ id: 'LeaseConflict' });

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
    purpose: lease.purpose,
    ttlSeconds: lease.ttlSeconds,
    grantedAt: lease.grantedAt.toISOString(),
    expiresAt: lease.expiresAt.toISOString(),
    closedUntil: closedUntil(lease, lockDelaySeconds).toISOString(),
    state: standing(lease, now, lockDelaySeconds),
    holder: lease.holder,
  };
}

export function textsOf(matchers: readonly Matcher[], kind: Matcher['kind']): string[] {
  return matchers.filter((matcher) => matcher.kind === kind).map(({ text }) => text);
}
