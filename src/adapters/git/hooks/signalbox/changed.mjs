/** What commits changed by themselves: of a merge, what it made different from the merge that git would make. */
import { GitError, git, isNull, parseRaw, RAW } from './git.mjs';
import { changedByOctopus, mergesAmong } from './octopus.mjs';

/** @import { Entry } from './git.mjs' */

/** Of each commit on standard input. */
const EACH = ['--stdin', '--no-walk=unsorted', '--format=%H', '--no-show-signature', ...RAW];

/**
 * What one commit changed. Of a merge of two, what it left as none of its parents had it, and where it took one side
 * against the merge that git would make, that side in place of the other: the rest was changed, and reported, by the
 * commits that it brought together.
 * @param {string} commit
 */
export async function changedBy(commit) {
  const [octopus] = await mergesAmong([commit], 3);
  if (octopus !== undefined) return changedByOctopus(octopus);
  const output = await git(['diff-tree', ...RAW, '--root', '--no-commit-id', '-c', commit]);
  const own = parseRaw(output).get('') ?? [];
  const sides = (await sidesOfMerges([commit])).get(commit);
  if (sides === undefined) return own;
  const nameOf = (/** @type {Entry} */ { path }) => path.toString('latin1');
  const settled = new Set((await changedByEach([commit])).get(commit)?.map(nameOf));
  for (const entry of own) settled.delete(nameOf(entry));
  return [...own, ...sides.filter((entry) => settled.has(nameOf(entry)))];
}

/**
 * What each of these commits changed by itself; one that changed nothing is left out. A merge is held against the merge
 * that git would make: what a merge threw away of one side (`-s ours`) is a change, what came together cleanly is not.
 * @param {Iterable<string>} commits
 * @returns {Promise<Map<string, Entry[]>>}
 */
export async function changedByEach(commits) {
  const names = [...commits];
  if (names.length === 0) return new Map();
  const show = ['-c', 'log.showRoot=true', 'log', ...EACH];
  const input = names.map((name) => `${name}\n`).join('');
  const few = await git([...show, '--max-parents=2', '--remerge-diff'], input).catch((/** @type {unknown} */ error) => {
    if (error instanceof GitError && error.message.includes('--remerge-diff')) return null;
    throw error;
  });
  // Before git 2.35 there is no such option: there, merges of two are looked at as those of more are.
  const byCommit = parseRaw(few ?? (await git([...show, '--max-parents=1'], input)));
  const deleting = [...byCommit].filter(([, entries]) => entries.some(({ after }) => isNull(after.name)));
  const sides = await sidesOfMerges(deleting.map(([commit]) => commit));
  for (const [commit, entries] of deleting) byCommit.set(commit, byRealNames(entries, sides.get(commit)));
  for (const merge of await mergesAmong(names, few === null ? 2 : 3)) {
    const entries = await changedByOctopus(merge);
    if (entries.length > 0) byCommit.set(merge.commit, entries);
  }
  return byCommit;
}

/**
 * What each merge of two among these commits has otherwise than one parent or the other.
 * @param {readonly string[]} commits
 * @returns {Promise<Map<string, Entry[]>>}
 */
async function sidesOfMerges(commits) {
  if (commits.length === 0) return new Map();
  const input = commits.map((name) => `${name}\n`).join('');
  return parseRaw(await git(['log', ...EACH, '--min-parents=2', '--max-parents=2', '-m'], input));
}

/**
 * Where a file gets in the way of a directory, the merge that git would make has it under a name that git makes up:
 * `x~519e219 (subject)` for `x`. A name that is in neither the merge nor its parents is such a one, and who settles the
 * conflict has changed `x`.
 * @param {readonly Entry[]} entries
 * @param {readonly Entry[] | undefined} sides what the merge has otherwise than its parents; none if it is no merge
 */
function byRealNames(entries, sides) {
  if (sides === undefined) return [...entries];
  const real = new Map(sides.map((entry) => [entry.path.toString('latin1'), entry]));
  return entries.flatMap((entry) => {
    const name = entry.path.toString('latin1');
    if (!isNull(entry.after.name) || real.has(name)) return [entry];
    const starts = [...name.matchAll(/~/g)].map(({ index }) => name.slice(0, index));
    return starts.flatMap((start) => real.get(start) ?? []);
  });
}
