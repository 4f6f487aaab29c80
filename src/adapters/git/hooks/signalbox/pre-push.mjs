/** Lets a push through if live leases of the run cover every path that it changes; otherwise says who holds what. */
import { connect } from './api.mjs';
import { changedByEach } from './changed.mjs';
import { CLONE, RUN_NAMES, readConfig, Told } from './config.mjs';
import { decide, judgePush } from './gate.mjs';
import { readPaths } from './paths.mjs';
import { commitsPushed, readUpdates } from './pushed.mjs';

/** @import { Config } from './config.mjs' */
/** @import { Server } from './cover.mjs' */

const PATIENCE_MS = 30_000;

const ADVICE = [
  'A path that another loop holds is free when its lease ends: fetch what it pushed, build on it, acquire a lease on',
  'each path, and push again. If your task cannot wait for that, say so and stop.',
];

/** @param {string} input */
async function verify(input) {
  const [remoteName = '', remoteUrl = remoteName] = process.argv.slice(2);
  const updates = readUpdates(input);
  if (updates.length === 0) return true;
  const { brought, taken } = await commitsPushed(updates, remoteName, remoteUrl);
  const changed = await changedByEach(new Set([...brought, ...taken]));
  const { odd } = readPaths([...changed.values()].flat());
  if (changed.size === 0) return true;
  const config = await readConfig(remoteUrl);
  const authors = [{ run: config.run, leases: [] }];
  const pieces = [...changed].map(([commit, entries]) => {
    return { commit, taken: !brought.has(commit), paths: readPaths(entries).paths, authors };
  });
  const server = connect(config, PATIENCE_MS);
  const whose = await holderIn(server, config);
  const verifying = () => server;
  return judgePush({ settings: CLONE, pieces, odd, verifying, explaining: server, whose, advice: ADVICE });
}

/**
 * Whose leases count, for a refusal. Under a key of another org, or another name of the repo, every path would look free.
 * @param {Server} server
 * @param {Config} config
 */
async function holderIn(server, { run: id, repo, repoSource }) {
  if (!(await server.knowsRepo()))
    throw new Told(`the server knows no repo ${repo} under SIGNALBOX_KEY; its name comes from ${repoSource}.`);
  if (id === null) return 'no run is named (SIGNALBOX_RUN), so no lease';
  const run = await server.run(id);
  if (run === null) throw new Told(`the server knows no run ${id} under SIGNALBOX_KEY; ${RUN_NAMES} names it.`);
  return run.status === 'finished' ? 'this run is finished, so no lease of it' : 'no live lease of this run';
}

await decide(CLONE, verify);
