import type { Statement } from '../../../platform/database/pipeline.ts';
import {
  areTooMany,
  candidatesStatements,
  compilable,
  type HeldLeaseRow,
  MOST_ASKED,
  toHeldLease,
  weightOfClaims,
} from '../candidates.ts';
import { ClaimTable } from '../claim-table.ts';
import type { Tables } from '../decide.ts';
import type { HeldLease } from '../lease.ts';
import { toWaiter, type WaiterRow } from './rows.ts';
import type { Waiter } from './waiter.ts';

export interface RepoRow {
  readonly id: string;
  readonly case_sensitive: boolean;
}

export interface Surroundings {
  /** By repo: what may be in the way of those that were asked about. */
  readonly lines: ReadonlyMap<string, Tables>;
  /** Whether that is all; if not, it is what was read before it was too much. */
  readonly isWhole: boolean;
  /** What has to be compiled before more can be read. */
  readonly uncompiled: readonly string[];
}

/** Reads what may be in the way of waiters, those of one of `partsOf` at most. For `surroundingsIn`. */
export function aroundStatements(orgId: string, waiters: readonly Waiter[]): Statement[] {
  const candidates = candidatesStatements(orgId, waiters);
  return [caseOfRepos(orgId, waiters), candidates.lease, candidates.waiter];
}

/** For `tablesFor`. */
export function caseOfRepos(orgId: string, inRepos: readonly { readonly repoId: string }[]): Statement {
  return {
    name: 'case_of_repos',
    text: 'SELECT p.id, p.case_sensitive FROM repo p WHERE p.org_id = $1 AND p.id = ANY ($2::uuid[])',
    values: [orgId, [...new Set(inRepos.map(({ repoId }) => repoId))]],
  };
}

/** By repo, and empty. @param repos the rows of `caseOfRepos` */
export function tablesFor(repos: readonly RepoRow[]): Map<string, Tables> {
  return new Map(
    repos.map((repo): [string, Tables] => {
      const mode = { caseSensitive: repo.case_sensitive };
      return [repo.id, { leases: new ClaimTable<HeldLease>(mode), waiters: new ClaimTable<Waiter>(mode) }];
    }),
  );
}

/** @param rows those of `aroundStatements` */
export function surroundingsIn(orgId: string, rows: readonly (readonly unknown[])[]): Surroundings {
  const [repos, held, queued] = rows as [RepoRow[], HeldLeaseRow[], WaiterRow[]];
  const lines = tablesFor(repos);
  const [leases, waiters] = [compilable(held), compilable(queued)];
  for (const row of leases.ready) lines.get(row.repo_id)?.leases.add(toHeldLease(row));
  for (const row of waiters.ready) lines.get(row.repo_id)?.waiters.add(toWaiter(orgId, row));
  const uncompiled = [...leases.uncompiled, ...waiters.uncompiled];
  return { lines, isWhole: uncompiled.length === 0 && !areTooMany(held) && !areTooMany(queued), uncompiled };
}

/** As many together as may be asked about in one statement: in order, one at least. */
export function partsOf<T extends Pick<Waiter, 'matchers'>>(claimants: readonly T[]): T[][] {
  const parts: T[][] = [];
  let weight = Number.POSITIVE_INFINITY;
  for (const claimant of claimants) {
    const own = weightOfClaims(claimant.matchers);
    weight += own;
    if (weight > MOST_ASKED) {
      parts.push([]);
      weight = own;
    }
    parts.at(-1)!.push(claimant);
  }
  return parts;
}
