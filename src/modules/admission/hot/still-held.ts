import type pg from 'pg';
import { arrayText, flush, type Statement } from '../../../platform/database/pipeline.ts';
import type { Problem } from '../../../platform/errors.ts';
import { type AcquireOperation, claimKey, type HeldLease } from '../../leases/index.ts';
import { refusalOf } from './decide-acquire.ts';
import { holderOf } from './decide-lease.ts';
import { assume } from './one-call/assume.ts';
import type { OrgFacts } from './one-call/facts.ts';
import type { OneCall } from './one-call/one-call.ts';
import { type Subject, subjectOf } from './one-call/subject.ts';
import type { Snapshot } from './snapshot.ts';

/** A request with the leases that are believed to hold all that it wants, each alone. */
interface Guess {
  readonly op: AcquireOperation;
  readonly subject: Subject;
  readonly holders: readonly HeldLease[];
}

/**
 * Refuses requests by what this server remembers of who holds what they want, once the database has said that all of that
 * is still so: it is asked for times and versions alone, and not who stands behind each lease. Only where exclusive leases
 * hold all that is wanted, and no other lease of their runs is beside them. Null for what is not held by them any more; of what
 * is left out nothing is known.
 */
export async function refuseStillHeld(
  client: pg.PoolClient,
  known: OneCall,
  orgId: string,
  ops: readonly AcquireOperation[],
): Promise<Map<AcquireOperation, Problem | null>> {
  const refused = new Map<AcquireOperation, Problem | null>();
  const facts = known.factsOf(orgId);
  // Where anybody waits, a refusal has to tell how many.
  if (facts === undefined || facts.shared.someWait) return refused;
  const guesses = guessesOf(known, facts, ops);
  if (guesses.length === 0) return refused;
  const holders = [...new Set(guesses.flatMap((guess) => guess.holders))];
  const [answer] = await flush(client, [stillHeldStatement(orgId, guesses, holders)]);
  const [row] = answer!.rows as StillHeld[];
  if (row === undefined || !isAsKnown(row, facts)) return refused;
  const snapshot = snapshotOf(orgId, facts, guesses, holders, row);
  for (const { op, holders: believed } of guesses) {
    const table = snapshot.tables.get(op.repo.id);
    if (believed.some(({ id }) => table?.get(id) === undefined)) {
      // Something has come free: there is more to it than a refusal.
      refused.set(op, null);
      continue;
    }
    const problem = refusalOf(snapshot, op);
    // Part of it may be somebody else's, if it is not all held by those who were thought to.
    const isWhole = problem !== null && (problem.extras['free'] as readonly string[]).length === 0;
    if (isWhole) refused.set(op, problem);
  }
  return refused;
}

function guessesOf(known: OneCall, facts: OrgFacts, ops: readonly AcquireOperation[]): Guess[] {
  const guesses: Guess[] = [];
  for (const op of ops) {
    const subject = subjectOf(op, () => undefined);
    if (subject === null || !facts.suffice(subject)) continue;
    const holders = known.leases.holders(op.repo.id, op.wanted, op.runId);
    if (holders?.every(({ runId }) => facts.runs.get(runId) !== undefined) === true)
      guesses.push({ op, subject, holders });
  }
  return guesses;
}

/** What the database's function of that name answers; see there. */
interface StillHeld {
  readonly now_: string;
  readonly policy_version: string;
  readonly halt_epoch: string;
  readonly facts_version: string;
  readonly asking: boolean;
  readonly more: boolean;
  readonly expiries: string;
}

function stillHeldStatement(orgId: string, guesses: readonly Guess[], holders: readonly HeldLease[]): Statement {
  const keys = new Set(guesses.map(({ subject }) => subject.keyId));
  const runs = new Set(guesses.map(({ subject }) => subject.runId));
  const repos: string[] = [];
  const wanted: string[] = [];
  for (const { op } of guesses) {
    for (const claim of op.wanted.matchers) {
      repos.push(op.repo.id);
      wanted.push(claimKey(claim).key);
    }
  }
  return {
    name: 'still_held',
    text: 'SELECT * FROM still_held($1::uuid, $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::uuid[], $7)',
    values: [
      orgId,
      arrayText([...keys]),
      arrayText([...runs]),
      arrayText(holders.map(({ id }) => id)),
      arrayText(holders.map(({ fence }) => fence!)),
      arrayText(repos),
      wanted.join('\n'),
    ],
  };
}

function isAsKnown(row: StillHeld, { shared, factsVersion }: OrgFacts): boolean {
  return (
    row.asking &&
    !row.more &&
    Number(row.policy_version) === shared.policyVersion &&
    Number(row.halt_epoch) === shared.haltEpoch &&
    Number(row.facts_version) === factsVersion
  );
}

function snapshotOf(
  orgId: string,
  facts: OrgFacts,
  guesses: readonly Guess[],
  holders: readonly HeldLease[],
  { now_, expiries }: StillHeld,
): Snapshot {
  const subjects = guesses.map(({ subject }) => subject);
  const snapshot = assume(orgId, facts, subjects, new Date(Number(now_)));
  const times = expiries.split(',');
  holders.forEach((lease, at) => {
    if (times[at] === '') return;
    // Whose it is, by names as they are now; when it was granted, people and loops may have been called something else.
    const holder = holderOf(facts.runs.get(lease.runId)!);
    snapshot.tables.get(lease.repoId)?.add({ ...lease, holder, expiresAt: new Date(Number(times[at])) });
  });
  return snapshot;
}
