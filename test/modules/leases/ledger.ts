import { compilePattern, type Matcher, overlap, parsePath } from '../../../src/patterns/index.ts';

/** A row of the table lease, as the superuser reads it. */
export interface LeaseRow {
  id: string;
  repo_id: string;
  run_id: string;
  fence: string;
  mode: 'exclusive' | 'shared';
  paths: string[];
  patterns: string[];
  granted_at: Date;
  expires_at: Date;
  ended_at: Date | null;
}

/**
 * Every pair of leases of different runs that were both in force at some moment, share a path, and may not.
 * A lease is in force from its grant to its end; without an end, to its expiry.
 */
export function violations(rows: readonly LeaseRow[]): string[] {
  const found: string[] = [];
  rows.forEach((a, index) => {
    for (const b of rows.slice(index + 1)) {
      if (a.repo_id !== b.repo_id || a.run_id === b.run_id || (a.mode === 'shared' && b.mode === 'shared')) continue;
      const from = Math.max(a.granted_at.getTime(), b.granted_at.getTime());
      const until = Math.min(endOf(a), endOf(b));
      // Times are kept to the millisecond: an end and a grant of the same batch fall on the same one.
      if (from >= until) continue;
      const witness = sharedPath(a, b);
      if (witness !== null)
        found.push(`${witness} was held by ${a.id} (fence ${a.fence}) and ${b.id} (fence ${b.fence})`);
    }
  });
  return found;
}

function endOf(row: LeaseRow): number {
  return Math.min(row.ended_at?.getTime() ?? Number.POSITIVE_INFINITY, row.expires_at.getTime());
}

function sharedPath(a: LeaseRow, b: LeaseRow): string | null {
  for (const one of matchersOf(a)) {
    for (const other of matchersOf(b)) {
      const witness = overlap(one, other, { caseSensitive: true });
      if (witness !== null) return witness;
    }
  }
  return null;
}

function matchersOf(row: LeaseRow): Matcher[] {
  const paths = row.paths.map((text) => parsePath(text));
  const patterns = row.patterns.map((text) => compilePattern(text));
  return [...paths, ...patterns].map((read) => {
    if (!read.ok) throw new Error(read.problem.detail);
    return 'path' in read ? read.path : read.pattern;
  });
}
