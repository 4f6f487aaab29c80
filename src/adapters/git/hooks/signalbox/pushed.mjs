import { Told } from './config.mjs';
import { GitError, git, isNull, line, pathsChangedBy } from './git.mjs';

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
 * The paths that a push changes: those of the commits that it brings to the remote and, where it takes commits away from
 * a branch, theirs too, since what they changed is undone. Commits that are on the remote already, on whatever branch,
 * were verified when they got there. Deleting a ref changes no path.
 * @param {readonly Update[]} updates
 * @param {string} remoteName as git calls the hook; the URL itself for a remote without a name
 * @returns {Promise<Buffer[]>}
 */
export async function pathsPushed(updates, remoteName) {
  const commits = new Set();
  for (const update of updates) {
    if (isNull(update.local)) continue;
    for (const commit of await commitsOf(update, remoteName)) commits.add(commit);
  }
  return pathsChangedBy([...commits]);
}

/** @param {Update} update @param {string} remoteName @returns {Promise<string[]>} */
async function commitsOf({ local, localRef, remoteRef, remote }, remoteName) {
  const tip = await commitAt(local);
  // A tag of a tree or of a blob.
  if (tip === null) return [];
  const named = ((await line(['remote'])) ?? '').split('\n').includes(remoteName);
  const there = named ? [`--remotes=${remoteName}`] : ['--remotes'];
  if (isNull(remote)) return revList([tip, '--not', ...there]);
  const old = await commitAt(remote);
  if (old === null) {
    if (await exists(remote)) return revList([tip, '--not', ...there]);
    throw new Told(
      `${remoteRef} is at ${remote.slice(0, 12)} there, which this clone does not have. Run git fetch, ` +
        `look at what others did, and push ${localRef} again.`,
    );
  }
  const brought = await revList([tip, '--not', old, ...there]);
  // The remote's other branches keep what this one loses; its own tracking branch would keep everything.
  const own = named && remoteRef.startsWith('refs/heads/') ? remoteRef.slice('refs/heads/'.length) : null;
  const others = own === null ? [] : [`--exclude=${remoteName}/${own}`, `--exclude=${remoteName}/HEAD`, ...there];
  const taken = await revList([old, '--not', tip, ...others]);
  return [...brought, ...taken];
}

/** @param {readonly string[]} args */
async function revList(args) {
  const output = (await git(['rev-list', ...args])).toString();
  return output.split('\n').filter((name) => name !== '');
}

/** @param {string} name */
const commitAt = (name) => line(['rev-parse', '--verify', '--quiet', `${name}^{commit}`]);

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
