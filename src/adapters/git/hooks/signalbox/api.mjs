/** @import { Config } from './config.mjs' */

/**
 * @typedef {object} Lease
 * @property {string} id
 * @property {number} fence
 * @property {string} runId
 * @property {string} state `live`, or `closing`: its time is up
 * @property {string | null} purpose
 * @property {string} expiresAt
 * @property {{ loop: { name: string }, owner: { name: string } }} holder
 */
/** @typedef {{ id: string, fence: number }} Presented */
/** @typedef {{ uncovered: string[], stale: Presented[] }} Verification */
/** @typedef {{ commit: string, intent: string | null }} Undone */
/** @typedef {{ unleased: string[], unleasedCount: number, reverts: { path: string, undone: Undone[] }[] }} Recorded */
/** @typedef {(method: string, path: string, body?: unknown) => Promise<Record<string, unknown>>} Call */

/** The server did not answer, or not as itself: nothing is known. */
export class Unreachable extends Error {}

/** The server answered, and the answer is no. */
export class Refused extends Error {
  /** @param {number} status @param {Record<string, unknown>} problem */
  constructor(status, { code = '', detail = 'refused' }) {
    super(`${String(detail)} (${status} ${String(code)})`);
  }
}

/**
 * The server that the configuration names.
 * @param {Config} config
 * @param {number} patienceMs for all calls together
 */
export function connect(config, patienceMs) {
  const call = caller(config, patienceMs);
  const { run, repo } = config;
  return {
    /** The leases that the run holds, page by page. */
    async *leases() {
      if (run === null) return;
      for (let cursor = ''; ; ) {
        const page = await call('GET', `/leases?${query({ runId: run, repo, limit: '500' })}${cursor}`);
        yield/** @type {Lease[]} */ (listIn(page, 'items'));
        if (typeof page['nextCursor'] !== 'string') return;
        cursor = `&${query({ cursor: page['nextCursor'] })}`;
      }
    },
    /** Who holds a path now. @param {string} path @returns {Promise<Lease | undefined>} */
    async holder(path) {
      const page = await call('GET', `/leases?${query({ repo, path, limit: '1' })}`);
      return /** @type {Lease[]} */ (listIn(page, 'items'))[0];
    },
    /** @param {readonly string[]} paths @param {readonly Presented[]} leases @returns {Promise<Verification>} */
    async verify(paths, leases) {
      const answer = await call('POST', '/leases/verify', { repo, paths, leases });
      const uncovered = /** @type {string[]} */ (listIn(answer, 'uncovered'));
      return { uncovered, stale: /** @type {Presented[]} */ (listIn(answer, 'stale')) };
    },
    /** @param {Record<string, unknown>} change @returns {Promise<Recorded>} */
    async record(change) {
      const answer = await call('POST', '/changes', { repo, runId: run, ...change });
      listIn(answer, 'unleased');
      listIn(answer, 'reverts');
      return /** @type {Recorded} */ (/** @type {unknown} */ (answer));
    },
  };
}

/** @param {Config} config @param {number} patienceMs @returns {Call} */
function caller({ url, key }, patienceMs) {
  const signal = AbortSignal.timeout(patienceMs);
  return async (method, path, body) => {
    const json = body === undefined ? {} : { 'content-type': 'application/json' };
    const text = body === undefined ? {} : { body: JSON.stringify(body) };
    let status;
    /** @type {unknown} */
    let answer;
    try {
      const headers = { authorization: `Bearer ${key}`, ...json };
      // The key goes to the server that was named and to no other.
      const response = await fetch(`${url}/api/v1${path}`, { method, headers, signal, redirect: 'error', ...text });
      status = response.status;
      answer = JSON.parse(await response.text());
    } catch (error) {
      throw new Unreachable(reasonOf(error, patienceMs));
    }
    if (status >= 500 || status === 429) throw new Unreachable(`it answered ${status}`);
    if (typeof answer !== 'object' || answer === null) throw stranger();
    const fields = /** @type {Record<string, unknown>} */ (answer);
    if (status >= 400) throw new Refused(status, fields);
    return fields;
  };
}

/**
 * What is taken for a yes has to look like one.
 * @param {Record<string, unknown>} answer
 * @param {string} name
 * @returns {unknown[]}
 */
function listIn(answer, name) {
  const list = answer[name];
  if (!Array.isArray(list)) throw stranger();
  return list;
}

const stranger = () => new Unreachable('what answers there is no Signalbox server');

/** @param {unknown} error @param {number} patienceMs */
function reasonOf(error, patienceMs) {
  if (!(error instanceof Error)) return 'no answer';
  if (error.name === 'TimeoutError') return `no answer within ${patienceMs / 1000} s`;
  if (error instanceof SyntaxError) return stranger().message;
  const { cause } = error;
  if (!(cause instanceof Error)) return error.message;
  return 'code' in cause ? String(cause.code) : cause.message;
}

/** @param {Record<string, string>} fields */
const query = (fields) => new URLSearchParams(fields).toString();
