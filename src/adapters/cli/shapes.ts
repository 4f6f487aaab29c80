import { z } from 'zod';

/**
 * What people are shown of the API's answers. Other members are let through, as a newer server may send more; one that
 * is missing is told as such rather than shown as `undefined`.
 */

const time = z.iso.datetime();
const named = z.looseObject({ id: z.string(), name: z.string().nullable() });

export const repoShape = z.looseObject({ id: z.string(), name: z.string() });
export const teamShape = z.looseObject({ id: z.string(), name: z.string() });
export const memberShape = z.looseObject({ id: z.string(), name: z.string() });

export const loopShape = z.looseObject({
  id: z.string(),
  name: z.string(),
  owner: z.looseObject({ kind: z.string(), id: z.string() }),
});
export type Loop = z.output<typeof loopShape>;

export const runShape = z.looseObject({
  id: z.string(),
  loopId: z.string(),
  repoId: z.string(),
  status: z.string(),
  startedAt: time,
  lastBeatAt: time,
});
export type Run = z.output<typeof runShape>;

export const leaseShape = z.looseObject({
  id: z.string(),
  runId: z.string(),
  mode: z.string(),
  paths: z.array(z.string()),
  patterns: z.array(z.string()),
  resources: z.array(z.string()),
  purpose: z.string().nullable(),
  expiresAt: time,
  closedUntil: time,
  state: z.string(),
  holder: z.looseObject({ loop: named, owner: named }),
});
export type Lease = z.output<typeof leaseShape>;

/** A request that waits for its lease. */
export const ticketShape = z.looseObject({
  id: z.string(),
  runId: z.string(),
  mode: z.string(),
  paths: z.array(z.string()),
  patterns: z.array(z.string()),
  resources: z.array(z.string()),
  purpose: z.string().nullable(),
  holder: z.looseObject({ loop: named, owner: named }),
});
export type Ticket = z.output<typeof ticketShape>;

export const haltShape = z.looseObject({
  id: z.string(),
  scope: z.looseObject({ kind: z.string(), id: z.string().nullable() }),
  reason: z.string(),
  createdAt: time,
});
export type Halt = z.output<typeof haltShape>;

const principal = z.looseObject({ kind: z.string(), id: z.string(), name: z.string().nullable() });

export const approvalShape = z.looseObject({
  id: z.string(),
  status: z.string(),
  action: z.string(),
  subject: z.record(z.string(), z.unknown()),
  repo: z.string().nullable(),
  requirements: z.array(
    z.looseObject({ team: z.string().nullable(), count: z.number(), approved: z.number(), missing: z.number() }),
  ),
  reason: z.string(),
  requester: principal,
  owner: principal.nullable(),
  loop: named.nullable(),
  runId: z.string().nullable(),
  votes: z.array(z.looseObject({ principal, verdict: z.string(), comment: z.string().nullable() })),
  createdAt: time,
  expiresAt: time,
});
export type Approval = z.output<typeof approvalShape>;

export const problemShape = z.looseObject({ code: z.string(), detail: z.string() });
