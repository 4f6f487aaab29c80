/**
 * Finds who else holds a path. For that a shared lease counts as an exclusive one does, and one in its lock delay as a live
 * one: each keeps others from changing the path. Only covering what is pushed takes an exclusive one that is live.
 */
import { askEach } from './api.mjs';

/** @import { Lease } from './api.mjs' */
/** @import { Author, Server } from './cover.mjs' */

/** Up to here a pattern is what it stands for. */
const PLAIN_START = /^[^*?[{\\]*/;

/** Equal wherever a repo that is not case-sensitive takes two names for one, and perhaps more often. @param {string} text */
const folded = (text) => text.toLowerCase().toUpperCase();

/**
 * @param {Server} server
 * @param {readonly string[]} paths
 * @returns {Promise<Map<string, readonly Lease[]>>} without the paths that nobody holds
 */
export async function holdersOf(server, paths) {
  const asked = await perhapsHeld(server, paths);
  const answers = await askEach(asked, (path) => server.holders(path));
  return new Map(asked.map((path, at) => [path, answers[at] ?? []]));
}

/** Leases of others than those who answer for a change. @param {readonly Lease[]} leases @param {readonly Author[]} authors */
export function ofOthers(leases, authors) {
  const isOwn = (/** @type {Lease} */ { id, runId }) =>
    authors.some((author) => author.run === runId || author.leases.some((lease) => lease.id === id));
  return leases.filter((lease) => !isOwn(lease));
}

/**
 * What a pattern matches is for the server to say, path by path: here it is only found out which paths are worth asking about.
 * @param {Server} server
 * @param {readonly string[]} paths
 */
async function perhapsHeld(server, paths) {
  /** @type {Set<string>} */
  const names = new Set();
  /** @type {Set<string>} */
  const starts = new Set();
  for await (const page of server.leases()) {
    for (const lease of page) {
      for (const path of lease.paths) names.add(folded(path));
      for (const pattern of lease.patterns) starts.add(startOf(pattern));
    }
  }
  const all = [...starts];
  return paths.filter((path) => {
    const name = folded(path);
    return names.has(name) || all.some((start) => name.startsWith(start));
  });
}

/** @param {string} pattern */
const startOf = (pattern) => folded(PLAIN_START.exec(pattern)?.[0] ?? '');

/**
 * Tells the leases that may cover one of these paths from those that cannot.
 * @param {readonly string[]} paths
 * @returns {(lease: Lease) => boolean}
 */
export function coverOf(paths) {
  const names = new Set(paths.map(folded));
  return (lease) =>
    lease.paths.some((path) => names.has(folded(path))) ||
    lease.patterns.some((pattern) => {
      const start = startOf(pattern);
      return [...names].some((name) => name.startsWith(start));
    });
}
