import { z } from 'zod';
import type { Change, ChangeFile } from '../../generated/prisma/client.ts';
import { time, uuid } from '../../platform/http/schemas.ts';
import { STALE_REASONS } from './coverage.ts';

const VERDICTS = ['clear', 'held'] as const;

export const revertView = z
  .object({
    path: z.string(),
    blob: z.string().describe('What the file went back to, byte for byte.'),
    undone: z
      .array(
        z.object({
          changeId: uuid(),
          commit: z.string(),
          runId: uuid().nullable(),
          intent: z.string().nullable(),
          at: time(),
        }),
      )
      .describe("Others' changes between that blob and the one that it replaces, oldest first."),
    declared: z.boolean().describe('All of them are named in `undoes`.'),
  })
  .meta({ id: 'Revert' });

export type RevertView = z.output<typeof revertView>;

export const staleLeaseView = z.object({ id: uuid(), fence: z.int(), reason: z.enum(STALE_REASONS) });
export type StaleLeaseView = z.output<typeof staleLeaseView>;

const fileView = z.object({
  path: z.string(),
  beforeBlob: z.string().nullable(),
  afterBlob: z.string().nullable(),
  leased: z.boolean().describe('A lease that was presented covered the path when the change was made.'),
});

/** What a report is answered with: nothing of it is lost, whatever its leases were worth. */
export const recordedView = z
  .object({
    id: uuid(),
    verdict: z.enum(VERDICTS),
    reverts: z.array(revertView),
    unleased: z.array(z.string()).describe('Paths that no lease in force covered; at most the first 500.'),
    unleasedCount: z.int(),
    stale: z.array(staleLeaseView).describe('Presented leases that were not in force, or not these files’ run’s.'),
  })
  .meta({ id: 'RecordedChange' });

export type RecordedView = z.output<typeof recordedView>;

export const changeView = z
  .object({
    id: uuid(),
    repo: z.string(),
    commit: z.string(),
    runId: uuid().nullable(),
    loopId: uuid().nullable(),
    recordedBy: uuid(),
    intent: z.string().nullable(),
    at: time(),
    committedAt: time().nullable(),
    verdict: z.enum(VERDICTS),
    reverts: z.array(revertView),
    undoes: z.array(uuid()),
    fileCount: z.int(),
    filesOmitted: z.int(),
    unleasedCount: z.int(),
    leases: z.array(z.object({ id: uuid(), fence: z.int() })),
    stale: z.array(staleLeaseView),
  })
  .meta({ id: 'Change' });

export type ChangeView = z.output<typeof changeView>;

export const wholeChangeView = changeView.extend({ files: z.array(fileView) }).meta({ id: 'WholeChange' });
export type WholeChangeView = z.output<typeof wholeChangeView>;

export function viewChange(change: Change, repo: string): ChangeView {
  return {
    id: change.id,
    repo,
    commit: change.commit,
    runId: change.runId,
    loopId: change.loopId,
    recordedBy: change.recordedBy,
    intent: change.intent,
    at: change.at.toISOString(),
    committedAt: change.committedAt?.toISOString() ?? null,
    verdict: change.verdict as ChangeView['verdict'],
    reverts: change.reverts as RevertView[],
    undoes: change.undoes,
    fileCount: change.fileCount,
    filesOmitted: change.filesOmitted,
    unleasedCount: change.unleasedCount,
    leases: change.leases as ChangeView['leases'],
    stale: change.stale as StaleLeaseView[],
  };
}

export function viewWholeChange(change: Change, repo: string, files: readonly ChangeFile[]): WholeChangeView {
  return {
    ...viewChange(change, repo),
    files: files.map(({ path, beforeBlob, afterBlob, leased }) => ({ path, beforeBlob, afterBlob, leased })),
  };
}

/** The answer to a report, from what was kept of it. @param unleased the first paths without a lease */
export function viewRecorded(
  change: Pick<Change, 'id' | 'verdict' | 'reverts' | 'stale' | 'unleasedCount'>,
  unleased: readonly string[],
): RecordedView {
  return {
    id: change.id,
    verdict: change.verdict as RecordedView['verdict'],
    reverts: change.reverts as RevertView[],
    unleased: [...unleased],
    unleasedCount: change.unleasedCount,
    stale: change.stale as StaleLeaseView[],
  };
}
