/** Judges what a push brings: which of it the leases of its authors cover, and whether the rest may go through. */
import { askEach } from './api.mjs';
import { uncoveredOf } from './cover.mjs';
import { holdersOf, ofOthers } from './holders.mjs';

/** @import { Author, Server } from './cover.mjs' */

/**
 * What a commit changes that is pushed, and who answers for it. One that is `taken` was on the branch and is taken away.
 * @typedef {object} Piece
 * @property {string} commit
 * @property {boolean} taken
 * @property {boolean} [waited] it was verified when it came, and is in the way only of who holds one of its paths now
 * @property {readonly string[]} paths
 * @property {readonly Author[]} authors
 */
/** @typedef {{ piece: Piece, paths: readonly string[] }} Open paths of a piece that nobody answers for */
/** @typedef {{ refused: Open[], unleased: string[] }} Verdict */

/**
 * Each piece with the paths that no live lease of its authors covers.
 * @param {Server} server
 * @param {readonly Piece[]} pieces
 * @returns {Promise<Open[]>}
 */
export async function openIn(server, pieces) {
  /** @type {Map<string, { authors: readonly Author[], paths: Set<string>, pieces: Piece[] }>} */
  const groups = new Map();
  for (const piece of pieces) {
    const key = JSON.stringify(piece.authors);
    const group = groups.get(key) ?? { authors: piece.authors, paths: new Set(), pieces: [] };
    groups.set(key, group);
    group.pieces.push(piece);
    for (const path of piece.paths) group.paths.add(path);
  }
  /** @type {Open[]} */
  const open = [];
  for (const group of groups.values()) {
    const uncovered = new Set(await uncoveredOf(server, [...group.paths], group.authors));
    if (uncovered.size === 0) continue;
    for (const piece of group.pieces) {
      const paths = piece.paths.filter((path) => uncovered.has(path));
      if (paths.length > 0) open.push({ piece, paths });
    }
  }
  return open;
}

/**
 * Where edits without a lease are let through, two kinds are not: those on a path that somebody else holds now, and those of
 * a holder whose lease has ended since, because it cannot know what was done after it.
 * @param {Server} server
 * @param {readonly Open[]} open
 * @returns {Promise<Verdict>}
 */
export async function tolerate(server, open) {
  const isHeld = await heldByOthers(server, open);
  /** @type {Open[]} */
  const refused = [];
  /** @type {Set<string>} */
  const unleased = new Set();
  const leasedOf = await askEach(open, ({ piece }) => leasedOnce(server, piece)).catch(
    (/** @type {unknown} */ error) => {
      // Refused is refused, also when the server goes away in between.
      if (open.some(({ piece, paths }) => paths.some((path) => isHeld(piece, path)))) return [];
      throw error;
    },
  );
  for (const [at, { piece, paths }] of open.entries()) {
    const leased = leasedOf[at] ?? new Set();
    const bad = paths.filter((path) => isHeld(piece, path) || leased.has(path));
    if (bad.length > 0) refused.push({ piece, paths: bad });
    const isBad = new Set(bad);
    for (const path of paths) if (!isBad.has(path)) unleased.add(path);
  }
  return { refused, unleased: [...unleased].toSorted() };
}

/**
 * What has been verified once, and waited on another branch since: refused is what somebody else holds now.
 * @param {Server} server
 * @param {readonly Open[]} open
 * @returns {Promise<Verdict>}
 */
export async function heldByNow(server, open) {
  if (open.length === 0) return { refused: [], unleased: [] };
  const isHeld = await heldByOthers(server, open);
  const held = open.map(({ piece, paths }) => ({ piece, paths: paths.filter((path) => isHeld(piece, path)) }));
  return { refused: held.filter(({ paths }) => paths.length > 0), unleased: [] };
}

/** @param {Server} server @param {readonly Open[]} open */
async function heldByOthers(server, open) {
  const holders = await holdersOf(server, [...new Set(open.flatMap(({ paths }) => paths))]);
  return (/** @type {Piece} */ { authors }, /** @type {string} */ path) =>
    ofOthers(holders.get(path) ?? [], authors).length > 0;
}

/** Paths that a lease covered when the commit was made. @param {Server} server @param {Piece} piece */
async function leasedOnce(server, { commit, taken }) {
  const change = taken ? null : await server.change(commit);
  const files = change === null ? [] : await server.changedFiles(change.id);
  return new Set(files.filter(({ leased }) => leased).map(({ path }) => path));
}
