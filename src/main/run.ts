import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pino } from 'pino';
import { type Config, readConfig, secretsOf } from '../platform/config.ts';
import { createLogger, type Logger } from '../platform/logger.ts';
import { PACKAGE_ROOT } from '../platform/package-root.ts';
import { banner } from './banner.ts';
import { describeFailure } from './failure.ts';
import { startServer } from './server.ts';
import { Teardown } from './teardown.ts';

/** For all of a stop: the drain, the connections, the database, telemetry. */
const STOP_DEADLINE_MS = 20_000;
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * The process from its first line to its last: starts the server, prints where it is, waits to be told to stop, stops.
 * @returns the exit code: 0 after a stop that was asked for, 1 after any failure.
 */
export async function run(): Promise<number> {
  const config = configOrNull();
  if (config === null) return 1;
  // The banner owns standard output; the log goes beside it. Synchronous, so that the last line is never lost.
  const log = createLogger(
    { level: config.logLevel, secrets: secretsOf(config) },
    pino.destination({ dest: 2, sync: true }),
  );
  for (const warning of config.warnings) log.warn(warning);
  const stop = onStop(log);
  const teardown = new Teardown((error, name) => log.error({ err: error }, `stopping failed: ${name}`));
  let isFailed = false;
  try {
    const { version } = JSON.parse(readFileSync(path.join(PACKAGE_ROOT, 'package.json'), 'utf8')) as {
      version: string;
    };
    const started = await startServer({ config, env: process.env, version, log, teardown, stopping: stop.signal });
    process.stdout.write(banner(started));
    await stop.asked;
  } catch (error) {
    if (!stop.signal.aborted) {
      isFailed = true;
      report(error, log);
    }
    stop.ask();
  }
  const isClean = await teardown.run();
  log.info('stopped');
  return isFailed || stop.isCrash() || !isClean ? 1 : 0;
}

/** Null after a line about what is wrong. */
function configOrNull(): Config | null {
  try {
    return readConfig(process.env);
  } catch (error) {
    process.stderr.write(`signalbox: ${describeFailure(error).line}\n`);
    return null;
  }
}

function report(error: unknown, log: Logger): void {
  const { line, isExpected } = describeFailure(error);
  if (!isExpected) log.fatal({ err: error }, 'the server could not start');
  process.stderr.write(`signalbox: ${line}\n`);
}

interface Stop {
  readonly signal: AbortSignal;
  /** Resolves when somebody asks. */
  readonly asked: Promise<void>;
  readonly ask: () => void;
  /** Whether it was a mistake of ours that asked. */
  readonly isCrash: () => boolean;
}

/**
 * Listens for whatever ends the process: a signal, or an error that nobody caught, after which no state in memory can
 * be trusted, while the database can still be stopped in order. Asking again changes nothing: Ctrl-C arrives twice,
 * from the terminal and from npm. From the first time on, the deadline runs.
 */
function onStop(log: Logger): Stop {
  const stopping = new AbortController();
  let crashed = false;
  const ask = (): void => {
    if (stopping.signal.aborted) return;
    stopping.abort(new Error('the server was asked to stop'));
    setTimeout(() => {
      log.fatal({ deadlineMs: STOP_DEADLINE_MS }, 'did not stop in time');
      process.exit(1);
    }, STOP_DEADLINE_MS).unref();
  };
  const asked = new Promise<void>((resolve) => stopping.signal.addEventListener('abort', () => resolve()));
  for (const name of STOP_SIGNALS) {
    process.on(name, () => {
      if (!stopping.signal.aborted) log.info({ signal: name }, 'stopping: no new requests, those under way finish');
      ask();
    });
  }
  const crash = (error: unknown): void => {
    log.fatal({ err: error }, 'an error that nobody caught: stopping');
    crashed = true;
    ask();
  };
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
  // Whoever read our output may go; that is no reason to stop serving.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  return { signal: stopping.signal, asked, ask, isCrash: () => crashed };
}
