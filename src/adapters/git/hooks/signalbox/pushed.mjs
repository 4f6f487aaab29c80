import { Told } from './config.mjs';
import { areHere, commitsAt, GitError, isNotes, isNull, lines } from './git.mjs';

/** @typedef {{ localRef: string, local: string, remoteRef: string, remote: string }} Update */

/** What git tells a pre-push hook, a line for each ref. @param {string} input @returns {Update[]} */
export function readUpdates(input) {
  return input
    .split('\n')
    .filter((text) => text !== '')
    .map((text) => {
      const [localRef, local, remoteRef, remote, ...rest] = text.split(' ');
      if (
        localRef === undefined ||
        local === undefined ||
        remoteRef === undefined ||
        remote === undefined ||
        rest.length > 0
      )
        throw new Error(`not a line of a push: ${text}`);
      return { localRef, local, remoteRef, remote };
    });
}

/**
 * The commits whose changes a push makes: those that it brings to the remote and, where it takes commits away, those too,
 * since what they changed is undone. Commits that are on the remote already, on whatever branch, were verified when they
 * got there, and stay as long as one of its branches keeps them. Deleting a ref changes no path.
 * @param {readonly Update[]} updates
 * @param {string} remoteName as git calls the hook; the URL itself for a remote without a name
 * @param {string} url where it is pushed to
 * @returns {Promise<{ brought: Set<string>, taken: Set<string> }>}
 */
export async function commitsPushed(updates, remoteName, url) {
  const moved = updates.filter(({ local, remoteRef }) => !isNull(local) && !isNotes(remoteRef));
  const tips = (await commitsAt(moved.map(({ local }) => local))).filter((tip) => tip !== null);
  // Of trees and of blobs, there are tags, too.
  if (tips.length === 0) return { brought: new Set(), taken: new Set() };
  const there = await branchesOf(remoteName, url);
  const before = await lostBy(moved);
  const listed = async (/** @type {string[]} */ from, /** @type {string[]} */ but) =>
    new Set(from.length === 0 ? [] : await lines(['rev-list', '--stdin'], [...from, ...but.map((name) => `^${name}`)]));
  const brought = await listed(tips, [...before, ...there.values()]);
  const touched = new Set(updates.map(({ remoteRef }) => remoteRef));
  const kept = [...there].flatMap(([ref, commit]) => (touched.has(ref) ? [] : commit));
  return { brought, taken: await listed(before, [...tips, ...kept]) };
}

/**
 * Where the refs were that are moved; of a tag of a tree or a blob, nowhere.
 * @param {readonly Update[]} moved
 */
async function lostBy(moved) {
  const old = moved.filter(({ remote }) => !isNull(remote));
  const here = await areHere(old.map(({ remote }) => remote));
  for (const [at, { remoteRef, localRef, remote }] of old.entries()) {
    if (here[at] === true) continue;
    throw new Told(
      `${remoteRef} is at ${remote.slice(0, 12)} there, which this clone does not have. Run git fetch, ` +
        `look at what others did, and push ${localRef} again.`,
    );
  }
  return (await commitsAt(old.map(({ remote }) => remote))).filter((commit) => commit !== null);
}

/**
 * The remote's branches as far as this clone has their commits: as they were fetched last or, of a remote from which it
 * fetches none, as they are now. Of a remote that does not tell, none.
 * @param {string} remoteName
 * @param {string} url
 * @returns {Promise<Map<string, string>>} by the names that they have there
 */
async function branchesOf(remoteName, url) {
  const fetched = (await lines(['remote'])).includes(remoteName) ? await trackedOf(remoteName) : new Map();
  if (fetched.size > 0) return fetched;
  const told = await lines(['ls-remote', '--heads', '--', url]).catch((/** @type {unknown} */ error) => {
    if (error instanceof GitError) return [];
    throw error;
  });
  return commitsHere(told.map((text) => /** @type {[string, string]} */ (text.split('\t'))));
}

/** @param {string} remoteName @returns {Promise<Map<string, string>>} */
async function trackedOf(remoteName) {
  const from = `refs/remotes/${remoteName}/`;
  const others = (await lines(['remote'])).filter((name) => name.startsWith(`${remoteName}/`));
  const refs = (await lines(['for-each-ref', '--format=%(objectname) %(symref) %(refname)', from])).flatMap((text) => {
    const [name = '', symref = '', ref = ''] = text.split(' ');
    // Those of a remote whose name begins with this one's are another's; HEAD only says which of them is checked out.
    const isOther = others.some((other) => ref.startsWith(`refs/remotes/${other}/`));
    if (isOther || symref !== '' || ref === `${from}HEAD`) return [];
    return [/** @type {[string, string]} */ ([name, `refs/heads/${ref.slice(from.length)}`])];
  });
  return commitsHere(refs);
}

/**
 * @param {readonly [name: string, ref: string][]} refs
 * @returns {Promise<Map<string, string>>} the commits by the refs; without those that this clone does not have
 */
async function commitsHere(refs) {
  const here = await areHere(refs.map(([name]) => name));
  const known = refs.filter((_, at) => here[at] === true);
  const commits = await commitsAt(known.map(([name]) => name));
  /** @type {Map<string, string>} */
  const there = new Map();
  for (const [at, [, ref]] of known.entries()) {
    const commit = commits[at] ?? null;
    if (commit !== null) there.set(ref, commit);
  }
  return there;
}
