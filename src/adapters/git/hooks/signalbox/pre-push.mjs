/** Lets a push through if live leases of the run cover every path that it changes; otherwise says who holds what. */
import { connect } from './api.mjs';
import { CLONE, readConfig } from './config.mjs';
import { decide, judgePush } from './gate.mjs';
import { changedByEach } from './git.mjs';
import { readPaths } from './paths.mjs';
import { commitsPushed, readUpdates } from './pushed.mjs';

const PATIENCE_MS = 30_000;

const ADVICE = [
  'A path that another loop holds is free when its lease ends: fetch what it pushed, build on it, acquire a lease on',
  'each path, and push again. If your task cannot wait for that, say so and stop.',
];

/** @param {string} input */
async function verify(input) {
  const [remoteName = '', remoteUrl = null] = process.argv.slice(2);
  const updates = readUpdates(input);
  if (updates.length === 0) return true;
  const { brought, taken } = await commitsPushed(updates, remoteName);
  const changed = await changedByEach(new Set([...brought, ...taken]));
  const { odd } = readPaths([...changed.values()].flat());
  if (changed.size === 0) return true;
  const config = await readConfig(remoteUrl);
  const authors = [{ run: config.run, leases: [] }];
  const pieces = [...changed].map(([commit, entries]) => {
    return { commit, taken: !brought.has(commit), paths: readPaths(entries).paths, authors };
  });
  const server = connect(config, PATIENCE_MS);
  const whose = config.run === null ? 'no run is named (SIGNALBOX_RUN), so no lease' : 'no live lease of this run';
  const verifying = () => server;
  return judgePush({ settings: CLONE, pieces, odd, verifying, explaining: server, whose, advice: ADVICE });
}

await decide(CLONE, verify);
