import { readFile } from 'node:fs/promises';
import { GitError, git, line } from './git.mjs';
import { quoted } from './text.mjs';

/** A mistake that the user can put right: told as it is, without a stack. */
export class Told extends Error {}

/** Where a clone says which run works in it. */
export const RUN_NAMES = 'SIGNALBOX_RUN (or git config signalbox.run)';
/** What a header can carry. */
const KEY = /^[!-~]+$/;
export const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * @typedef {object} Config
 * @property {string} url without a slash at the end
 * @property {string} key
 * @property {string | null} run
 * @property {string} repo
 * @property {string} repoSource what names the repo
 */

/**
 * What git's configuration says of Signalbox, as far as a hook may believe it: read once, when it is first asked for.
 * A hook is waited for, and each look into git is a process.
 * @typedef {object} Settings
 * @property {(name: string) => Promise<string | null>} one its last value; null where it is not set, or to nothing
 * @property {(name: string) => Promise<string[] | null>} all its values; null where it is not set at all
 * @property {(name: string) => Promise<string | null>} path as git reads a path, with its words for somebody's home
 * @property {(name: string) => Promise<boolean>} isSet whether it says yes; git knows all the words for it
 */

/** @param {readonly string[]} scope @returns {Settings} */
function settingsIn(scope) {
  /** @type {Promise<ReadonlyMap<string, string[]>> | null} */
  let reading = null;
  const read = () => (reading ??= readAll(scope));
  const all = async (/** @type {string} */ name) => (await read()).get(name.toLowerCase()) ?? null;
  const as = async (/** @type {string} */ name, /** @type {string} */ type) =>
    (await all(name)) === null ? null : line(['config', ...scope, type, '--get', name]);
  return {
    one: async (name) => (await all(name))?.at(-1)?.trim() || null,
    all: async (name) => (await all(name))?.filter((value) => value !== '') ?? null,
    path: (name) => as(name, '--type=path'),
    isSet: async (name) => (await as(name, '--type=bool')) === 'true',
  };
}

/**
 * The values by their name in small letters, in git's order; that of a name without a value is empty.
 * @param {readonly string[]} scope
 * @returns {Promise<ReadonlyMap<string, string[]>>}
 */
async function readAll(scope) {
  const output = await git(['config', ...scope, '-z', '--get-regexp', '^signalbox\\.']).catch(
    (/** @type {unknown} */ error) => {
      // Git says by exit code 1 that there is none. Any other failure is no answer.
      if (error instanceof GitError && error.code === 1) return '';
      throw error;
    },
  );
  /** @type {Map<string, string[]>} */
  const values = new Map();
  for (const entry of output.toString().split('\0').slice(0, -1)) {
    const [name = '', ...value] = entry.split('\n');
    values.set(name, [...(values.get(name) ?? []), value.join('\n')]);
  }
  return values;
}

/** For a clone: whatever git itself goes by. */
export const CLONE = settingsIn([]);

/** For a repository that is pushed to: its own file, with what that includes. Git's global configuration is found by
 * the environment, and that may be the pusher's own. */
export const GATE = settingsIn(['--local', '--includes']);

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
  if (!KEY.test(key)) throw new Told('SIGNALBOX_KEY is no API key: a key is one word of plain letters.');
  const run = (await either('SIGNALBOX_RUN', 'signalbox.run'))?.toLowerCase() ?? null;
  if (run !== null && !UUID.test(run)) throw new Told(`${RUN_NAMES} is no id of a run: ${quoted(run)}.`);
  const named = await either('SIGNALBOX_REPO', 'signalbox.repo');
  const repo = named ?? repoOf((await line(['remote', 'get-url', 'origin'])) ?? remoteUrl);
  if (repo === null)
    throw new Told('which repo this is cannot be told: set SIGNALBOX_REPO or git config signalbox.repo.');
  const repoSource = named === null ? 'the URL that it is fetched from' : 'SIGNALBOX_REPO or git config signalbox.repo';
  return { url, key, run, repo, repoSource };
}

/**
 * For a repository that is pushed to.
 * @returns {Promise<Config>}
 */
export async function readGateConfig() {
  const url = serverUrl(await GATE.one('signalbox.url'));
  const repo = await GATE.one('signalbox.repo');
  if (repo === null) throw new Told('which repo this is cannot be told: its git config has no signalbox.repo.');
  const file = await GATE.path('signalbox.keyFile');
  const key = file === null ? '' : await readFile(file, 'utf8').catch(() => '');
  if (!KEY.test(key.trimEnd())) throw new Told('there is no API key in the file that signalbox.keyFile names.');
  return { url, key: key.trim(), run: null, repo, repoSource: 'git config signalbox.repo' };
}

/** @param {string | null} url */
function serverUrl(url) {
  if (url === null) throw new Told('no server is named: set SIGNALBOX_URL or git config signalbox.url.');
  if (!/^https?:\/\/\S+$/.test(url) || !URL.canParse(url))
    throw new Told('the server that is named is no http or https URL.');
  return url.replace(/\/+$/, '');
}

/** @param {string} variable @param {string} name */
async function either(variable, name) {
  return process.env[variable]?.trim() || (await CLONE.one(name));
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
