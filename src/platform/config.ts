import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { z } from 'zod';

/**
 * What the server reads from its environment, checked once at start. All fields are plain values. Of `process.env` only
 * telemetry has more (`OTEL_*`), and the embedded PostgreSQL, which is started with its PATH.
 */
export interface Config {
  /** Where the HTTP server listens. Port 0 asks the system for a free one. */
  readonly host: string;
  readonly port: number;
  /** How clients reach the server, without a trailing slash; unset when nobody said. */
  readonly publicUrl: string | undefined;
  /** Unset: the embedded PostgreSQL, with its data under `dataDirectory`. */
  readonly databaseUrl: string | undefined;
  /** The login that migrates, when it is another one than `databaseUrl`. */
  readonly migrateDatabaseUrl: string | undefined;
  /** Absolute. */
  readonly dataDirectory: string;
  readonly rootKey: string | undefined;
  readonly logLevel: LogLevel;
  /** The base URL of an OTLP collector; the SDK reads its headers and timeouts itself. */
  readonly otlpEndpoint: string | undefined;
  /** What a careful operator should hear once at start, a sentence each. Holds no secret. */
  readonly warnings: readonly string[];
}

export const DEFAULT_PORT = 7317;
const ROOT_KEY_MIN_CHARACTERS = 32;
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Thrown by `readConfig`. The message is one line, fit to be printed as it is: the variable, what it got, what is expected. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
  /** The environment variables that were refused, the first of them being the one in the message. */
  readonly variables: readonly string[];

  constructor(message: string, variables: readonly string[]) {
    super(message);
    this.variables = variables;
  }
}

/**
 * Reads and checks the environment.
 *
 * A variable of ours that is set but empty is refused: an empty `DATABASE_URL` is most often a secret that did not
 * arrive, and quietly starting on an empty embedded database is worse than not starting. Only `OTEL_*` follows
 * OpenTelemetry's rule, by which empty is unset.
 *
 * @throws ConfigurationError for the first variable that is wrong; it never repeats a password or a key.
 */
export function readConfig(env: NodeJS.ProcessEnv, workingDirectory = process.cwd()): Config {
  const parsed = environmentSchema.safeParse(withoutEmptyOtel(env));
  if (!parsed.success) throw refusal(parsed.error, env);
  const values = parsed.data;
  if (values.MIGRATE_DATABASE_URL !== undefined && values.DATABASE_URL === undefined) {
    throw new ConfigurationError(
      'MIGRATE_DATABASE_URL is set without DATABASE_URL: expected both, or neither for the embedded database',
      ['MIGRATE_DATABASE_URL', 'DATABASE_URL'],
    );
  }
  const config = {
    host: values.HOST,
    port: values.PORT,
    publicUrl: values.SIGNALBOX_PUBLIC_URL,
    databaseUrl: values.DATABASE_URL,
    migrateDatabaseUrl: values.MIGRATE_DATABASE_URL,
    dataDirectory: resolve(workingDirectory, values.SIGNALBOX_DATA_DIR),
    rootKey: values.SIGNALBOX_ROOT_KEY,
    logLevel: values.LOG_LEVEL,
    otlpEndpoint: values.OTEL_EXPORTER_OTLP_ENDPOINT,
  };
  return Object.freeze({ ...config, warnings: Object.freeze(warningsFor(config)) });
}

/** The literal secrets in a configuration, as they are and as a URL would spell them: the logger blanks them wherever they turn up. */
export function secretsOf(config: Pick<Config, 'databaseUrl' | 'migrateDatabaseUrl' | 'rootKey'>): string[] {
  const secrets = new Set<string>();
  if (config.rootKey !== undefined) secrets.add(config.rootKey);
  for (const text of [config.databaseUrl, config.migrateDatabaseUrl]) {
    if (text === undefined) continue;
    const url = new URL(text);
    for (const password of [url.password, url.searchParams.get('password') ?? '']) {
      if (password === '') continue;
      secrets.add(password);
      secrets.add(decodeOrKeep(password));
    }
  }
  return [...secrets];
}

/** True for the names and addresses that only this machine can reach. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

const SECRET_VARIABLES = new Set(['DATABASE_URL', 'MIGRATE_DATABASE_URL', 'SIGNALBOX_ROOT_KEY']);

const expected = (text: string) => ({ error: text });

/** Refuses the empty value first, with a sentence of its own. */
const text = () =>
  z
    .string()
    .refine((value) => value.trim() !== '', { error: 'expected a value, or the variable unset', abort: true })
    .refine((value) => value === value.trim(), { error: 'expected no white space at its start or end', abort: true });

const databaseUrl = text()
  .refine(
    isDatabaseUrl,
    expected(
      'expected postgres://user:password@host:port/database, with special characters in the password percent-encoded',
    ),
  )
  .optional();

const environmentSchema = z.object({
  PORT: text()
    .refine(
      (value) => /^\d{1,5}$/.test(value) && Number(value) <= 65_535,
      expected('expected a whole number from 0 to 65535'),
    )
    .transform(Number)
    .default(DEFAULT_PORT),
  HOST: text()
    .refine(isHost, expected('expected an IP address or a host name, without a port or brackets'))
    .default('127.0.0.1'),
  SIGNALBOX_PUBLIC_URL: text()
    .refine(isBaseUrl, expected('expected an http or https URL without credentials, query or fragment'))
    .transform((value) => value.replace(/\/+$/, ''))
    .optional(),
  DATABASE_URL: databaseUrl,
  MIGRATE_DATABASE_URL: databaseUrl,
  SIGNALBOX_DATA_DIR: text().default('.signalbox'),
  SIGNALBOX_ROOT_KEY: text()
    .refine(
      (value) => value.length >= ROOT_KEY_MIN_CHARACTERS,
      expected(`expected at least ${ROOT_KEY_MIN_CHARACTERS} characters`),
    )
    .refine(
      (value) => /^[\x21-\x7e]+$/.test(value),
      expected('expected printable ASCII without spaces, as it travels in a header'),
    )
    .optional(),
  LOG_LEVEL: text()
    .toLowerCase()
    .pipe(z.enum(LOG_LEVELS, expected(`expected one of ${LOG_LEVELS.join(', ')}`)))
    .default('info'),
  OTEL_EXPORTER_OTLP_ENDPOINT: text()
    .refine(isBaseUrl, expected('expected an http or https URL without credentials, query or fragment'))
    .optional(),
});

function isHost(value: string): boolean {
  return isIP(value) !== 0 || /^(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(value);
}

function isDatabaseUrl(value: string): boolean {
  // A raw # or ? in a password ends the authority early: the @ then stands in what reads as fragment or query.
  if (!URL.canParse(value) || !/^postgres(ql)?:\/\//.test(value)) return false;
  const url = new URL(value);
  const hasHost = url.hostname !== '' || url.searchParams.has('host');
  return hasHost && url.hash === '' && url.pathname.length > 1;
}

function isBaseUrl(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const url = new URL(value);
  return /^https?:$/.test(url.protocol) && !url.username && !url.password && !url.search && !url.hash;
}

function withoutEmptyOtel(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name, value]) => !(name.startsWith('OTEL_') && value?.trim() === '')),
  );
}

function refusal(error: z.ZodError, env: NodeJS.ProcessEnv): ConfigurationError {
  const variables = [...new Set(error.issues.map((issue) => String(issue.path[0])))];
  const first = error.issues[0]!;
  const name = String(first.path[0]);
  const others = variables.slice(1);
  const rest = others.length === 0 ? '' : ` (also wrong: ${others.join(', ')})`;
  return new ConfigurationError(`${name} is ${shown(name, env[name] ?? '')}: ${first.message}${rest}`, variables);
}

/** What a variable got, fit for a terminal: a secret only by its length, anything else quoted on one line and cut. */
function shown(name: string, value: string): string {
  if (value === '') return 'empty';
  const mayHoldSecret = SECRET_VARIABLES.has(name) || value.includes('@');
  if (mayHoldSecret) return `a value of ${value.length} characters, not shown`;
  return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
}

function warningsFor(config: Omit<Config, 'warnings'>): string[] {
  if (isLoopback(config.host)) return [];
  const warnings: string[] = [];
  if (!config.publicUrl?.startsWith('https:')) {
    warnings.push(
      `HOST ${config.host} serves plain HTTP to other machines, keys included: put TLS in front and set SIGNALBOX_PUBLIC_URL to its https address`,
    );
  }
  if (config.databaseUrl === undefined) {
    warnings.push(
      `HOST ${config.host} serves other machines from the embedded database in ${config.dataDirectory}: set DATABASE_URL to run on a PostgreSQL of your own`,
    );
  }
  return warnings;
}

function decodeOrKeep(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
