/** Asks the server which paths are covered, in questions that it takes. */
import { Refused } from './api.mjs';

/** @import { connect, Lease, Presented } from './api.mjs' */
/** @typedef {ReturnType<typeof connect>} Server */

/** Who answers for a change: a run, by whatever leases it holds now, or the leases that a report named. */
/** @typedef {{ run: string | null, leases: readonly Presented[] }} Author */

/** Paths of one question: the server's limit, and a body that it takes. */
const MAX_PATHS = 500;
const MAX_PATH_BYTES = 500_000;
/** Leases of one question. */
const MAX_LEASES = 500;

/** @param {readonly string[]} paths @returns {string[][]} */
function batches(paths) {
  /** @type {string[][]} */
  const all = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const path of paths) {
    const size = Buffer.byteLength(path) + 8;
    const last = all.at(-1);
    if (last === undefined || last.length === MAX_PATHS || bytes + size > MAX_PATH_BYTES) {
      all.push([path]);
      bytes = size;
    } else {
      last.push(path);
      bytes += size;
    }
  }
  return all;
}

/**
 * The paths that no live lease of these authors covers. The server judges by its own clock, and a lease that it calls
 * stale, for whatever reason, counts for nothing.
 * @param {Server} server
 * @param {readonly string[]} paths
 * @param {readonly Author[]} authors
 */
export async function uncoveredOf(server, paths, authors) {
  let uncovered = paths;
  for (const { run, leases } of authors) {
    for await (const presented of presentedBy(server, run, leases)) {
      uncovered = await verified(server, uncovered, presented);
      if (uncovered.length === 0) return [];
    }
  }
  return uncovered;
}

/**
 * @param {Server} server
 * @param {string | null} run
 * @param {readonly Presented[]} leases
 * @returns {AsyncGenerator<readonly Presented[], void>}
 */
async function* presentedBy(server, run, leases) {
  if (run !== null) for await (const page of server.leases(run)) yield live(page);
  for (let from = 0; from < leases.length; from += MAX_LEASES) yield leases.slice(from, from + MAX_LEASES);
}

/** Leases whose time is up need not be asked about. @param {readonly Lease[]} leases @returns {Presented[]} */
const live = (leases) => leases.filter(({ state }) => state === 'live').map(({ id, fence }) => ({ id, fence }));

/**
 * @param {Server} server
 * @param {readonly string[]} paths
 * @param {readonly Presented[]} leases
 * @returns {Promise<readonly string[]>} those that are not covered
 */
async function verified(server, paths, leases) {
  /** @type {string[]} */
  const left = [];
  for (const batch of batches(paths)) left.push(...(await verifyBatch(server, batch, leases)));
  return left;
}

/**
 * @param {Server} server
 * @param {readonly string[]} paths
 * @param {readonly Presented[]} leases
 * @returns {Promise<readonly string[]>}
 */
async function verifyBatch(server, paths, leases) {
  if (leases.length === 0 || paths.length === 0) return paths;
  try {
    const { uncovered, stale } = await server.verify(paths, leases);
    if (stale.length === 0) return uncovered;
    // One that has ended since it was listed counts for nothing: asked again, without those.
    const ended = new Set(stale.map(({ id }) => id));
    const rest = leases.filter(({ id }) => !ended.has(id));
    return rest.length < leases.length ? await verifyBatch(server, paths, rest) : paths;
  } catch (error) {
    if (!(error instanceof Refused) || error.code !== 'verify_too_large') throw error;
    if (paths.length + leases.length === 2) throw error;
    return verifyHalves(server, paths, leases);
  }
}

/** @param {Server} server @param {readonly string[]} paths @param {readonly Presented[]} leases */
async function verifyHalves(server, paths, leases) {
  if (leases.length > 1) {
    const half = leases.length >> 1;
    const left = await verifyBatch(server, paths, leases.slice(0, half));
    return verifyBatch(server, left, leases.slice(half));
  }
  const half = paths.length >> 1;
  const first = await verifyBatch(server, paths.slice(0, half), leases);
  return [...first, ...(await verifyBatch(server, paths.slice(half), leases))];
}
