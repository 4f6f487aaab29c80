import { indexKey, type Path, parsePath } from '../../patterns/index.ts';
import { canonicalDigest } from '../../platform/canonical.ts';
import { invalid, type ProblemDetail } from '../../platform/errors.ts';
import type { CodeOf } from '../../platform/problem-codes.ts';
import type { PresentedLease } from './coverage.ts';

/** Files of one report. A commit with more says how many it left out. */
export const MAX_FILES = 5000;
/** Refusals told in one answer. */
const MAX_ERRORS = 100;

/** A report as it arrives. */
export interface ReportInput {
  readonly repo: string;
  readonly runId: string | null;
  readonly commit: string;
  readonly intent: string | null;
  readonly files: readonly {
    readonly path: string;
    readonly beforeBlob: string | null;
    readonly afterBlob: string | null;
  }[];
  readonly filesOmitted: number;
  readonly leases: readonly PresentedLease[];
  readonly undoes: readonly string[];
  readonly committedAt: Date | null;
}

export interface ReportedFile {
  readonly path: Path;
  /** What the path is found by: folded, and cut to what an index can hold. */
  readonly key: string;
  readonly beforeBlob: string | null;
  readonly afterBlob: string | null;
}

export interface Report extends Omit<ReportInput, 'files'> {
  readonly files: readonly ReportedFile[];
  /** Tells another report of the same commit from the same one again. */
  readonly digest: Buffer;
}

/**
 * Reads a report: paths in their one spelling, each once, and object names of one length throughout (a repository has
 * one object format). Leases and the time stay out of the digest: a retry may come later, under renewed leases.
 * @throws Problem 422 with the first refusal's code, all of them in `errors`
 */
export function readReport(input: ReportInput): Report {
  const errors: (ProblemDetail & { code: CodeOf<422> })[] = [];
  const files = new Map<string, ReportedFile>();
  input.files.forEach((file, index) => {
    const read = readFile(file, input.commit.length, files);
    if ('code' in read)
      errors.push({ path: `body.files[${index}]${read.field}`, code: read.code, reason: read.reason });
    else files.set(read.path.text, read);
  });
  const [first] = errors;
  if (first !== undefined) throw invalid(first.code, `${first.path}: ${first.reason}`, errors.slice(0, MAX_ERRORS));
  return { ...input, files: [...files.values()], digest: digestOf(input, files) };
}

interface Refusal {
  readonly field: string;
  readonly code: CodeOf<422>;
  readonly reason: string;
}

function readFile(
  { path: source, beforeBlob, afterBlob }: ReportInput['files'][number],
  nameLength: number,
  known: ReadonlyMap<string, unknown>,
): ReportedFile | Refusal {
  const read = parsePath(source);
  if (!read.ok) return { field: '.path', code: read.problem.code, reason: read.problem.detail };
  const { path } = read;
  if (known.has(path.text)) return { field: '.path', code: 'path_twice', reason: 'this path is in the report already' };
  const blobs = [beforeBlob, afterBlob].filter((blob) => blob !== null);
  const refuse = (code: CodeOf<422>, reason: string) => ({ field: '', code, reason });
  if (blobs.length === 0)
    return refuse('blob_missing', 'a file that was there neither before nor after did not change');
  if (blobs.some((blob) => /^0+$/.test(blob)))
    return refuse('blob_null', 'send null, not zeros, where there is no blob');
  if (blobs.some((blob) => blob.length !== nameLength))
    return refuse('object_format_mixed', 'blob and commit are names of different object formats');
  return { path, key: indexKey(path).key, beforeBlob, afterBlob };
}

function digestOf(input: ReportInput, files: ReadonlyMap<string, ReportedFile>): Buffer {
  const { runId, intent, filesOmitted } = input;
  const sorted = [...files.keys()].toSorted().map((path) => {
    const { beforeBlob, afterBlob } = files.get(path)!;
    return [path, beforeBlob, afterBlob];
  });
  return canonicalDigest({ runId, intent, filesOmitted, files: sorted, undoes: [...input.undoes].toSorted() });
}
