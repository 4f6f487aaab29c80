import { Told } from './config.mjs';
import { commitAt, isNotes, isNull, lines } from './git.mjs';

/** @typedef {{ old: string, now: string, ref: string }} Update */
/** @typedef {{ ref: string, commit: string }} Ref */
/** @typedef {{ ref: string, before: string | null, tip: string, isTrunk: boolean }} Moved */

/**
 * What a push does to the commits of a repository, as seen before any of its refs has moved.
 * @typedef {object} Received
 * @property {Map<string, string[]>} brought commits with their parents, children first
 * @property {Map<string, string[]>} taken commits that it takes away from a ref, with the tips that replace them
 */

/** What git tells a pre-receive hook, a line for each ref. @param {string} input @returns {Update[]} */
export function readUpdates(input) {
  return input
    .split('\n')
    .filter((text) => text !== '')
    .map((text) => {
      const [old, now, ref, ...rest] = text.split(' ');
      if (old === undefined || now === undefined || ref === undefined || rest.length > 0)
        throw new Error(`not a line of a push: ${text}`);
      return { old, now, ref };
    });
}

/**
 * Brought are the commits that no ref of the repository leads to yet: the others were verified when they came. On a
 * trunk it is those that the trunk does not have, so that work which waited on another branch is verified once more.
 * Taken are those that no ref leads to any more once the refs have moved. Deleting a ref changes no path.
 * @param {readonly Update[]} updates
 * @param {ReadonlySet<string>} trunks full names of refs
 * @returns {Promise<Received>}
 */
export async function commitsReceived(updates, trunks) {
  /** @type {Moved[]} */
  const moved = [];
  for (const { old, now, ref } of updates) {
    const tip = isNull(now) || isNotes(ref) ? null : await commitAt(now);
    if (tip === null) continue;
    moved.push({
      before: isNull(old) ? null : await commitAt(old),
      tip,
      ref,
      isTrunk: trunks.has(ref) && !isNull(old),
    });
  }
  const refs = await refsThere();
  const known = refs.map(({ commit }) => `^${commit}`);
  const walks = [[...moved.filter(({ isTrunk }) => !isTrunk).map(({ tip }) => tip), ...known]];
  for (const { isTrunk, before, tip } of moved) if (isTrunk) walks.push([tip, `^${before}`]);
  /** @type {Map<string, string[]>} */
  const brought = new Map();
  for (const walk of walks) {
    for (const text of await lines(['rev-list', '--topo-order', '--parents', '--stdin'], walk)) {
      const [commit = '', ...parents] = text.split(' ');
      brought.set(commit, parents);
    }
  }
  return { brought, taken: await takenBy(moved, updates, refs) };
}

/**
 * @param {readonly Moved[]} moved
 * @param {readonly Update[]} updates
 * @param {readonly Ref[]} refs
 */
async function takenBy(moved, updates, refs) {
  const touched = new Set(updates.map(({ ref }) => ref));
  const others = refs.filter(({ ref }) => !touched.has(ref)).map(({ commit }) => commit);
  const kept = [...moved.map(({ tip }) => tip), ...others].map((commit) => `^${commit}`);
  /** @type {Map<string, string[]>} */
  const taken = new Map();
  for (const { before, tip, isTrunk } of moved) {
    if (before === null) continue;
    // What a trunk loses is lost there, whatever other branch keeps it.
    const lost = await lines(['rev-list', '--stdin'], [before, ...(isTrunk ? [`^${tip}`] : kept)]);
    for (const commit of lost) taken.set(commit, [...(taken.get(commit) ?? []), tip]);
  }
  return taken;
}

/** The refs that lead to commits. A tag of a tag may be missed: then more is asked about, not less. */
async function refsThere() {
  const format = '%(objecttype) %(objectname) %(*objecttype) %(*objectname) %(refname)';
  /** @type {Ref[]} */
  const refs = [];
  for (const text of await lines(['for-each-ref', `--format=${format}`])) {
    const [type, name = '', ...rest] = text.split(' ');
    const ref = rest.at(-1) ?? '';
    // What was never verified makes nothing known.
    if (isNotes(ref)) continue;
    if (type === 'commit') refs.push({ ref, commit: name });
    else if (type === 'tag' && rest[0] === 'commit') refs.push({ ref, commit: rest[1] ?? '' });
  }
  return refs;
}

/**
 * For each commit, the commits of the same push that answer for it: itself, and those that were built on it. Whoever
 * builds on a commit vouches for it by leases of their own.
 * @template T
 * @param {Map<string, string[]>} brought children first
 * @param {(commit: string) => T | undefined} authorOf
 * @returns {Map<string, Set<T>>}
 */
export function vouchers(brought, authorOf) {
  /** @type {Map<string, Set<T>>} */
  const all = new Map([...brought.keys()].map((commit) => [commit, new Set()]));
  for (const [commit, parents] of brought) {
    const here = all.get(commit) ?? new Set();
    const own = authorOf(commit);
    if (own !== undefined) here.add(own);
    for (const parent of parents) for (const author of here) all.get(parent)?.add(author);
  }
  return all;
}

/** Branches where what lands is verified whatever branch it comes from. @param {readonly string[]} names */
export function trunksOf(names) {
  for (const name of names)
    if (/[\s*?[]/.test(name)) throw new Told('signalbox.trunk names one branch each, as it is.');
  return new Set(names.map((name) => (name.startsWith('refs/') ? name : `refs/heads/${name}`)));
}
