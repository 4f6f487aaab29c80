import { Told } from './config.mjs';
import { commitAt, GitError, git, isNotes, isNull, lines } from './git.mjs';

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
 * The commits whose changes a push makes: those that it brings to the remote and, where it takes commits away from a
 * branch, those too, since what they changed is undone. Commits that are on the remote already, on whatever branch, were
 * verified when they got there. Deleting a ref changes no path.
 * @param {readonly Update[]} updates
 * @param {string} remoteName as git calls the hook; the URL itself for a remote without a name
 */
export async function commitsPushed(updates, remoteName) {
  /** @type {{ brought: Set<string>, taken: Set<string> }} */
  const all = { brought: new Set(), taken: new Set() };
  for (const update of updates) {
    if (isNull(update.local) || isNotes(update.remoteRef)) continue;
    const { brought, taken } = await commitsOf(update, remoteName);
    for (const commit of brought) all.brought.add(commit);
    for (const commit of taken) all.taken.add(commit);
  }
  return all;
}

/** @param {Update} update @param {string} remoteName @returns {Promise<{ brought: string[], taken: string[] }>} */
async function commitsOf({ local, localRef, remoteRef, remote }, remoteName) {
  const tip = await commitAt(local);
  // A tag of a tree or of a blob.
  if (tip === null) return { brought: [], taken: [] };
  const named = (await lines(['remote'])).includes(remoteName);
  const there = named ? [`--remotes=${remoteName}`] : ['--remotes'];
  const old = isNull(remote) ? null : await commitAt(remote);
  if (old === null) {
    if (isNull(remote) || (await exists(remote)))
      return { brought: await lines(['rev-list', tip, '--not', ...there]), taken: [] };
    throw new Told(
      `${remoteRef} is at ${remote.slice(0, 12)} there, which this clone does not have. Run git fetch, ` +
        `look at what others did, and push ${localRef} again.`,
    );
  }
  const brought = await lines(['rev-list', tip, '--not', old, ...there]);
  // The remote's other branches keep what this one loses; its own tracking branch would keep everything.
  const own = named && remoteRef.startsWith('refs/heads/') ? remoteRef.slice('refs/heads/'.length) : null;
  const others = own === null ? [] : [`--exclude=${remoteName}/${own}`, `--exclude=${remoteName}/HEAD`, ...there];
  return { brought, taken: await lines(['rev-list', old, '--not', tip, ...others]) };
}

/** @param {string} name */
async function exists(name) {
  try {
    await git(['cat-file', '-e', name]);
    return true;
  } catch (error) {
    if (error instanceof GitError) return false;
    throw error;
  }
}
