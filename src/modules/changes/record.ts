import type { OrgTx } from '../../platform/database/database.ts';
import { conflict, forbidden, notFound } from '../../platform/errors.ts';
import { newId } from '../../platform/ids.ts';
import { principalId } from '../../platform/principal.ts';
import { beat, ensureRepo, mayActFor, type RunFacts, runFactsStatement, toRunFacts } from '../loops/index.ts';
import { Coverage, type LeaseRecord, momentOf, staleness } from './coverage.ts';
import { findReverts } from './history.ts';
import type { Report } from './report.ts';
import { type RecordedView, type RevertView, type StaleLeaseView, viewRecorded } from './views.ts';

/** Reads leases by id, ended ones included; of an id that the org does not have, nothing. */
export type ReadLeases = (tx: Pick<OrgTx, 'db' | 'orgId'>, ids: readonly string[]) => Promise<LeaseRecord[]>;

/** A change as it has just been recorded. */
export interface Recorded {
  readonly answer: RecordedView;
  readonly repoId: string;
  /** Null for the same report again, of which nothing new was written. */
  readonly isNew: boolean;
}

/** Paths without a lease told in an answer. */
const UNLEASED_TOLD = 500;
/** Paths told in an event. */
const PATHS_IN_EVENT = 20;

/**
 * Records a report: all of it or, when anything in it names what is not there, nothing. What its leases were worth is
 * judged and kept with each file; a change that no lease covered has happened all the same.
 * @throws Problem 404 for a run, lease or undone change that the org does not have; 403 `not_your_run`;
 *   409 `commit_recorded` for another report of the same commit; 422 `leases_too_intricate`
 */
export async function recordChange(tx: OrgTx, report: Report, readLeases: ReadLeases): Promise<Recorded> {
  const run = report.runId === null ? null : await actingRun(tx, report.runId);
  const { id: repoId, caseSensitive } = await ensureRepo(tx, report.repo);
  const mode = { caseSensitive };
  await lockLedger(tx, repoId);
  const known = await recordedBefore(tx, repoId, report);
  if (known !== null) return heard(tx, run, { answer: known, repoId, isNew: false });
  await demandUndone(tx, repoId, report.undoes);
  const now = await tx.clock();
  const author = { runId: run?.id ?? null, recordedBy: principalId(tx.principal) };
  const { inForce, stale } = await judgeLeases(tx, { repoId, run, now, report, readLeases });
  const coverage = new Coverage(inForce, mode);
  const leased = await coverage.ofEach(report.files.map(({ path }) => path));
  const reverts = await findReverts(tx, { id: repoId, mode }, report.files, author, report.undoes);
  const answer = await insert(tx, { report, repoId, run, author, now, leased, stale, reverts });
  return heard(tx, run, { answer, repoId, isNew: true });
}

/** A report is a beat. The run's row is locked last, and briefly: its admissions beat it, too. */
async function heard(tx: OrgTx, run: RunFacts | null, recorded: Recorded): Promise<Recorded> {
  if (run !== null) await beat(tx, run.id);
  return recorded;
}

/** Of two reports in a repo, the second sees all of the first. */
async function lockLedger(tx: OrgTx, repoId: string): Promise<void> {
  const lock = () => tx.db.$queryRaw<unknown[]>`
    SELECT 1 FROM change_head WHERE org_id = ${tx.orgId}::uuid AND repo_id = ${repoId}::uuid FOR UPDATE`;
  if ((await lock()).length > 0) return;
  await tx.db.changeHead.createMany({ data: [{ orgId: tx.orgId, repoId }], skipDuplicates: true });
  await lock();
}

async function actingRun(tx: OrgTx, runId: string): Promise<RunFacts> {
  const { text, values = [] } = runFactsStatement(tx.orgId, [runId]);
  const [row] = await tx.db.$queryRawUnsafe<unknown[]>(text, ...values);
  if (row === undefined) throw notFound('run');
  const run = toRunFacts(row);
  if (!mayActFor(tx.principal, { loopId: run.loop.id, ownerId: run.owner.id }))
    throw forbidden('Only a key of the loop or of its owner may act for its runs.', 'not_your_run');
  return run;
}

async function recordedBefore(tx: OrgTx, repoId: string, report: Report): Promise<RecordedView | null> {
  const { orgId } = tx;
  const known = await tx.db.change.findUnique({
    where: { orgId_repoId_commit: { orgId, repoId, commit: report.commit } },
  });
  if (known === null) return null;
  if (!report.digest.equals(known.digest)) {
    throw conflict('commit_recorded', 'This commit has been recorded with another content; what is recorded stays.', {
      changeId: known.id,
    });
  }
  const unleased = await tx.db.changeFile.findMany({
    where: { orgId, changeId: known.id, leased: false },
    orderBy: { ordinal: 'asc' },
    take: UNLEASED_TOLD,
    select: { path: true },
  });
  return viewRecorded(
    known,
    unleased.map(({ path }) => path),
  );
}

async function demandUndone(tx: OrgTx, repoId: string, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  const wanted = [...new Set(ids)];
  const count = await tx.db.change.count({ where: { orgId: tx.orgId, repoId, id: { in: wanted } } });
  if (count < wanted.length) throw notFound('change in `undoes`');
}

interface Judged {
  readonly inForce: LeaseRecord[];
  readonly stale: StaleLeaseView[];
}

/** A report without a run may present the leases of any run that its reporter may act for. */
async function judgeLeases(
  tx: OrgTx,
  context: { repoId: string; run: RunFacts | null; now: Date; report: Report; readLeases: ReadLeases },
): Promise<Judged> {
  const { repoId, run, now, report, readLeases } = context;
  if (report.leases.length === 0) return { inForce: [], stale: [] };
  const ids = [...new Set(report.leases.map(({ id }) => id))];
  const found = new Map((await readLeases(tx, ids)).map((lease) => [lease.id, lease]));
  if (found.size < ids.length) throw notFound('lease');
  const claim = {
    repoId,
    isOwn: (lease: LeaseRecord) => (run === null ? mayActFor(tx.principal, lease) : lease.runId === run.id),
    moment: momentOf(report.committedAt, now),
  };
  const inForce: LeaseRecord[] = [];
  const stale: StaleLeaseView[] = [];
  for (const { id, fence } of report.leases) {
    const lease = found.get(id)!;
    const reason = staleness(lease, fence, claim);
    if (reason === null) inForce.push(lease);
    else stale.push({ id, fence, reason });
  }
  return { inForce, stale };
}

interface Judgement {
  readonly report: Report;
  readonly repoId: string;
  readonly run: RunFacts | null;
  readonly author: { readonly recordedBy: string };
  readonly now: Date;
  /** Of each file of the report, in its order. */
  readonly leased: readonly boolean[];
  readonly stale: StaleLeaseView[];
  readonly reverts: RevertView[];
}

async function insert(tx: OrgTx, judgement: Judgement): Promise<RecordedView> {
  const { report, repoId, run, author, now, leased, stale, reverts } = judgement;
  const id = newId();
  const unleased = report.files.filter((_file, index) => !leased[index]).map(({ path }) => path.text);
  const leases = report.leases.map(({ id: leaseId, fence }) => ({ id: leaseId, fence }));
  const change = await tx.db.change.create({
    data: {
      orgId: tx.orgId,
      id,
      repoId,
      commit: report.commit,
      digest: new Uint8Array(report.digest),
      runId: run?.id ?? null,
      loopId: run?.loop.id ?? null,
      recordedBy: author.recordedBy,
      intent: report.intent,
      at: now,
      committedAt: report.committedAt,
      fileCount: report.files.length,
      filesOmitted: report.filesOmitted,
      unleasedCount: unleased.length,
      leases,
      stale,
      undoes: [...new Set(report.undoes)],
      verdict: 'clear',
      reverts,
    },
  });
  await insertFiles(tx, { id, repoId, now, report, leased });
  emitRecorded(tx, id, judgement, unleased);
  return viewRecorded(change, unleased.slice(0, UNLEASED_TOLD));
}

async function insertFiles(
  tx: OrgTx,
  change: { id: string; repoId: string; now: Date; report: Report; leased: readonly boolean[] },
): Promise<void> {
  const { files } = change.report;
  const rows = JSON.stringify(
    files.map(({ path, key, beforeBlob, afterBlob }, ordinal) => ({
      ordinal,
      path: path.text,
      key,
      before_blob: beforeBlob,
      after_blob: afterBlob,
      leased: change.leased[ordinal],
    })),
  );
  await tx.db.$executeRaw`
    INSERT INTO change_file (org_id, change_id, ordinal, repo_id, path, key, before_blob, after_blob, leased, at)
    SELECT ${tx.orgId}::uuid, ${change.id}::uuid, f.ordinal, ${change.repoId}::uuid, f.path, f.key, f.before_blob, f.after_blob,
      f.leased, ${change.now}::timestamptz
    FROM jsonb_to_recordset(${rows}::jsonb)
      AS f (ordinal int, path text, key text, before_blob text, after_blob text, leased boolean)`;
}

function emitRecorded(tx: OrgTx, id: string, judgement: Judgement, unleased: readonly string[]): void {
  const { report, run, now, stale, reverts } = judgement;
  tx.emit(
    {
      kind: 'change.recorded',
      subject: { kind: 'change', id },
      data: {
        repo: report.repo,
        commit: report.commit,
        runId: run?.id ?? null,
        loopId: run?.loop.id ?? null,
        verdict: 'clear',
        fileCount: report.files.length,
        paths: report.files.slice(0, PATHS_IN_EVENT).map(({ path }) => path.text),
        unleasedCount: unleased.length,
        unleased: unleased.slice(0, PATHS_IN_EVENT),
        stale: stale.slice(0, PATHS_IN_EVENT),
        reverts: reverts.slice(0, PATHS_IN_EVENT).map(({ path }) => path),
      },
    },
    now,
  );
}
