import { createHash, randomBytes } from 'node:crypto';
import type { Reply } from '../../support/server.ts';
import { REPO, type Runner } from '../leases/support.ts';

/** The name that git gives to a blob with this content. */
export function blob(content: string): string {
  const bytes = Buffer.from(content);
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}

export const newCommit = () => randomBytes(20).toString('hex');

/** One file's step; contents stand for their blobs, null for a file that is not there. */
export function file(path: string, before: string | null, after: string | null) {
  const name = (content: string | null) => (content === null ? null : blob(content));
  return { path, beforeBlob: name(before), afterBlob: name(after) };
}

export function report(
  runner: Runner,
  body: Record<string, unknown>,
  headers?: Record<string, string>,
): Promise<Reply> {
  return runner.caller.post('/changes', { repo: REPO, runId: runner.runId, commit: newCommit(), ...body }, headers);
}
