import { readFile } from 'node:fs/promises';
import { GitError, line, lines } from './git.mjs';

/** A mistake that the user can put right: told as it is, without a stack. */
export class Told extends Error {}

/**
 * @typedef {object} Config
 * @property {string} url without a slash at the end
 * @property {string} key
 * @property {string | null} run
 * @property {string} repo
 */

/**
 * The environment comes before git's configuration, so that many agents can share a checkout. The key is read from the
 * environment only: a configuration file is no place for a secret.
 * @param {string | null} remoteUrl names the repo where nothing else does
 * @returns {Promise<Config>}
 */
export async function readConfig(remoteUrl = null) {
  const url = serverUrl(await either('SIGNALBOX_URL', 'signalbox.url'));
  const key = process.env['SIGNALBOX_KEY']?.trim();
  if (!key) throw new Told('there is no API key: set SIGNALBOX_KEY.');
  const run = await either('SIGNALBOX_RUN', 'signalbox.run');
  const named = await either('SIGNALBOX_REPO', 'signalbox.repo');
  const repo = named ?? repoOf((await line(['remote', 'get-url', 'origin'])) ?? remoteUrl);
  if (repo === null)
    throw new Told('which repo this is cannot be told: set SIGNALBOX_REPO or git config signalbox.repo.');
  return { url, key, run, repo };
}

/**
 * For a repository that is pushed to. The environment there may be the pusher's own, so it counts for nothing.
 * @returns {Promise<Config>}
 */
export async function readGateConfig() {
  const url = serverUrl(await setting('signalbox.url'));
  const repo = await setting('signalbox.repo');
  if (repo === null) throw new Told('which repo this is cannot be told: its git config has no signalbox.repo.');
  const file = await line(['config', '--type=path', '--get', 'signalbox.keyFile']);
  const key = file === null ? '' : await readFile(file, 'utf8').catch(() => '');
  if (!/^[!-~]+\s*$/.test(key)) throw new Told('there is no API key in the file that signalbox.keyFile names.');
  return { url, key: key.trim(), run: null, repo };
}

/** @param {string | null} url */
function serverUrl(url) {
  if (url === null) throw new Told('no server is named: set SIGNALBOX_URL or git config signalbox.url.');
  if (!/^https?:\/\/[^\s]+$/.test(url)) throw new Told('the server that is named is no http or https URL.');
  return url.replace(/\/+$/, '');
}

/** @param {string} variable @param {string} name */
async function either(variable, name) {
  return process.env[variable]?.trim() || (await setting(name));
}

/** @param {string} name in git's configuration */
export const setting = (name) => line(['config', '--get', name]);

/** All values of a name in git's configuration. @param {string} name */
export async function settings(name) {
  try {
    return await lines(['config', '--get-all', name]);
  } catch (error) {
    // Git says by exit code 1 that there is none.
    if (error instanceof GitError) return [];
    throw error;
  }
}

/** Whether the configuration says yes; git knows all the words for it. @param {string} name */
export async function isSet(name) {
  return (await line(['config', '--type=bool', '--get', name])) === 'true';
}

/**
 * `acme/shop`, out of where it is fetched from: a URL's path whole, the last two parts of a path on this machine.
 * @param {string | null} remote
 * @returns {string | null}
 */
export function repoOf(remote) {
  if (remote === null) return null;
  const url = /^(?:https?|ssh|git):\/\/(?:[^/@]*@)?[^/]+\/(.+)$/i.exec(remote);
  const scp =
    url === null && !/^[a-z+]+:\/\//i.test(remote) ? /^(?:[^/@:]+@)?[^/:]{2,}:(?!\/\/)(.+)$/.exec(remote) : null;
  const path = url?.[1] ?? scp?.[1] ?? remote.replace(/^file:\/\//, '').replaceAll('\\', '/');
  const parts = path
    .replace(/\/+$/, '')
    .replace(/\.git$/, '')
    .split('/')
    .filter((part) => part !== '');
  const name = (url ?? scp) === null ? parts.slice(-2) : parts;
  return name.length >= 2 && name.every((part) => /^(?!\.\.?$)[A-Za-z0-9_.-]+$/.test(part)) ? name.join('/') : null;
}
