import { spawn } from 'node:child_process';

/** A side of a file in a raw diff: git's mode and the object's name. */
/** @typedef {{ mode: string, name: string }} Side */
/** @typedef {{ path: Buffer, before: Side, after: Side }} Entry */

export class GitError extends Error {
  /** @param {string} message @param {number | null} [code] its exit code */
  constructor(message, code = null) {
    super(message);
    this.code = code;
  }
}

/** What is pushed is what the objects say, and not what a local `git replace` shows in their place. */
const ENVIRONMENT = { ...process.env, GIT_NO_REPLACE_OBJECTS: '1' };

/**
 * Runs git without a shell. Paths are bytes to git, so the output stays bytes.
 * @param {readonly string[]} args
 * @param {string} [input]
 * @returns {Promise<Buffer>}
 */
export function git(args, input = '') {
  return new Promise((resolve, reject) => {
    const child = spawn('git', args, { stdio: ['pipe', 'pipe', 'pipe'], env: ENVIRONMENT });
    /** @type {Buffer[]} */
    const out = [];
    /** @type {Buffer[]} */
    const err = [];
    child.stdout.on('data', (/** @type {Buffer} */ chunk) => out.push(chunk));
    child.stderr.on('data', (/** @type {Buffer} */ chunk) => err.push(chunk));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(Buffer.concat(out));
      else {
        const [why] = Buffer.concat(err).toString().trim().split('\n');
        reject(new GitError(`git ${args[0]}: ${why || `exit ${code}`}`, code));
      }
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

/** Whether a ref holds notes on commits: its files are none of the repository's. @param {string} ref */
export const isNotes = (ref) => ref.startsWith('refs/notes/');

/** The commit that a name leads to, through tags; null for a tree, a blob or nothing. @param {string} name */
export async function commitAt(name) {
  try {
    return (await git(['rev-parse', '--verify', '--quiet', `${name}^{commit}`])).toString().trim();
  } catch (error) {
    // Any other failure is no answer: what was not looked at must not pass for nothing.
    if (error instanceof GitError && error.code === 1) return null;
    throw error;
  }
}

/**
 * The lines of git's output.
 * @param {readonly string[]} args
 * @param {readonly string[]} [input] a line each
 * @returns {Promise<string[]>}
 */
export async function lines(args, input = []) {
  const output = (await git(args, input.map((text) => `${text}\n`).join(''))).toString();
  return output.split('\n').filter((text) => text !== '');
}

const COLON = 0x3a;
const NEWLINE = 0x0a;
const OBJECT_NAME = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/** @param {Buffer} output @returns {Generator<Buffer, void>} */
function* tokensOf(output) {
  for (let from = 0; from < output.length; ) {
    const end = output.indexOf(0, from);
    yield output.subarray(from, end === -1 ? output.length : end);
    from = end === -1 ? output.length : end + 1;
  }
}

/**
 * Reads what `--raw -z` prints: an entry has a colon for each parent, then a mode for each side, then a name for each,
 * and the status; the path follows. Of several parents, the first is what the branch had before. In a log, the name of
 * the commit comes before its entries; without one they are kept under ''.
 * @param {Buffer} output
 * @returns {Map<string, Entry[]>}
 */
export function parseRaw(output) {
  /** @type {Map<string, Entry[]>} */
  const byCommit = new Map();
  let commit = '';
  const tokens = tokensOf(output);
  for (const token of tokens) {
    const head = token[0] === NEWLINE ? token.subarray(1) : token;
    if (head.length === 0) continue;
    if (head[0] !== COLON) {
      commit = head.toString('latin1');
      if (!OBJECT_NAME.test(commit)) throw new GitError(`git: not a raw diff: ${head.toString().slice(0, 100)}`);
      continue;
    }
    const { value: path } = tokens.next();
    if (path === undefined) throw new GitError('git: a raw diff that is cut off');
    const entries = byCommit.get(commit) ?? [];
    byCommit.set(commit, entries);
    entries.push({ path, ...sidesOf(head) });
  }
  return byCommit;
}

/** @param {Buffer} head */
function sidesOf(head) {
  let parents = 0;
  while (head[parents] === COLON) parents += 1;
  const fields = head.toString('latin1').slice(parents).split(' ');
  const side = (/** @type {number} */ n) => ({ mode: fields[n] ?? '', name: fields[parents + 1 + n] ?? '' });
  return { before: side(0), after: side(parents) };
}

const RAW = ['--raw', '-r', '-z', '--no-renames', '--no-abbrev', '--ignore-submodules=none', '--no-relative'];
/** Of each commit on standard input. */
const EACH = ['--stdin', '--no-walk=unsorted', '--format=%H', '--no-show-signature', ...RAW];

/**
 * What one commit changed. Of a merge, what it left as none of its parents had it, and where it took one side against the
 * merge that git would make, that side in place of the other: the rest was changed, and reported, by the commits that it
 * brought together.
 * @param {string} commit
 */
export async function changedBy(commit) {
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
  const input = [...commits].map((name) => `${name}\n`).join('');
  if (input === '') return new Map();
  const show = ['-c', 'log.showRoot=true', 'log', ...EACH];
  const few = await git([...show, '--max-parents=2', '--remerge-diff'], input).catch((/** @type {unknown} */ error) => {
    // Before git 2.35 there is no such option.
    if (error instanceof GitError && error.message.includes('--remerge-diff'))
      return git([...show, '--max-parents=2', '-c'], input);
    throw error;
  });
  const many = await git([...show, '--min-parents=3', '-c'], input);
  const byCommit = new Map([...parseRaw(few), ...parseRaw(many)]);
  const deleting = [...byCommit].filter(([, entries]) => entries.some(({ after }) => isNull(after.name)));
  const sides = await sidesOfMerges(deleting.map(([commit]) => commit));
  for (const [commit, entries] of deleting) byCommit.set(commit, byRealNames(entries, sides.get(commit)));
  return byCommit;
}

/**
 * What each merge of these commits has otherwise than one parent or the other.
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
