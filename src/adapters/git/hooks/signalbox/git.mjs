import { spawn } from 'node:child_process';

/** A side of a file in a raw diff: git's mode and the object's name. */
/** @typedef {{ mode: string, name: string }} Side */
/** @typedef {{ path: Buffer, before: Side, after: Side }} Entry */

export class GitError extends Error {}

/**
 * Runs git without a shell. Paths are bytes to git, so the output stays bytes.
 * @param {readonly string[]} args
 * @param {string} [input]
 * @returns {Promise<Buffer>}
 */
export function git(args, input = '') {
  return new Promise((resolve, reject) => {
    const child = spawn('git', args, { stdio: ['pipe', 'pipe', 'pipe'] });
    /** @type {Buffer[]} */
    const out = [];
    /** @type {Buffer[]} */
    const err = [];
    child.stdout.on('data', (/** @type {Buffer} */ chunk) => out.push(chunk));
    child.stderr.on('data', (/** @type {Buffer} */ chunk) => err.push(chunk));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(Buffer.concat(out));
      else
        reject(
          new GitError(`git ${args[0]}: ${Buffer.concat(err).toString().trim().split('\n')[0] || `exit ${code}`}`),
        );
    });
    // Git may have read enough before all is written; its exit code tells.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

/**
 * A line of git's output, or null where git has none.
 * @param {readonly string[]} args
 * @returns {Promise<string | null>}
 */
export async function line(args) {
  try {
    return (await git(args)).toString().trim() || null;
  } catch (error) {
    if (error instanceof GitError) return null;
    throw error;
  }
}

/** The name of an object that is not there, in either object format. @param {string} name */
export const isNull = (name) => /^0+$/.test(name);

const COLON = 0x3a;

/**
 * Reads what `--raw -z` prints: an entry has a colon for each parent, then a mode for each side, then a name for each,
 * and the status; the path follows. Of several parents, the first is what the branch had before.
 * @param {Buffer} output
 * @returns {Entry[]}
 */
export function parseRaw(output) {
  const parts = [];
  for (let from = 0; from < output.length; ) {
    const end = output.indexOf(0, from);
    parts.push(output.subarray(from, end === -1 ? output.length : end));
    from = end === -1 ? output.length : end + 1;
  }
  /** @type {Entry[]} */
  const entries = [];
  for (let at = 0; at + 1 < parts.length; at += 2) {
    const head = /** @type {Buffer} */ (parts[at]);
    let parents = 0;
    while (head[parents] === COLON) parents += 1;
    if (parents === 0) throw new GitError(`git: not a raw diff: ${head.toString()}`);
    const fields = head.toString('latin1').slice(parents).split(' ');
    const side = (/** @type {number} */ n) => ({ mode: fields[n] ?? '', name: fields[parents + 1 + n] ?? '' });
    entries.push({ path: /** @type {Buffer} */ (parts[at + 1]), before: side(0), after: side(parents) });
  }
  return entries;
}

const RAW = ['--raw', '-r', '-z', '--no-renames', '--no-abbrev', '--ignore-submodules=none', '--no-relative'];

/**
 * What one commit changed. Of a merge, what it left as none of its parents had it: the rest was changed, and reported,
 * by the commits that it brought together.
 * @param {string} commit
 */
export async function changedBy(commit) {
  return parseRaw(await git(['diff-tree', ...RAW, '--root', '--no-commit-id', '-c', commit]));
}

/**
 * Paths that any of these commits changed by itself. A merge is held against the merge that git would make: what a
 * merge threw away of one side (`-s ours`) is a change, what came together cleanly is not.
 * @param {readonly string[]} commits
 * @returns {Promise<Buffer[]>}
 */
export async function pathsChangedBy(commits) {
  if (commits.length === 0) return [];
  const input = `${commits.join('\n')}\n`;
  const show = ['-c', 'log.showRoot=true', 'log', '--stdin', '--no-walk=unsorted', '--format=', ...RAW];
  const few = await git([...show, '--max-parents=2', '--remerge-diff'], input).catch((/** @type {unknown} */ error) => {
    // Before git 2.35 there is no such option.
    if (error instanceof GitError) return git([...show, '--max-parents=2', '-c'], input);
    throw error;
  });
  const many = await git([...show, '--min-parents=3', '-c'], input);
  return [...parseRaw(few), ...parseRaw(many)].map(({ path }) => path);
}
