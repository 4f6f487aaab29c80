import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { isRepoName } from '../../platform/repo-name.ts';
import { UsageError } from './failure.ts';

const GIT_TIMEOUT_MS = 5000;

/**
 * The repo that a remote's URL names, as its forge does: `acme/shop`, or more segments where the forge has groups.
 * Null for what names no forge: a folder of this machine, say.
 */
export function repoOfRemote(remote: string): string | null {
  const path = pathOnForge(remote.trim());
  if (path === null) return null;
  const name = path.replace(/^\/+|\/+$/g, '').replace(/\.git$/, '');
  return isRepoName(name) ? name : null;
}

function pathOnForge(remote: string): string | null {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(remote)) {
    if (!URL.canParse(remote)) return null;
    const { protocol, hostname, pathname } = new URL(remote);
    return /^(https?|ssh|git|git\+ssh|ssh\+git):$/.test(protocol) && hostname !== '' ? pathname : null;
  }
  // git's short form, [user@]host:path. Git takes it for a folder when a slash comes before the colon; one letter is a drive.
  const short = /^(?:[^@/:]+@)?(?:\[[^\]/]+\]|[^/:@[\]]{2,}):(?!\/\/)(.+)$/.exec(remote);
  return short?.[1] ?? null;
}

/**
 * The repo of the checkout that `directory` is in, by its remote `origin`.
 * @throws UsageError where there is none. It does not repeat the URL, which may hold a token.
 */
export async function repoOfCheckout(directory: string): Promise<string> {
  const ask = 'name the repo with --repo owner/name';
  let remote: string;
  try {
    const options = { cwd: directory, timeout: GIT_TIMEOUT_MS };
    ({ stdout: remote } = await promisify(execFile)('git', ['remote', 'get-url', 'origin'], options));
  } catch {
    throw new UsageError(`this folder is in no git checkout with a remote "origin": ${ask}`);
  }
  const repo = repoOfRemote(remote);
  if (repo === null) throw new UsageError(`the remote "origin" names no repository of a forge: ${ask}`);
  return repo;
}
