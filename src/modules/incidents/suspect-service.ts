import { budgetOf, type CaseMode, matches, storedPath, storedPattern } from '../../patterns/index.ts';
import type { Database } from '../../platform/database/database.ts';
import { notFound } from '../../platform/errors.ts';
import type { Principal } from '../../platform/principal.ts';
import { type Around, chainOf } from './chain.ts';
import { type LeaseRow, readApprovals, readDecisions, readLeases, readRuns, readRunTraces } from './chain-rows.ts';
import { viewIncident } from './incident-service.ts';
import { readEvidencePath } from './ranking/evidence-path.ts';
import type { Anomaly } from './ranking/model.ts';
import { type Candidate, type EvidenceItem, type Ranked, rank } from './ranking/rank.ts';
import {
  type CandidateRow,
  type ReadTx,
  readCandidates,
  readExceptions,
  readFiles,
  readRefused,
  readTraceEvidence,
  type TraceRow,
} from './suspect-rows.ts';
import type { Suspect, Suspects } from './suspect-views.ts';
import type { Evidence, IncidentView } from './views.ts';

export interface SuspectQuery {
  readonly windowHours: number;
  readonly limit: number;
}

const HOUR_MS = 3_600_000;

/** Who may have caused an incident, ranked, each with the chain back to who decided. Nothing of it is stored. */
export class SuspectService {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** @throws Problem 404 */
  async find(principal: Principal, incidentId: string, query: SuspectQuery): Promise<Found> {
    return this.#db.read(principal, async (tx) => {
      const row = await tx.db.incident.findUnique({ where: { orgId_id: { orgId: tx.orgId, id: incidentId } } });
      if (row === null) throw notFound('incident');
      const incident = viewIncident(row);
      return { incident, suspects: await suspectsOf(tx, incident, query) };
    });
  }
}

export interface Found {
  readonly incident: IncidentView;
  readonly suspects: Suspects;
}

async function suspectsOf(tx: ReadTx, incident: IncidentView, query: SuspectQuery): Promise<Suspects> {
  const to = new Date(incident.startedAt);
  const from = new Date(to.getTime() - query.windowHours * HOUR_MS);
  const { rows, total } = await readCandidates(tx, { ...incident, from, to });
  const traces = await readTraceEvidence(tx, incident.evidence.traceIds);
  const evidence = evidenceItems(incident.evidence, traces);
  const ids = rows.map(({ id }) => id);
  const files = await readFiles(
    tx,
    ids,
    evidence.map(({ text }) => text),
  );
  const refused = await readRefused(tx, ids);
  const exceptions = await readExceptions(
    tx,
    rows.flatMap(({ leases }) => leases.map(({ id }) => id)),
  );
  const byRun = traceLinks(traces);
  const candidates = rows.map(
    (row): Candidate => ({
      id: row.id,
      commit: row.commit,
      caseSensitive: row.caseSensitive,
      files: files.get(row.id) ?? [],
      fileCount: row.fileCount + row.filesOmitted,
      hoursSinceDeploy: (to.getTime() - row.deployedAt.getTime()) / HOUR_MS,
      sameService: incident.service === null ? null : row.service === incident.service,
      rolledBack: row.rolledBack,
      anomalies: anomaliesOf(row, refused, exceptions),
      trace: byRun.get(row.runId ?? '') ?? null,
    }),
  );
  const { items, noneOfThese } = rank(evidence, candidates);
  const shown = items.slice(0, query.limit);
  const byId = new Map(rows.map((row) => [row.id, row]));
  const around = await readAround(
    tx,
    shown.map(({ id }) => byId.get(id)!),
    files,
  );
  const rest = items.slice(query.limit);
  const found = new Set(traces.map(({ traceId }) => traceId));
  return {
    items: shown.map((ranked) => viewSuspect(incident, ranked, byId.get(ranked.id)!, around)),
    noneOfThese,
    omitted: { count: rest.length, probability: rest.reduce((sum, { probability }) => sum + probability, 0) },
    window: { from: from.toISOString(), to: to.toISOString(), candidates: total },
    evidence: {
      paths: evidence.length,
      tracesFound: [...found],
      tracesMissing: incident.evidence.traceIds.filter((id) => !found.has(id)),
    },
  };
}

/** Frames, then bare paths, then where the traces' spans say that they were made. */
function evidenceItems({ frames, paths }: Evidence, traces: readonly TraceRow[]): EvidenceItem[] {
  const item = (text: string, commit: string | null = null) => ({ text, path: readEvidencePath(text), commit });
  const spans = traces.flatMap(({ path }) => (path === null || path.length > 4096 ? [] : [item(path)]));
  return [
    ...frames.map(({ path, commit }) => item(path, commit)),
    ...paths.map((path) => item(path)),
    ...spans.filter(({ path }) => path.segments.length > 0),
  ];
}

function traceLinks(traces: readonly TraceRow[]): ReadonlyMap<string, 'exact' | 'inferred'> {
  const links = new Map<string, 'exact' | 'inferred'>();
  for (const { runId, link } of traces) {
    if (runId !== null && link !== null && links.get(runId) !== 'exact') links.set(runId, link);
  }
  return links;
}

function anomaliesOf(row: CandidateRow, refused: ReadonlySet<string>, exceptions: ReadonlySet<string>): Anomaly[] {
  const seen: Record<Anomaly, boolean> = {
    unleased_edit: row.unleasedCount > 0,
    stale_lease: row.stale.length > 0,
    denied_edit: refused.has(row.id),
    approved_exception: row.leases.some(({ id }) => exceptions.has(id)),
    undeclared_revert: row.reverts.some(({ declared }) => !declared),
    failed_run: row.outcome === 'failed',
  };
  return (Object.keys(seen) as Anomaly[]).filter((kind) => seen[kind]);
}

async function readAround(
  tx: ReadTx,
  rows: readonly CandidateRow[],
  files: ReadonlyMap<string, readonly string[]>,
): Promise<Around> {
  const ids = rows.flatMap((row) => row.leases.map(({ id }) => id));
  const bare = rows.flatMap((row) => (row.runId !== null && row.leases.length === 0 ? [row.runId] : []));
  const leases = await readLeases(tx, { ids, runIds: [...new Set(bare)] });
  const runIds = [...rows.flatMap(({ runId }) => runId ?? []), ...leases.map(({ runId }) => runId)];
  const runs = await readRuns(tx, [...new Set(runIds)]);
  const approvals = await readApprovals(
    tx,
    leases.flatMap(({ approvalId }) => approvalId ?? []),
  );
  const decisions = await readDecisions(
    tx,
    leases.map(({ id }) => id),
  );
  const runTraces = await readRunTraces(tx, [...runs.values()]);
  const modes = new Map(rows.map(({ id, caseSensitive }) => [id, { caseSensitive }]));
  const isSpent = budgetOf(COVER_STEPS_MAX);
  const covers = (lease: LeaseRow, changeId: string) =>
    isOver(lease, files.get(changeId) ?? [], modes.get(changeId)!, isSpent);
  return { runs, leases, decisions, approvals, runTraces, covers };
}

/**
 * Steps (see `workDone`) that it may cost to tell which leases lay over the changes of one answer, some quarter of a second.
 * After that none does: a suspect without its lease is worse than one with it, and better than no answer.
 */
const COVER_STEPS_MAX = 20_000_000;

function isOver(
  { paths, patterns }: LeaseRow,
  files: readonly string[],
  mode: CaseMode,
  isSpent: () => boolean,
): boolean {
  if (isSpent()) return false;
  const matchers = [...paths.map(storedPath), ...patterns.map(storedPattern)];
  return files
    .map(storedPath)
    .some((file) =>
      matchers.some(
        (matcher) => !isSpent() && (matcher.kind === 'path' || matcher.isExact) && matches(matcher, file, mode),
      ),
    );
}

const NO_AUTHORS = 'The ledger keeps blobs, not lines, and no frame says which commit wrote its line.';

function viewSuspect(incident: IncidentView, ranked: Ranked, row: CandidateRow, around: Around): Suspect {
  const { terms, score, probability } = ranked;
  const run = around.runs.get(row.runId ?? '');
  const owner = run && { kind: run.ownerKind, id: run.ownerId, name: run.ownerName };
  return {
    change: {
      id: row.id,
      commit: row.commit,
      repo: row.repo,
      intent: row.intent,
      at: row.at.toISOString(),
      fileCount: row.fileCount,
    },
    loop: run === undefined ? null : { id: run.loopId, name: run.loopName, owner: owner! },
    run: run === undefined ? null : { id: run.id, status: run.status, outcome: run.outcome },
    deploy: {
      id: row.deployId,
      service: row.service,
      environment: row.environment,
      commit: row.deployCommit,
      at: row.deployedAt.toISOString(),
    },
    score,
    probability,
    terms: {
      ...terms,
      path: { ...terms.path, matches: [...terms.path.matches] },
      line: { ...terms.line, ...(terms.line.value === null ? { note: NO_AUTHORS } : {}) },
      time: { ...terms.time, hoursSinceDeploy: (Date.parse(incident.startedAt) - row.deployedAt.getTime()) / HOUR_MS },
      churn: { ...terms.churn, files: row.fileCount + row.filesOmitted },
      anomalies: { ...terms.anomalies, found: [...terms.anomalies.found] },
    },
    chain: chainOf(incident, row, around),
  };
}
