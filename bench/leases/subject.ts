import { post } from '../lib/api.ts';
import { measure } from '../lib/harness.ts';
import type { Fields, Fight, Job, Measured } from '../lib/job.ts';
import { LogCheck } from './log-check.ts';

/** How a job is driven: by time or by number, closed loop or open. */
export type Drive = Pick<Job, 'connections' | 'seconds' | 'warmupSeconds' | 'rate' | 'requests'>;

/** Agents: each connection acts for a run of its own. */
const RUNS = 128;
const LOOPS = 16;
/** What must outlast a benchmark. */
const LONG_TTL_SECONDS = 7200;

/** One lease on a file that nobody has asked for before; also what the baselines are sent. */
export function acquireBody(repo: string, more: object = {}): string {
  const wanted = { repo, runId: '{run}', paths: ['src/module-{n}/index.ts'], purpose: 'bench', ...more };
  return JSON.stringify(wanted);
}

/** The server under measurement with an org to measure it in. Every measurement is checked against the org's log. */
export class Subject {
  readonly log: LogCheck;
  /** A run for each connection. */
  readonly lanes: readonly Fields[];
  readonly #port: number;
  readonly #key: string;

  private constructor(port: number, key: string, lanes: readonly Fields[], log: LogCheck) {
    this.#port = port;
    this.#key = key;
    this.lanes = lanes;
    this.log = log;
  }

  static async prepare(port: number, url: string, rootKey: string, name: string): Promise<Subject> {
    const { org, apiKey } = await post(port, '/orgs', rootKey, { slug: `bench-${process.pid}-${name}`, name });
    const lanes: Fields[] = [];
    for (let at = 0; at < LOOPS; at += 1) {
      const loop = await post(port, '/loops', apiKey.secret, { name: `loop-${at}`, repo: 'acme/shop' });
      for (let of = 0; of < RUNS / LOOPS; of += 1)
        lanes.push({ run: (await post(port, `/loops/${loop.id}/runs`, apiKey.secret, {})).id });
    }
    return new Subject(port, apiKey.secret, lanes, await LogCheck.open(url, org.id));
  }

  /** Grants of files nobody else wants, each on a new path. `repo` is a template too. */
  acquire(repo: string, drive: Drive, headers: Readonly<Record<string, string>> = {}): Promise<Measured> {
    const job = { ...drive, headers, body: acquireBody(repo), expect: { status: 201 } };
    return this.#checked(job, ({ answers }) => ({ 'lease.granted': answers['201'] ?? 0 }));
  }

  /** As `acquire`, each under an Idempotency-Key of its own: its answer is kept, too. */
  acquireKeyed(repo: string, drive: Drive): Promise<Measured> {
    return this.acquire(repo, drive, { 'idempotency-key': 'bench-{n}' });
  }

  /** As `acquire`, for as long as the benchmark lasts. */
  async fill(repo: string, leases: number): Promise<void> {
    const job = {
      ...byNumber(leases),
      body: acquireBody(repo, { ttlSeconds: LONG_TTL_SECONDS }),
      expect: { status: 201 },
    };
    await this.#checked(job, () => ({ 'lease.granted': leases }));
  }

  /** Extends so many leases one after the other, so that between two of the same one there is time to extend it by. */
  async renewals(repo: string, leases: number): Promise<(drive: Drive) => Promise<Measured>> {
    const items: Fields[] = [];
    for (let at = 0; at < leases; at += 1) {
      const runId = this.lanes[at % this.lanes.length]!['run'];
      const body = { repo, runId, paths: [`src/renewed-${at}/index.ts`], purpose: 'bench' };
      const { lease } = await post(this.#port, '/leases', this.#key, body);
      items.push({ lease: lease.id, fence: String(lease.fence) });
    }
    return (drive) => {
      const job = { ...drive, body: '{"fence":{fence},"ttlSeconds":900}', items, expect: { status: 200 } };
      const path = '/api/v1/leases/{lease}/renew';
      return this.#checked({ ...job, path }, ({ answers }) => ({ 'lease.renewed': answers['200'] ?? 0 }));
    };
  }

  /** See `FightScript`: which acquires count, and who gives what back. */
  fight(repo: string, fight: Fight, drive: Drive): Promise<Measured> {
    const body = acquireBody(repo, { paths: ['src/hot-{file}/index.ts'] });
    return this.#checked({ ...drive, body, fight }, ({ answers }) => ({
      'lease.granted': answers['granted'] ?? 0,
      'lease.released': answers['released'] ?? 0,
    }));
  }

  /** One run holds so many files of a repo, each by a lease of its own, for as long as the benchmark lasts. */
  async block(repo: string, files: number): Promise<void> {
    const loop = await post(this.#port, '/loops', this.#key, { name: `holder of ${repo}`, repo });
    const { id: run } = await post(this.#port, `/loops/${loop.id}/runs`, this.#key, {});
    const body = acquireBody(repo, { paths: ['src/wanted-{i}/index.ts'], ttlSeconds: LONG_TTL_SECONDS });
    await this.#checked({ ...byNumber(files), body, lanes: [{ run }], expect: { status: 201 } }, () => ({
      'lease.granted': files,
    }));
  }

  /**
   * Queues so many tickets for the files of `block`, as many for each. The lines of all files have the runs in the same
   * order: were two runs before each other in two lines, each would wait for the other, which is refused.
   */
  async queue(repo: string, files: number, tickets: number): Promise<void> {
    const length = Math.ceil(tickets / files);
    const runsAPlace = Math.floor(this.lanes.length / length);
    const items = Array.from({ length: tickets }, (_, at) => {
      const [file, place] = [at % files, Math.floor(at / files)];
      const lane = this.lanes[place * runsAPlace + (file % runsAPlace)];
      if (lane === undefined) throw new Error('more places in a line than runs');
      return { path: `src/wanted-${file}/index.ts`, run: lane['run']! };
    });
    const body = acquireBody(repo, { paths: ['{path}'], waitSeconds: 0.001 });
    const job = { ...byNumber(tickets), body, items, expect: { status: 202 } };
    await this.#checked(job, () => ({ 'lease.queued': tickets }));
  }

  /** Measures, and compares the answers with the events that they must have left. */
  async #checked(
    {
      headers: more = {},
      ...job
    }: Omit<Job, 'from' | 'port' | 'path' | 'headers'> & Partial<Pick<Job, 'path' | 'headers'>>,
    events: (measured: Measured) => Readonly<Record<string, number>>,
  ): Promise<Measured> {
    const seq = await this.log.seq();
    const headers = { authorization: `Bearer ${this.#key}`, ...more };
    const measured = await measure({
      path: '/api/v1/leases',
      lanes: this.lanes,
      ...job,
      port: this.#port,
      headers,
    });
    await this.log.expect(seq, events(measured));
    return measured;
  }
}

function byNumber(requests: number): Drive {
  return { connections: RUNS, requests, seconds: 0, warmupSeconds: 0 };
}
