import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Keeper } from './keeper.ts';

export interface ServerOptions {
  /** Compiled. */
  readonly main: string;
  readonly folder: string;
  /** As the server gets it; how PostgreSQL calls its connections is added. */
  readonly databaseUrl: string;
  readonly rootKey: string;
  readonly keeper: Keeper;
}

/** Within it a machine that has much else to do brings it up, under a database that is restarted meanwhile. */
const START_MS = 90_000;
const RETRY_MS = 250;

export type Standing = 'up' | 'paused' | 'down';

/** One server process after another under one name. */
export class ServerProcess {
  /** What PostgreSQL calls its connections. */
  readonly name: string;
  readonly #options: ServerOptions;
  readonly #log: WriteStream;
  #child: ChildProcess | null = null;
  #port: number | null = null;
  #standing: Standing = 'down';
  #isClosed = false;

  constructor(index: number, options: ServerOptions) {
    this.name = `server-${index}`;
    this.#options = options;
    this.#log = createWriteStream(path.join(options.folder, `${this.name}.log`), { flags: 'a' });
  }

  get standing(): Standing {
    return this.#standing;
  }

  /** Null while it does not listen. A paused one still takes connections, and answers none. */
  get port(): number | null {
    return this.#port;
  }

  /** Starts it again and again, as whoever looks after servers does: with PostgreSQL down it ends at once. */
  async start(): Promise<void> {
    const untilMs = performance.now() + START_MS;
    while (!this.#isClosed) {
      if (await this.#attempt()) return;
      if (performance.now() > untilMs) throw new Error(`${this.name} does not start, see its log`);
      await sleep(RETRY_MS);
    }
  }

  /** Whether it came to listen. */
  async #attempt(): Promise<boolean> {
    const { main, databaseUrl, rootKey, keeper } = this.#options;
    const url = new URL(databaseUrl);
    url.searchParams.set('application_name', this.name);
    const { PATH = '', HOME = '' } = process.env;
    const child = spawn(process.execPath, ['--enable-source-maps', main], {
      cwd: this.#options.folder,
      env: { PATH, HOME, PORT: '0', DATABASE_URL: url.href, SIGNALBOX_ROOT_KEY: rootKey, LOG_LEVEL: 'warn' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    keeper.watch(child);
    this.#child = child;
    child.stderr.pipe(this.#log, { end: false });
    child.once('exit', (code, signal) => {
      this.#log.write(`${new Date().toISOString()} ${this.name} ended: ${signal ?? code}\n`);
      if (this.#child !== child) return;
      this.#port = null;
      this.#standing = 'down';
    });
    this.#port = await listening(child);
    if (this.#port !== null) this.#standing = 'up';
    return this.#port !== null;
  }

  /** SIGKILL, also of one that is paused. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#port = null;
    this.#standing = 'down';
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  pause(): void {
    if (this.#standing !== 'up') return;
    this.#child?.kill('SIGSTOP');
    this.#standing = 'paused';
  }

  resume(): void {
    if (this.#standing !== 'paused') return;
    this.#child?.kill('SIGCONT');
    this.#standing = 'up';
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.kill();
    this.#log.end();
  }
}

/** The port of its banner; null when it ends before that. */
function listening(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => {
    let said = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      const port = /URL +http:\/\/127\.0\.0\.1:(\d+)/.exec(said)?.[1];
      if (port !== undefined) resolve(Number(port));
    });
    child.once('error', () => resolve(null));
    child.once('exit', () => resolve(null));
  });
}
