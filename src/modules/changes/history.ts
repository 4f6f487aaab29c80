import { type CaseMode, type Path, storedPath } from '../../patterns/index.ts';
import type { OrgTx } from '../../platform/database/database.ts';
import type { ReportedFile } from './report.ts';
import { type Author, mayRevert, type Step, undoneBy } from './reverts.ts';
import type { RevertView } from './views.ts';

/** Steps looked back on one path: what goes back further than that was not undone by accident. */
const STEPS_PER_PATH = 50;
/** Reverts told and kept of one change. */
const MAX_REVERTS = 500;

interface StepRow {
  n: number;
  path: string;
  change_id: string;
  run_id: string | null;
  recorded_by: string;
  before_blob: string | null;
  after_blob: string | null;
}

/**
 * The files of a report that went back, byte for byte, over changes of others. Run it under the ledger's lock: what is
 * recorded at the same moment is then either in the history or sees this change in its own.
 */
export async function findReverts(
  tx: OrgTx,
  repo: { readonly id: string; readonly mode: CaseMode },
  files: readonly ReportedFile[],
  author: Author,
  undoes: readonly string[],
): Promise<RevertView[]> {
  const candidates = files.filter(mayRevert);
  if (candidates.length === 0) return [];
  const histories = await readSteps(tx, repo, candidates);
  const found: { file: ReportedFile; undone: Step[] }[] = [];
  candidates.forEach((file, index) => {
    const undone = undoneBy(file, histories.get(index) ?? [], author);
    if (undone.length > 0 && found.length < MAX_REVERTS) found.push({ file, undone });
  });
  const told = await readChanges(
    tx,
    found.flatMap(({ undone }) => undone.map(({ changeId }) => changeId)),
  );
  const declared = new Set(undoes);
  return found.map(({ file, undone }) => ({
    path: file.path.text,
    blob: file.afterBlob!,
    undone: undone.map(({ changeId }) => told.get(changeId)!),
    declared: undone.every(({ changeId }) => declared.has(changeId)),
  }));
}

/** The newest steps of each path from which some step once led away from the blob that the path now has again. */
async function readSteps(
  tx: OrgTx,
  repo: { readonly id: string; readonly mode: CaseMode },
  files: readonly ReportedFile[],
): Promise<Map<number, Step[]>> {
  const keys = files.map(({ key }) => key);
  const blobs = files.map(({ afterBlob }) => afterBlob);
  const rows = await tx.db.$queryRaw<StepRow[]>`
    SELECT s.n, s.path, s.change_id::text, c.run_id::text, c.recorded_by::text, s.before_blob, s.after_blob
    FROM (
      SELECT w.n::int AS n, f.*, bool_or(f.before_blob = w.blob) OVER (PARTITION BY w.n) AS led_away
      FROM unnest(${keys}::text[], ${blobs}::text[]) WITH ORDINALITY AS w (key, blob, n)
      CROSS JOIN LATERAL (
        SELECT x.path, x.change_id, x.before_blob, x.after_blob, x.at FROM change_file x
        WHERE x.org_id = ${tx.orgId}::uuid AND x.repo_id = ${repo.id}::uuid AND x.key = w.key COLLATE "C"
        ORDER BY x.at DESC, x.change_id DESC LIMIT ${STEPS_PER_PATH}::int
      ) f
    ) s
    JOIN change c ON c.org_id = ${tx.orgId}::uuid AND c.id = s.change_id
    WHERE s.led_away
    ORDER BY s.n, s.at DESC, s.change_id DESC`;
  const histories = new Map<number, Step[]>();
  for (const row of rows) {
    const index = row.n - 1;
    if (!isSamePath(files[index]!.path, row.path, repo.mode)) continue;
    const steps = histories.get(index) ?? [];
    steps.push({
      changeId: row.change_id,
      runId: row.run_id,
      recordedBy: row.recorded_by,
      beforeBlob: row.before_blob,
      afterBlob: row.after_blob,
    });
    histories.set(index, steps);
  }
  return histories;
}

/** Keys are folded and cut, so they only narrow. */
export function isSamePath(path: Path, stored: string, mode: CaseMode): boolean {
  if (path.text === stored) return true;
  return !mode.caseSensitive && storedPath(stored).folded === path.folded;
}

async function readChanges(tx: OrgTx, ids: readonly string[]): Promise<Map<string, RevertView['undone'][number]>> {
  const rows = await tx.db.change.findMany({
    where: { orgId: tx.orgId, id: { in: [...new Set(ids)] } },
    select: { id: true, commit: true, runId: true, intent: true, at: true },
  });
  return new Map(
    rows.map(({ id, commit, runId, intent, at }) => [
      id,
      { changeId: id, commit, runId, intent, at: at.toISOString() },
    ]),
  );
}
