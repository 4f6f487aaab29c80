import { createHash } from 'node:crypto';

/** A file's step in the ledger, the newest first where they are listed. */
export interface Step {
  readonly changeId: string;
  readonly runId: string | null;
  readonly recordedBy: string;
  readonly beforeBlob: string | null;
  readonly afterBlob: string | null;
}

/** Who makes a change: its run or, without one, who reports it. */
export interface Author {
  readonly runId: string | null;
  readonly recordedBy: string;
}

/** The name of the blob with nothing in it, in both object formats. */
const EMPTY_BLOBS: ReadonlySet<string> = new Set(
  ['sha1', 'sha256'].map((algorithm) => createHash(algorithm).update('blob 0\0').digest('hex')),
);

/** Only these can bring a file back: an empty file says nothing, and a file that keeps its blob goes nowhere. */
export function mayRevert(file: { beforeBlob: string | null; afterBlob: string | null }): boolean {
  const { beforeBlob, afterBlob } = file;
  return afterBlob !== null && afterBlob !== beforeBlob && !EMPTY_BLOBS.has(afterBlob);
}

/**
 * Which changes a file's step undoes, oldest first: those that led from the very blob that it restores to the one that it
 * replaces. Followed from blob to blob and not by time, so that neither A→B→C→D nor the same A→B on another branch is
 * taken for going back. Empty if no such way is on record, or if all of it is the author's own.
 * @param history steps of this file by anybody, newest first
 */
export function undoneBy(
  step: { readonly beforeBlob: string | null; readonly afterBlob: string | null },
  history: readonly Step[],
  author: Author,
): Step[] {
  if (!mayRevert(step)) return [];
  const way = shortestWay(step.afterBlob, step.beforeBlob, history);
  return way.filter((past) => !isSame(past, author));
}

/** Backwards from what is replaced, breadth first; among ways of equal length the one with the newest last step. */
function shortestWay(target: string | null, from: string | null, history: readonly Step[]): Step[] {
  const leadsOn = new Map<string | null, Step>();
  const frontier = [from];
  const seen = new Set(frontier);
  for (const blob of frontier) {
    for (const past of history) {
      if (past.afterBlob !== blob || past.beforeBlob === blob || seen.has(past.beforeBlob)) continue;
      seen.add(past.beforeBlob);
      leadsOn.set(past.beforeBlob, past);
      if (past.beforeBlob === target) return follow(leadsOn, target, from);
      frontier.push(past.beforeBlob);
    }
  }
  return [];
}

function follow(leadsOn: ReadonlyMap<string | null, Step>, target: string | null, from: string | null): Step[] {
  const way: Step[] = [];
  for (let blob = target; blob !== from; ) {
    const step = leadsOn.get(blob)!;
    way.push(step);
    blob = step.afterBlob;
  }
  return way;
}

function isSame(step: Step, author: Author): boolean {
  if (step.runId !== null || author.runId !== null) return step.runId === author.runId;
  return step.recordedBy === author.recordedBy;
}
