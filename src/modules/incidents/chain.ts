import type { ApprovalRow, DecisionRow, LeaseRow, RunRow, RunTraceRow } from './chain-rows.ts';
import type { CandidateRow } from './suspect-rows.ts';
import type { ChainKind, ChainLink } from './suspect-views.ts';
import type { Edge, IncidentView } from './views.ts';

/** Everything on record around the suspects, by id. */
export interface Around {
  readonly runs: ReadonlyMap<string, RunRow>;
  readonly leases: readonly LeaseRow[];
  readonly decisions: readonly DecisionRow[];
  readonly approvals: ReadonlyMap<string, ApprovalRow>;
  readonly runTraces: ReadonlyMap<string, RunTraceRow>;
  /** Does a lease's paths and patterns cover some file of the change? */
  readonly covers: (lease: LeaseRow, changeId: string) => boolean;
}

/** Leases shown of one change. */
const MAX_LEASES = 5;

type Ref = { readonly kind: ChainKind; readonly id: string };

function link(
  { kind, id }: Ref,
  tie: { from: Ref | null; edge: Edge; because: string; at: Date | null },
  facts: Record<string, unknown> = {},
): ChainLink {
  const { from, edge, because, at } = tie;
  return { kind, id, edge, from, because, at: at?.toISOString() ?? null, ...facts };
}

/** From the incident back to who decided, each step with what it rests on. Pure. */
export function chainOf(incident: IncidentView, row: CandidateRow, around: Around): ChainLink[] {
  const change: Ref = { kind: 'change', id: row.id };
  const leases = leasesOf(row, around);
  const run = runLink(row, leases, around);
  return [
    link(
      { kind: 'incident', id: incident.id },
      { from: null, edge: 'exact', because: 'opened', at: new Date(incident.startedAt) },
      { title: incident.title },
    ),
    deployLink(incident, row),
    changeLink(row),
    ...run,
    ...leases.flatMap(({ lease, edge, because, stale }) => [
      link(
        { kind: 'lease', id: lease.id },
        { from: row.runId === null ? change : { kind: 'run', id: lease.runId }, edge, because, at: lease.grantedAt },
        { fence: lease.fence, purpose: lease.purpose, inForce: stale === null, stale },
      ),
      ...decisionLinks(lease, around),
    ]),
    ...traceLinks(row, leases, around),
  ];
}

function deployLink(incident: IncidentView, row: CandidateRow): ChainLink {
  const named = incident.service === row.service && incident.environment === row.environment;
  const because = named
    ? 'the incident names its service and environment'
    : 'it went out before the incident began, and the incident does not name both its service and its environment';
  return link(
    { kind: 'deploy', id: row.deployId },
    { from: { kind: 'incident', id: incident.id }, edge: named ? 'exact' : 'inferred', because, at: row.deployedAt },
    { service: row.service, environment: row.environment, commit: row.deployCommit, rolledBack: row.rolledBack },
  );
}

function changeLink(row: CandidateRow): ChainLink {
  const because = row.edge === 'exact' ? 'the deploy names its commit' : 'recorded in the stretch that was deployed';
  return link(
    { kind: 'change', id: row.id },
    { from: { kind: 'deploy', id: row.deployId }, edge: row.edge, because, at: row.at },
    { commit: row.commit, repo: row.repo, intent: row.intent },
  );
}

interface HeldLease {
  readonly lease: LeaseRow;
  readonly edge: Edge;
  readonly because: string;
  /** Why it was not in force; null if it was. */
  readonly stale: string | null;
}

/** Those that the change presented; without any, those of its run that cover a file of it and were granted before. */
function leasesOf(row: CandidateRow, { leases, covers }: Around): HeldLease[] {
  const byId = new Map(leases.map((lease) => [lease.id, lease]));
  const reasons = new Map(row.stale.map(({ id, reason }) => [id, reason]));
  const presented = row.leases.flatMap(({ id }) => byId.get(id) ?? []);
  const shown = presented.map((lease) => {
    const stale = reasons.get(lease.id) ?? null;
    return { lease, edge: 'exact' as const, because: 'presented with the change', stale };
  });
  if (shown.length > 0 || row.runId === null) return shown.slice(0, MAX_LEASES);
  return leases
    .filter((lease) => lease.runId === row.runId && lease.grantedAt <= row.at && covers(lease, row.id))
    .map((lease) => ({
      lease,
      edge: 'inferred' as const,
      because: 'its run held it over a file of the change',
      stale: null,
    }))
    .slice(0, MAX_LEASES);
}

function runLink(row: CandidateRow, leases: readonly HeldLease[], { runs }: Around): ChainLink[] {
  const held = leases.find(({ stale }) => stale === null)?.lease.runId;
  const run = runs.get(row.runId ?? held ?? '');
  if (run === undefined) return [];
  const because =
    row.runId === null
      ? 'a lease of this run was presented with the change'
      : 'reported for this run by a key that may act for it';
  const from: Ref = { kind: 'change', id: row.id };
  const self: Ref = { kind: 'run', id: run.id };
  return [
    link(
      self,
      { from, edge: row.runId === null ? 'inferred' : 'exact', because, at: run.startedAt },
      { status: run.status, outcome: run.outcome },
    ),
    link(
      { kind: 'loop', id: run.loopId },
      { from: self, edge: 'exact', because: 'the run is one of this loop', at: null },
      { name: run.loopName, owner: { kind: run.ownerKind, id: run.ownerId, name: run.ownerName } },
    ),
  ];
}

function decisionLinks(lease: LeaseRow, { decisions, approvals }: Around): ChainLink[] {
  const from: Ref = { kind: 'lease', id: lease.id };
  const decision = decisions.find(({ leaseId }) => leaseId === lease.id);
  const shown =
    decision === undefined
      ? []
      : [
          link(
            { kind: 'decision', id: decision.id },
            {
              from,
              edge: 'exact',
              because: 'the event of the grant names it',
              at: decision.at,
            },
            {
              action: decision.action,
              outcome: decision.outcome,
              policyVersion: decision.policyVersion,
              rules: decision.rules.map(({ id, policy, effect, reason }) => ({ id, policy, effect, reason })),
            },
          ),
        ];
  const approval = approvals.get(lease.approvalId ?? '');
  if (approval === undefined) return shown;
  return [
    ...shown,
    link(
      { kind: 'approval', id: approval.id },
      {
        from: decision === undefined ? from : { kind: 'decision', id: decision.id },
        edge: 'exact',
        because: decision === undefined ? 'the lease was granted on it' : 'the decision spent it',
        at: approval.settledAt,
      },
      { status: approval.status, reason: approval.reason, approvers: approval.votes },
    ),
  ];
}

/** The run's newest stored trace; without one, the trace that it was told to report under. */
function traceLinks(row: CandidateRow, leases: readonly HeldLease[], { runs, runTraces }: Around): ChainLink[] {
  const run = runs.get(row.runId ?? leases.find(({ stale }) => stale === null)?.lease.runId ?? '');
  if (run === undefined) return [];
  const from: Ref = { kind: 'run', id: run.id };
  const stored = runTraces.get(run.id);
  if (stored !== undefined) {
    const because =
      stored.link === 'exact'
        ? 'its spans name the run, by a key that may speak for it'
        : 'its spans name the run or its session';
    return [
      link({ kind: 'trace', id: stored.traceId }, { from, edge: stored.link, because, at: null }, { stored: true }),
    ];
  }
  const issued = /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(run.traceparent)?.[1];
  if (issued === undefined) return [];
  const because = 'issued to the run when it started; no span of it is stored';
  return [link({ kind: 'trace', id: issued }, { from, edge: 'exact', because, at: run.startedAt }, { stored: false })];
}
