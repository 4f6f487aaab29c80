import http from 'node:http';

/** @import { Config } from './config.mjs' */

/**
 * @typedef {object} Lease
 * @property {string} id
 * @property {number} fence
 * @property {string} runId
 * @property {string} mode `exclusive` or `shared`
 * @property {string[]} paths
 * @property {string[]} patterns
 * @property {string} state `live`, or `closing`: its time is up, and its paths stay closed for the lock delay
 * @property {string | null} purpose
 * @property {string} expiresAt
 * @property {string} closedUntil
 * @property {{ loop: { name: string }, owner: { name: string } }} holder
 */
/** @typedef {{ id: string, fence: number }} Presented */
/** @typedef {Presented & { reason: string, message?: string | null }} Stale whatever reasons a later server may have */
/** @typedef {{ uncovered: string[], stale: Stale[] }} Verification */
/** @typedef {{ id: string, runId: string | null, leases: Presented[], stale: Presented[] }} Change */
/** @typedef {{ path: string, leased: boolean }} ChangedFile */
/** @typedef {{ id: string, status: string, sessionId: string | null }} Run */
/** @typedef {{ commit: string, intent: string | null }} Undone */
/** @typedef {{ unleased: string[], unleasedCount: number, reverts: { path: string, undone: Undone[] }[] }} Recorded */
/** @typedef {(method: string, path: string, body?: unknown) => Promise<Record<string, unknown>>} Call */

const AT_A_TIME = 8;

/** The server did not answer, or not as itself: nothing is known. */
export class Unreachable extends Error {}

/** The server answered, and the answer is no. */
export class Refused extends Error {
  /** @param {number} status @param {Record<string, unknown>} problem */
  constructor(status, { code = '', detail = 'refused' }) {
    super(`${String(detail)} (${status} ${String(code)})`);
    this.status = status;
    this.code = code;
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
  /** @type {Map<string, Promise<Change | null>>} */
  const changes = new Map();
  const changeOf = async (/** @type {string} */ commit) => {
    const page = await call('GET', `/changes?${query({ repo, commit, limit: '1' })}`);
    return /** @type {Change[]} */ (listIn(page, 'items'))[0] ?? null;
  };
  return {
    /** Whether the key's org has ever heard of the repo. */
    async knowsRepo() {
      const page = await call('GET', `/repos?${query({ name: repo, limit: '1' })}`);
      return listIn(page, 'items').length > 0;
    },
    ...runsBy(call, repo),
    /** The leases of a run in the repo, or of all runs, page by page. @param {string | null} [runId] */
    async *leases(runId = null) {
      const which = query({ repo, limit: '500', ...(runId === null ? {} : { runId }) });
      for (let cursor = ''; ; ) {
        const page = await call('GET', `/leases?${which}${cursor}`);
        yield/** @type {Lease[]} */ (listIn(page, 'items'));
        if (typeof page['nextCursor'] !== 'string') return;
        cursor = `&${query({ cursor: page['nextCursor'] })}`;
      }
    },
    /** Who holds a path now, in whatever way; several may share it. @param {string} path @returns {Promise<Lease[]>} */
    async holders(path) {
      return /** @type {Lease[]} */ (
        listIn(await call('GET', `/leases?${query({ repo, path, limit: '500' })}`), 'items')
      );
    },
    /** @param {string} id @returns {Promise<Lease>} ended or not */
    async lease(id) {
      return /** @type {Lease} */ (/** @type {unknown} */ (await call('GET', `/leases/${encodeURIComponent(id)}`)));
    },
    /** @param {readonly string[]} paths @param {readonly Presented[]} leases @returns {Promise<Verification>} */
    async verify(paths, leases) {
      const answer = await call('POST', '/leases/verify', { repo, paths, leases });
      const uncovered = /** @type {string[]} */ (listIn(answer, 'uncovered'));
      const stale = /** @type {Stale[]} */ (listIn(answer, 'stale'));
      const isSound = answer['ok'] === (uncovered.length === 0 && stale.length === 0);
      // A path that it spells otherwise would be taken for covered.
      const asked = new Set(paths);
      if (!isSound || !uncovered.every((path) => asked.has(path))) throw stranger();
      return { uncovered, stale };
    },
    /** What was reported of a commit; asked once. @param {string} commit */
    change(commit) {
      const known = changes.get(commit) ?? changeOf(commit);
      changes.set(commit, known);
      return known;
    },
    /** @param {string} id of a change @returns {Promise<ChangedFile[]>} */
    async changedFiles(id) {
      return /** @type {ChangedFile[]} */ (listIn(await call('GET', `/changes/${encodeURIComponent(id)}`), 'files'));
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

/**
 * @param {Call} call
 * @param {string} repo
 */
function runsBy(call, repo) {
  return {
    /** Null where the key's org knows no such run. @param {string} id @returns {Promise<Run | null>} */
    async run(id) {
      const found = await call('GET', `/runs/${encodeURIComponent(id)}`).catch((/** @type {unknown} */ error) => {
        if (error instanceof Refused && error.status === 404) return null;
        throw error;
      });
      if (found !== null && (found['id'] !== id || typeof found['status'] !== 'string')) throw stranger();
      return /** @type {Run | null} */ (/** @type {unknown} */ (found));
    },
    /** The live run of an agent's session in the repo. @param {string} session @returns {Promise<Run | null>} */
    async runOf(session) {
      const which = query({ repo, status: 'running', limit: '500' });
      for (let cursor = ''; ; ) {
        const page = await call('GET', `/runs?${which}${cursor}`);
        const found = /** @type {Run[]} */ (listIn(page, 'items')).find(({ sessionId }) => sessionId === session);
        if (found !== undefined || typeof page['nextCursor'] !== 'string') return found ?? null;
        cursor = `&${query({ cursor: page['nextCursor'] })}`;
      }
    },
  };
}

/**
 * Some at a time: many commits are asked about one by one.
 * @template T, R
 * @param {readonly T[]} items
 * @param {(item: T) => Promise<R>} ask
 * @returns {Promise<R[]>} in the order of the items
 */
export async function askEach(items, ask) {
  /** @type {R[]} */
  const answers = [];
  let next = 0;
  const worker = async () => {
    for (let at = next++; at < items.length; at = next++) {
      answers[at] = await ask(/** @type {T} */ (items[at])).catch((/** @type {unknown} */ error) => {
        // Nobody waits for the others any more.
        next = items.length;
        throw error;
      });
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  return answers;
}

/** @param {Config} config @param {number} patienceMs @returns {Call} */
function caller({ url, key }, patienceMs) {
  const until = performance.now() + patienceMs;
  return async (method, path, body) => {
    const text = body === undefined ? '' : JSON.stringify(body);
    const json = text === '' ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    const signal = AbortSignal.timeout(Math.max(0, Math.round(until - performance.now())));
    let status;
    /** @type {unknown} */
    let answer;
    try {
      const headers = { authorization: `Bearer ${key}`, ...json };
      const response = await send(`${url}/api/v1${path}`, { method, headers, signal }, text);
      status = response.status;
      // The key goes to the server that was named and to no other.
      if (status >= 300 && status < 400) throw new Error('it sends elsewhere');
      // What stands between may say so in any words.
      if (status >= 500 || status === 429) throw new Error(`it answered ${status}`);
      answer = JSON.parse(response.text);
    } catch (error) {
      throw new Unreachable(reasonOf(error, patienceMs));
    }
    if (typeof answer !== 'object' || answer === null) throw stranger();
    const fields = /** @type {Record<string, unknown>} */ (answer);
    if (status >= 400) throw new Refused(status, fields);
    return fields;
  };
}

/**
 * Follows no redirect. `fetch` would take longer to be loaded than all the rest of a hook does.
 * @param {string} url
 * @param {http.RequestOptions} options
 * @param {string} text
 * @returns {Promise<{ status: number, text: string }>}
 */
async function send(url, options, text) {
  const { request } = url.startsWith('https:') ? await import('node:https') : http;
  return new Promise((resolve, reject) => {
    const sent = request(url, options, (response) => {
      const { statusCode: status = 0 } = response;
      readAll(response).then((body) => resolve({ status, text: body }), reject);
    });
    sent.on('error', reject);
    sent.end(text);
  });
}

/** @param {AsyncIterable<Buffer>} stream */
async function readAll(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
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
  if (error.name === 'AbortError') return `no answer within ${patienceMs / 1000} s`;
  if (error instanceof SyntaxError) return stranger().message;
  return 'code' in error ? String(error.code) : error.message;
}

/** @param {Record<string, string>} fields */
const query = (fields) => new URLSearchParams(fields).toString();
