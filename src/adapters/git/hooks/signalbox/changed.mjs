/** What commits changed by themselves: of a merge, what it made different from the merge that git would make. */
import { GitError, git, isNull, OBJECT_NAME, parseRaw, RAW } from './git.mjs';
import { changedByOctopus, mergesAmong } from './octopus.mjs';

/** @import { Entry } from './git.mjs' */

/** Byte for byte. @param {Entry} entry */
const nameOf = ({ path }) => path.toString('latin1');

/** Of each commit on standard input. */
const EACH = ['--stdin', '--no-walk=unsorted', '--format=%H', '--no-show-signature'];
const EACH_RAW = [...EACH, ...RAW];

/**
 * What one commit changed. Of a merge of two, what it left as none of its parents had it, and where it took one side
 * against the merge that git would make, that side in place of the other: the rest was changed, and reported, by the
 * commits that it brought together.
 * @param {string} commit
 */
export async function changedBy(commit) {
  const [octopus] = await mergesAmong([commit], 3);
  if (octopus !== undefined) return changedByOctopus(octopus);
  const output = await git(['diff-tree', ...RAW, '--root', '--no-commit-id', '-c', commit]);
  const own = parseRaw(output).get('') ?? [];
  const sides = (await sidesOfMerges([commit])).get(commit);
  if (sides === undefined) return own;
  const settled = new Set((await changedByEach([commit])).get(commit)?.map(nameOf));
  for (const entry of own) settled.delete(nameOf(entry));
  return [...own, ...sides.filter((entry) => settled.has(nameOf(entry)))];
}

/**
 * What each of these commits changed by itself; one that changed nothing is left out. A merge is held against the merge
 * that git would make: what a merge threw away of one side (`-s ours`) is a change, what came together cleanly is not. Where
 * git would make none, whoever did has changed the file, and be it by leaving one side as it was.
 * @param {Iterable<string>} commits
 * @returns {Promise<Map<string, Entry[]>>}
 */
export async function changedByEach(commits) {
  const names = [...commits];
  if (names.length === 0) return new Map();
  const show = ['log', ...EACH_RAW];
  const input = names.map((name) => `${name}\n`).join('');
  const few = await git([...show, '--max-parents=2', '--remerge-diff'], input).catch((/** @type {unknown} */ error) => {
    if (error instanceof GitError && error.message.includes('--remerge-diff')) return null;
    throw error;
  });
  // Before git 2.35 there is no such option: there, merges of two are looked at as those of more are.
  const byCommit = parseRaw(few ?? (await git([...show, '--max-parents=1'], input)));
  if (few !== null) await settle(byCommit, await conflictsIn(names));
  for (const merge of await mergesAmong(names, few === null ? 2 : 3)) {
    const entries = await changedByOctopus(merge);
    if (entries.length > 0) byCommit.set(merge.commit, entries);
  }
  return byCommit;
}

/**
 * What each merge of two among these commits has otherwise than one parent or the other.
 * @param {readonly string[]} commits
 * @returns {Promise<Map<string, Entry[]>>}
 */
async function sidesOfMerges(commits) {
  if (commits.length === 0) return new Map();
  const input = commits.map((name) => `${name}\n`).join('');
  return parseRaw(await git(['log', ...EACH_RAW, '--min-parents=2', '--max-parents=2', '-m'], input));
}

/** A file of a patch, by its name on both sides: `a/name b/name`, each quoted if it has to be. */
const FILE = /^diff --git (?:"a\/(.*)" "b\/|a\/)/;

/**
 * What git could not merge by itself. Of such a file it may have left one side in place, which then looks untouched: a
 * binary one, a link, a submodule, one that the other side deleted.
 * @param {readonly string[]} names
 * @returns {Promise<Map<string, string[]>>} by commit
 */
async function conflictsIn(names) {
  const merges = ['--min-parents=2', '--max-parents=2', '--remerge-diff', '--no-renames'];
  const heads = ['--patch', '--diff-filter=U', '--src-prefix=a/', '--dst-prefix=b/', '--no-ext-diff', '--no-color'];
  const output = await git(['log', ...EACH, ...merges, ...heads], names.map((name) => `${name}\n`).join(''));
  /** @type {Map<string, string[]>} */
  const conflicts = new Map();
  /** @type {string[]} */
  let here = [];
  // What is said of a conflict begins with a word, and goes on behind a space.
  for (const text of output.toString('latin1').split('\n')) {
    if (OBJECT_NAME.test(text)) conflicts.set(text, (here = []));
    else if (FILE.test(text)) here.push(nameInPatch(text));
  }
  return new Map([...conflicts].filter(([, files]) => files.length > 0));
}

/** @param {string} text */
function nameInPatch(text) {
  const quoted = FILE.exec(text)?.[1];
  if (quoted !== undefined) return unquoted(quoted);
  const both = text.slice('diff --git '.length);
  return both.slice('a/'.length, (both.length - 1) / 2);
}

/** @type {Readonly<Record<string, string>>} */
const ESCAPES = { a: '\u0007', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };

/** @param {string} text as git quotes names: as C does, any byte in octal digits */
function unquoted(text) {
  return text.replaceAll(/\\([0-7]{3}|.)/g, (_, /** @type {string} */ escaped) =>
    escaped.length === 3 ? String.fromCharCode(Number.parseInt(escaped, 8)) : (ESCAPES[escaped] ?? escaped),
  );
}

/**
 * Adds what those who made the merges had to settle, and gives files their real names.
 * @param {Map<string, Entry[]>} byCommit
 * @param {ReadonlyMap<string, readonly string[]>} conflicts
 */
async function settle(byCommit, conflicts) {
  const deleting = [...byCommit].filter(([, entries]) => entries.some(({ after }) => isNull(after.name)));
  const merges = new Set([...deleting.map(([commit]) => commit), ...conflicts.keys()]);
  const sides = await sidesOfMerges([...merges]);
  for (const commit of merges) {
    const named = byRealNames(byCommit.get(commit) ?? [], sides.get(commit));
    const known = new Set(named.map(nameOf));
    const settled = realNames(conflicts.get(commit) ?? [], sides.get(commit) ?? []);
    byCommit.set(commit, [...named, ...settled.filter((entry) => !known.has(nameOf(entry)))]);
  }
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
  return entries.flatMap((entry) => {
    if (!isNull(entry.after.name)) return [entry];
    const real = realNames([nameOf(entry)], sides);
    return real.some(({ path }) => path.equals(entry.path)) ? [entry] : real;
  });
}

/**
 * What a merge has otherwise than a parent, of files by the names that git gives them in a merge.
 * @param {readonly string[]} names
 * @param {readonly Entry[]} sides
 */
function realNames(names, sides) {
  const real = new Map(sides.map((entry) => [nameOf(entry), entry]));
  return names.flatMap((name) => {
    const starts = [...name.matchAll(/~/g)].map(({ index }) => name.slice(0, index));
    return real.get(name) ?? starts.flatMap((start) => real.get(start) ?? []);
  });
}
