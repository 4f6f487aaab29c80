/**
 * Merges of three parents or more. Git makes one by merging one parent after the other, each file by itself (no renames),
 * and refuses conflicts. The same is done here, with whole files: what one side alone has changed is that side's. A file
 * that several of them changed is a change of the merge, however it settled that.
 */
import { GitError, git, isNull, lines, parseRaw, RAW } from './git.mjs';

/** @import { Entry, Side } from './git.mjs' */
/** @typedef {{ commit: string, parents: readonly string[] }} Merge */

/** @type {Side} */
const NOWHERE = { mode: '000000', name: '0' };

/** @param {readonly string[]} commits @param {number} least how many parents @returns {Promise<Merge[]>} */
export async function mergesAmong(commits, least) {
  if (commits.length === 0) return [];
  const show = ['rev-list', '--stdin', '--no-walk=unsorted', '--parents', `--min-parents=${least}`];
  return (await lines(show, commits)).map((text) => {
    const [commit = '', ...parents] = text.split(' ');
    return { commit, parents };
  });
}

/**
 * What a merge has otherwise than git would make it, in place of what the first parent that has it otherwise has there.
 * @param {Merge} merge
 * @returns {Promise<Entry[]>}
 */
export async function changedByOctopus({ commit, parents }) {
  const steps = await stepsOf(parents);
  /** @type {Map<string, Map<string, Entry>>} */
  const differing = new Map();
  for (const other of new Set([...parents, ...steps.flatMap(({ bases }) => bases)]))
    differing.set(other, await differencesOf(other, commit));
  /** @type {Map<string, Entry>} */
  const perhaps = new Map();
  for (const parent of parents.toReversed())
    for (const [path, entry] of differing.get(parent) ?? []) perhaps.set(path, entry);
  return [...perhaps].flatMap(([path, entry]) => {
    const sideIn = (/** @type {string} */ other) => differing.get(other)?.get(path)?.before ?? entry.after;
    const made = mergedBy(steps, sideIn, sideIn(parents[0] ?? ''));
    return made !== null && isSame(made, entry.after) ? [] : [entry];
  });
}

/**
 * Each further parent, with where it parted from those before it: from their merge, where they are several.
 * @param {readonly string[]} parents
 */
async function stepsOf(parents) {
  const steps = [];
  for (const [at, parent] of parents.entries())
    if (at > 0) steps.push({ parent, bases: await basesOf(parent, parents.slice(0, at)) });
  return steps;
}

/** @param {string} commit @param {readonly string[]} others */
async function basesOf(commit, others) {
  try {
    return await lines(['merge-base', '--all', commit, ...others]);
  } catch (error) {
    // Git says by exit code 1 that there is none. Any other failure is no answer.
    if (error instanceof GitError && error.code === 1) return [];
    throw error;
  }
}

/** @param {string} before @param {string} after @returns {Promise<Map<string, Entry>>} by their paths, byte for byte */
async function differencesOf(before, after) {
  const entries = parseRaw(await git(['diff-tree', ...RAW, before, after])).get('') ?? [];
  return new Map(entries.map((entry) => [entry.path.toString('latin1'), entry]));
}

/**
 * A file as the parents' merge has it; null where git has none, or would look into the file.
 * @param {Awaited<ReturnType<typeof stepsOf>>} steps
 * @param {(commit: string) => Side} sideIn
 * @param {Side} first
 */
function mergedBy(steps, sideIn, first) {
  let ours = first;
  for (const { parent, bases } of steps) {
    const theirs = sideIn(parent);
    const before = bases.length === 0 ? [NOWHERE] : bases.map(sideIn);
    if (isSame(ours, theirs) || before.every((base) => isSame(base, theirs))) continue;
    if (!before.every((base) => isSame(base, ours))) return null;
    ours = theirs;
  }
  return ours;
}

/** @param {Side} one @param {Side} other */
const isSame = (one, other) =>
  isNull(one.name) ? isNull(other.name) : one.name === other.name && one.mode === other.mode;
