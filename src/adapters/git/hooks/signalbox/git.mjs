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

/** What git's configuration must not change in what is read here. A name that an older git does not know does no harm. */
const PINNED = ['log.diffMerges=separate', 'log.showRoot=true', 'i18n.logOutputEncoding=UTF-8'].flatMap((setting) => [
  '-c',
  setting,
]);

/**
 * Runs git without a shell. Paths are bytes to git, so the output stays bytes.
 * @param {readonly string[]} args
 * @param {string} [input]
 * @returns {Promise<Buffer>}
 */
export function git(args, input = '') {
  return new Promise((resolve, reject) => {
    const child = spawn('git', [...PINNED, ...args], { stdio: ['pipe', 'pipe', 'pipe'], env: ENVIRONMENT });
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

/**
 * The commits that objects lead to, through tags; null for a tree, for a blob, and for the name of nothing.
 * @param {readonly string[]} names
 * @returns {Promise<(string | null)[]>}
 * @throws {GitError} where one cannot be read: what was not looked at must not pass for nothing
 */
export async function commitsAt(names) {
  const asked = [...new Set(names)].filter((name) => !isNull(name));
  const found = await typesOf(asked.map((name) => `${name}^{commit}`));
  const commits = new Map(asked.map((name, at) => [name, found[at]?.type === 'commit' ? found[at].name : null]));
  const others = asked.filter((name) => commits.get(name) === null);
  for (const [at, { type }] of (await typesOf(others)).entries())
    if (type !== 'tree' && type !== 'blob' && type !== 'tag') throw new GitError(`git: cannot read ${others[at]}`);
  return names.map((name) => commits.get(name) ?? null);
}

/** Which objects are here. @param {readonly string[]} names @returns {Promise<boolean[]>} */
export async function areHere(names) {
  return (await typesOf(names)).map(({ type }) => type !== 'missing');
}

/** @param {readonly string[]} names @returns {Promise<{ name: string, type: string }[]>} */
async function typesOf(names) {
  if (names.length === 0) return [];
  const told = await lines(['cat-file', '--batch-check=%(objectname) %(objecttype)'], names);
  if (told.length !== names.length) throw new GitError('git cat-file: an answer is missing');
  return told.map((text) => {
    const [name = '', type = ''] = text.split(' ');
    return { name, type };
  });
}

const COLON = 0x3a;
const NEWLINE = 0x0a;
/** In either object format. */
export const OBJECT_NAME = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

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

/** How a diff of whole trees is printed for `parseRaw`. */
export const RAW = ['--raw', '-r', '-z', '--no-renames', '--no-abbrev', '--ignore-submodules=none', '--no-relative'];
