import { Told } from './config.mjs';
import { commitsAt, isNotes, isNull, lines } from './git.mjs';

/** @typedef {{ old: string, now: string, ref: string }} Update */
/** @typedef {{ ref: string, commit: string }} Ref */
/** @typedef {{ ref: string, before: string | null, tip: string, isTrunk: boolean }} Moved */

/**
 * What a push does to the commits of a repository, as seen before any of its refs has moved.
 * @typedef {object} Received
 * @property {Map<string, string[]>} brought commits with their parents, children first on each branch
 * @property {ReadonlySet<string>} waited of those brought: that another branch or a tag leads to already
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
 * Brought are the commits that no branch or tag of the repository leads to yet: the others were verified when they came.
 * (Other refs a forge makes by itself, of what somebody offers from a fork: `refs/pull/1/head`.) On a
 * trunk it is those that the trunk does not have (a new one: that no other trunk has), so that work which waited on
 * another branch is verified once more. Taken are those that no ref leads to any more once the refs have moved.
 * Deleting a ref changes no path, but a trunk that could be deleted and made anew would have forgotten what it had.
 * @param {readonly Update[]} pushed
 * @param {ReadonlySet<string>} named the trunks, by the full names of their refs
 * @returns {Promise<Received>}
 */
export async function commitsReceived(pushed, named) {
  const { refs, aliases } = await refsThere();
  const trunks = new Set([...named].map((ref) => aliases.get(ref) ?? ref));
  const updates = pushed.map((update) => ({ ...update, ref: aliases.get(update.ref) ?? update.ref }));
  const moved = await movedBy(updates, trunks);
  const waiting = moved.filter(({ isTrunk }) => !isTrunk).map(({ tip }) => tip);
  const verified = without(refs.filter(({ ref }) => /^refs\/(?:heads|tags)\//.test(ref)));
  const walks = waiting.length > 0 ? [[...waiting, ...verified]] : [];
  const landed = refs.filter(({ ref }) => trunks.has(ref));
  for (const { isTrunk, before, tip } of moved)
    if (isTrunk) walks.push([tip, ...(before === null ? without(landed) : [`^${before}`])]);
  /** @type {Map<string, string[]>} */
  const brought = new Map();
  for (const walk of walks) {
    for (const text of await lines(['rev-list', '--topo-order', '--parents', '--stdin'], walk)) {
      const [commit = '', ...parents] = text.split(' ');
      brought.set(commit, parents);
    }
  }
  const tips = moved.map(({ tip }) => tip);
  const fresh = new Set(tips.length === 0 ? [] : await lines(['rev-list', '--stdin'], [...tips, ...verified]));
  const waited = new Set([...brought.keys()].filter((commit) => !fresh.has(commit)));
  return { brought, waited, taken: await takenBy(moved, updates, refs) };
}

/** @param {readonly Ref[]} refs */
const without = (refs) => refs.map(({ commit }) => `^${commit}`);

/** @param {readonly Update[]} updates @param {ReadonlySet<string>} trunks */
async function movedBy(updates, trunks) {
  /** @type {Moved[]} */
  const moved = [];
  const asked = updates.filter(({ ref }) => !isNotes(ref));
  const tips = await commitsAt(asked.map(({ now }) => now));
  const befores = await commitsAt(asked.map(({ old }) => old));
  for (const [at, { now, ref }] of asked.entries()) {
    const isTrunk = trunks.has(ref);
    if (isTrunk && isNull(now)) throw new Told(`${ref} is a trunk of this repository, and no push may delete it.`);
    const [before, tip] = [befores[at] ?? null, tips[at] ?? null];
    if (tip !== null) moved.push({ before, tip, ref, isTrunk });
  }
  return moved;
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

/**
 * The refs that lead to commits, and the names that lead to another ref (`git symbolic-ref`): to push there is to push
 * to that one. A tag of a tag may be missed: then more is asked about, not less.
 */
async function refsThere() {
  const format = '%(objecttype) %(objectname) %(*objecttype) %(*objectname) %(symref) %(refname)';
  /** @type {Ref[]} */
  const refs = [];
  /** @type {Map<string, string>} */
  const aliases = new Map();
  for (const text of await lines(['for-each-ref', `--format=${format}`])) {
    const [type, name = '', tagged, target = '', symref = '', ref = ''] = text.split(' ');
    // What was never verified makes nothing known.
    if (isNotes(ref)) continue;
    if (symref !== '') aliases.set(ref, symref);
    else if (type === 'commit') refs.push({ ref, commit: name });
    else if (type === 'tag' && tagged === 'commit') refs.push({ ref, commit: target });
  }
  return { refs, aliases };
}

/**
 * For each commit, the commits of the same push that answer for it: itself, and those that were built on it. Whoever
 * builds on a commit vouches for it by leases of their own.
 * @template T
 * @param {Map<string, string[]>} brought
 * @param {(commit: string) => T | undefined} authorOf
 * @returns {Map<string, Set<T>>}
 */
export function vouchers(brought, authorOf) {
  /** @type {Map<string, Set<T>>} */
  const all = new Map([...brought.keys()].map((commit) => [commit, new Set()]));
  for (const [commit, here] of all) {
    const own = authorOf(commit);
    if (own !== undefined) here.add(own);
  }
  // Children come before their parents on each branch. Where one branch goes on from the end of another, what came too
  // late for that is passed on once more.
  const waiting = [...brought.keys()];
  for (const commit of waiting) {
    for (const parent of brought.get(commit) ?? []) {
      const there = all.get(parent);
      const known = there?.size;
      for (const author of all.get(commit) ?? []) there?.add(author);
      if (there?.size !== known) waiting.push(parent);
    }
  }
  return all;
}
