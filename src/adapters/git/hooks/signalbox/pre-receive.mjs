/**
 * Lets a push into this repository if each commit was reported by a run that holds live leases on all that the commit
 * changes. Who pushes is not asked: what counts is what the server has on record, which only a key of the run can write.
 */
import { askEach, connect } from './api.mjs';
import { changedByEach } from './changed.mjs';
import { GATE, readGateConfig, Told } from './config.mjs';
import { decide, judgePush } from './gate.mjs';
import { readPaths } from './paths.mjs';
import { commitsReceived, readUpdates, vouchers } from './received.mjs';
import { trunksHere } from './trunks.mjs';

/** @import { Change } from './api.mjs' */
/** @import { Author, Server } from './cover.mjs' */
/** @import { Entry } from './git.mjs' */
/** @import { Received } from './received.mjs' */

const PATIENCE_MS = 120_000;
/** Less than the lock delay that an org starts with, which keeps a path closed after its lease has expired: so nobody can
 * have taken over what was verified when the refs move. */
const VERIFY_MS = 10_000;
/** Commits of one push that are looked up one by one. */
const MAX_COMMITS = 5000;

const ADVICE = [
  'A commit lands while the run that reported it (post-commit does) holds a lease on each path that it changes. A path',
  'that another loop holds is free when its lease ends: fetch what it pushed, build on it, acquire a lease on each path,',
  'commit again in your run, and push. If your task cannot wait for that, say so and stop.',
];

/** @param {string} input */
async function verify(input) {
  const config = await readGateConfig();
  const trunks = await trunksHere();
  const received = await commitsReceived(readUpdates(input), trunks.refs);
  const commits = new Set([...received.brought.keys(), ...received.taken.keys()]);
  if (commits.size > MAX_COMMITS)
    throw new Told(`this push brings ${commits.size} commits; push at most ${MAX_COMMITS} at a time.`);
  const changed = await changedByEach(commits);
  if (changed.size === 0) return true;
  const ledger = connect(config, PATIENCE_MS);
  // Under a key of another org every path would look free.
  if (!(await ledger.knowsRepo()))
    throw new Told(`the server knows no repo ${config.repo} under this repository's key; tell whoever set it up.`);
  const pieces = (await piecesOf(ledger, received, changed)).map((piece) => {
    return { ...piece, waited: !trunks.isStrict && !piece.taken && received.waited.has(piece.commit) };
  });
  const { odd } = readPaths([...changed.values()].flat());
  const verifying = () => connect(config, VERIFY_MS);
  const whose = 'no live lease of the runs that made it';
  return judgePush({ settings: GATE, pieces, odd, verifying, explaining: ledger, whose, advice: ADVICE });
}

/**
 * @param {Server} ledger
 * @param {Received} received
 * @param {Map<string, Entry[]>} changed
 */
async function piecesOf(ledger, { brought, taken }, changed) {
  const asked = [...changed.keys()].filter((commit) => brought.has(commit));
  const changes = await askEach(asked, (commit) => ledger.change(commit));
  /** @type {Map<string, Author>} */
  const authors = new Map();
  for (const [at, commit] of asked.entries()) {
    const author = authorOf(changes[at] ?? null);
    if (author !== null) authors.set(commit, author);
  }
  // One author has one key, however many commits.
  const byKey = new Map([...authors.values()].map((author) => [JSON.stringify(author), author]));
  const keyOf = (/** @type {string} */ commit) =>
    authors.has(commit) ? JSON.stringify(authors.get(commit)) : undefined;
  const vouching = vouchers(brought, keyOf);
  const named = (/** @type {Iterable<string>} */ keys) => [...keys].toSorted().flatMap((key) => byKey.get(key) ?? []);
  return [...changed].map(([commit, entries]) => {
    const { paths } = readPaths(entries);
    const tips = taken.get(commit);
    // Nobody vouches for what is taken away but the run whose new commit takes its place.
    const keys = tips === undefined ? (vouching.get(commit) ?? []) : tips.flatMap((tip) => keyOf(tip) ?? []);
    return { commit, taken: tips !== undefined, paths, authors: named(keys) };
  });
}

/** Who answers for a commit: its run or, if it names none, the leases that were its reporter's. @param {Change | null} change */
function authorOf(change) {
  if (change === null) return null;
  if (change.runId !== null) return { run: change.runId, leases: [] };
  const refused = new Set(change.stale.map(({ id }) => id));
  const leases = change.leases.filter(({ id }) => !refused.has(id));
  return leases.length === 0 ? null : { run: null, leases };
}

await decide(GATE, verify);
