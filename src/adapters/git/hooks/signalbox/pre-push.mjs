/** Lets a push through if live leases of the run cover every path that it changes; otherwise says who holds what. */
import { connect, Refused, Unreachable } from './api.mjs';
import { isSet, readConfig, Told } from './config.mjs';
import { GitError } from './git.mjs';
import { readPaths } from './paths.mjs';
import { pathsPushed, readUpdates } from './pushed.mjs';
import { listed, quoted, say, shown } from './text.mjs';

/** @import { Lease, Presented } from './api.mjs' */

const PATIENCE_MS = 30_000;
/** Paths of one question: the server's limit, and a body that it takes. */
const MAX_PATHS = 500;
const MAX_PATH_BYTES = 500_000;
/** Paths explained one by one; the others are counted. */
const EXPLAINED = 20;

/** @typedef {ReturnType<typeof connect>} Server */

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
 * The paths that no live lease of the run covers. Leases whose time is up are not presented: whether another run took
 * over shows in who holds the path.
 * @param {Server} server
 * @param {readonly string[]} paths
 */
async function uncoveredOf(server, paths) {
  let uncovered = paths;
  for await (const page of server.leases()) {
    const live = page.filter(({ state }) => state === 'live').map(({ id, fence }) => ({ id, fence }));
    /** @type {string[]} */
    const left = [];
    for (const batch of batches(uncovered)) left.push(...(await verifyBatch(server, batch, live)));
    uncovered = left;
  }
  return uncovered;
}

/**
 * @param {Server} server
 * @param {readonly string[]} paths
 * @param {readonly Presented[]} leases one that has ended since it was listed counts for nothing
 * @returns {Promise<readonly string[]>}
 */
async function verifyBatch(server, paths, leases) {
  if (leases.length === 0) return paths;
  const { uncovered, stale } = await server.verify(paths, leases);
  if (stale.length === 0) return uncovered;
  const ended = new Set(stale.map(({ id }) => id));
  const rest = leases.filter(({ id }) => !ended.has(id));
  return rest.length < leases.length ? verifyBatch(server, paths, rest) : paths;
}

/**
 * @param {Server} server
 * @param {string | null} run
 * @param {readonly string[]} uncovered
 */
async function explain(server, run, uncovered) {
  for (const path of uncovered.slice(0, EXPLAINED))
    say(`  ${shown(path)}: ${standing(await server.holder(path), run)}`);
  if (uncovered.length > EXPLAINED) say(`  and ${uncovered.length - EXPLAINED} more`);
  say(
    'Nothing was pushed. A path that another loop holds is free when its lease ends: fetch what it pushed, build on it,',
  );
  say('acquire a lease on each path, and push again. If your task cannot wait for that, say so and stop.');
}

/** @param {Lease | undefined} lease @param {string | null} run */
function standing(lease, run) {
  if (lease === undefined) return 'no lease of this run covers it, and nobody holds it now.';
  if (lease.runId === run) return `the lease of this run ended at ${lease.expiresAt}.`;
  const { loop, owner } = lease.holder;
  const why = lease.purpose === null ? 'no purpose was told' : `purpose ${quoted(lease.purpose)}`;
  return `held by loop ${quoted(loop.name)} of ${quoted(owner.name)}, ${why}, until ${lease.expiresAt} unless it is renewed.`;
}

/**
 * @param {string} remoteName
 * @param {string | null} remoteUrl
 * @param {string} input
 * @returns {Promise<boolean>} whether the push may go on
 */
async function verify(remoteName, remoteUrl, input) {
  const updates = readUpdates(input);
  if (updates.length === 0) return true;
  const { paths, odd } = readPaths(await pathsPushed(updates, remoteName));
  if (odd.length > 0) throw new Told(`no lease can name these paths; rename them: ${listed(odd, 10)}`);
  if (paths.length === 0) return true;
  const config = await readConfig(remoteUrl);
  const server = connect(config, PATIENCE_MS);
  const uncovered = await uncoveredOf(server, paths);
  if (uncovered.length === 0) return true;
  const whose = config.run === null ? 'no run is named (SIGNALBOX_RUN), so no lease' : 'no live lease of this run';
  say(`push refused: ${whose} covers ${uncovered.length} of the ${paths.length} path(s) that it changes.`);
  // Refused is refused, also when the server goes away while it is asked for the reasons.
  await explain(server, config.run, uncovered).catch(() => say('  who holds them could not be asked.'));
  return false;
}

/** @param {unknown} error @returns {Promise<boolean>} whether the push may go on all the same */
async function refuse(error) {
  const why = error instanceof Error ? error.message : String(error);
  if (!(error instanceof Unreachable)) {
    const expected = error instanceof Told || error instanceof Refused || error instanceof GitError;
    say(`push refused: ${expected ? why : `the leases could not be verified: ${why}`}`);
    return false;
  }
  if (await isSet('signalbox.pushFailOpen')) {
    say(`the leases were not verified (${why}); this repository is configured to push all the same.`);
    return true;
  }
  say(`push refused: the server could not be asked whether the leases still stand: ${why}. Try again later.`);
  return false;
}

/** @returns {Promise<string>} */
async function standardInput() {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

// Whatever happens on the way, only a verified push goes on.
process.exitCode = 1;
const [remoteName = '', remoteUrl = null] = process.argv.slice(2);
const mayGoOn = await standardInput()
  .then((input) => verify(remoteName, remoteUrl, input))
  .catch(refuse);
if (mayGoOn) process.exitCode = 0;
