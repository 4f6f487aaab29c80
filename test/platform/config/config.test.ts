import { describe, expect, it } from 'vitest';
import { ConfigurationError, DEFAULT_PORT, isLoopback, readConfig, secretsOf } from '../../../src/platform/config.ts';

const ROOT_KEY = 'root-key-0123456789-0123456789-abc';

function refused(env: NodeJS.ProcessEnv): ConfigurationError {
  try {
    readConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    return error as ConfigurationError;
  }
  throw new Error(`accepted ${JSON.stringify(env)}`);
}

describe('readConfig', () => {
  it('needs nothing set', () => {
    expect(readConfig({}, '/srv/box')).toEqual({
      host: '127.0.0.1',
      port: DEFAULT_PORT,
      publicUrl: undefined,
      databaseUrl: undefined,
      migrateDatabaseUrl: undefined,
      dataDirectory: '/srv/box/.signalbox',
      rootKey: undefined,
      logLevel: 'info',
      otlpEndpoint: undefined,
      warnings: [],
    });
  });

  it('reads every variable', () => {
    const config = readConfig(
      {
        PORT: '0',
        HOST: '::1',
        SIGNALBOX_PUBLIC_URL: 'https://box.example.com/base/',
        DATABASE_URL: 'postgres://app:s3cret@db:5432/signalbox',
        MIGRATE_DATABASE_URL: 'postgresql://owner:0wner@db/signalbox',
        SIGNALBOX_DATA_DIR: 'data',
        SIGNALBOX_ROOT_KEY: ROOT_KEY,
        LOG_LEVEL: 'DEBUG',
        OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318',
      },
      '/srv',
    );
    expect(config).toMatchObject({
      port: 0,
      host: '::1',
      publicUrl: 'https://box.example.com/base',
      dataDirectory: '/srv/data',
      rootKey: ROOT_KEY,
      logLevel: 'debug',
      otlpEndpoint: 'http://collector:4318',
    });
  });

  it('cannot be changed afterwards', () => {
    const config = readConfig({});
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.warnings)).toBe(true);
  });

  it.each([
    ['PORT', '70000', 'PORT is "70000": expected a whole number from 0 to 65535'],
    ['PORT', '0x50', 'PORT is "0x50": expected a whole number from 0 to 65535'],
    ['PORT', '-1', 'PORT is "-1": expected a whole number from 0 to 65535'],
    ['PORT', '80.5', 'PORT is "80.5": expected a whole number from 0 to 65535'],
    ['HOST', '[::1]', 'HOST is "[::1]": expected an IP address or a host name, without a port or brackets'],
    [
      'HOST',
      'localhost:80',
      'HOST is "localhost:80": expected an IP address or a host name, without a port or brackets',
    ],
    ['LOG_LEVEL', 'loud', 'LOG_LEVEL is "loud": expected one of fatal, error, warn, info, debug, trace, silent'],
    [
      'SIGNALBOX_PUBLIC_URL',
      'box.example.com',
      'SIGNALBOX_PUBLIC_URL is "box.example.com": expected an http or https URL without credentials, query or fragment',
    ],
  ])('refuses %s=%s in one line', (name, value, message) => {
    expect(refused({ [name]: value }).message).toBe(message);
  });

  it.each([
    'PORT',
    'HOST',
    'DATABASE_URL',
    'MIGRATE_DATABASE_URL',
    'SIGNALBOX_DATA_DIR',
    'SIGNALBOX_ROOT_KEY',
    'LOG_LEVEL',
  ])('refuses an empty %s rather than fall back to a default', (name) => {
    expect(refused({ [name]: '' }).message).toBe(`${name} is empty: expected a value, or the variable unset`);
    expect(refused({ [name]: ' \n' }).message).toContain('expected a value');
  });

  it('takes an empty OTEL variable for unset, as OpenTelemetry does', () => {
    expect(readConfig({ OTEL_EXPORTER_OTLP_ENDPOINT: '' }).otlpEndpoint).toBeUndefined();
  });

  it.each([
    'mysql://root:hunter22@db/x',
    'hunter22',
    'postgres://app:hunter22#x@db/signalbox',
    'postgres://app:hunter22@db:notaport/signalbox',
    'postgres://app:hunter22@db',
    ' postgres://app:hunter22@db/signalbox',
  ])('refuses a database URL without repeating it: %s', (url) => {
    for (const name of ['DATABASE_URL', 'MIGRATE_DATABASE_URL']) {
      const { message, variables } = refused({ DATABASE_URL: 'postgres://a@b/c', [name]: url });
      expect(variables).toEqual([name]);
      expect(message).toMatch(/^(MIGRATE_)?DATABASE_URL is a value of \d+ characters, not shown: expected /);
      expect(message).not.toContain('hunter22');
    }
  });

  it.each(['too-short', `${ROOT_KEY}\n`, `${ROOT_KEY} with spaces`, `${ROOT_KEY}ü`])(
    'refuses a root key that is short or cannot travel in a header, without repeating it: %j',
    (key) => {
      const { message } = refused({ SIGNALBOX_ROOT_KEY: key });
      expect(message).toMatch(/^SIGNALBOX_ROOT_KEY is a value of \d+ characters, not shown: expected /);
      expect(message).not.toContain(key.trim());
      expect(message).not.toContain('\n');
    },
  );

  it('names every wrong variable in one line', () => {
    const error = refused({ PORT: 'x', LOG_LEVEL: 'y' });
    expect(error.variables).toEqual(['PORT', 'LOG_LEVEL']);
    expect(error.message).toContain('(also wrong: LOG_LEVEL)');
    expect(error.message).not.toContain('\n');
  });

  it('accepts a database behind a socket', () => {
    const url = 'postgresql:///signalbox?host=/var/run/postgresql&user=app';
    expect(readConfig({ DATABASE_URL: url }).databaseUrl).toBe(url);
  });

  it('refuses a migration login for a database that nobody named', () => {
    expect(refused({ MIGRATE_DATABASE_URL: 'postgres://o:pw@db/x' }).message).toMatch(/without DATABASE_URL/);
  });

  it('warns when other machines can reach plain HTTP or the embedded database', () => {
    expect(readConfig({ HOST: '127.0.0.2' }).warnings).toEqual([]);
    expect(readConfig({ HOST: '0.0.0.0' }).warnings).toHaveLength(2);
    const served = { HOST: '0.0.0.0', DATABASE_URL: 'postgres://a:pw@b/c', SIGNALBOX_PUBLIC_URL: 'https://x.example' };
    expect(readConfig(served).warnings).toEqual([]);
  });
});

describe('secretsOf', () => {
  it('lists passwords as spelt and decoded, and the root key', () => {
    const config = readConfig({
      DATABASE_URL: 'postgres://app:p%40ss@db/x',
      MIGRATE_DATABASE_URL: 'postgres:///x?host=/run&password=other',
      SIGNALBOX_ROOT_KEY: ROOT_KEY,
    });
    expect(secretsOf(config).toSorted()).toEqual(['other', 'p%40ss', 'p@ss', ROOT_KEY].toSorted());
    expect(secretsOf(readConfig({}))).toEqual([]);
  });
});

describe('isLoopback', () => {
  it.each(['localhost', '127.0.0.1', '127.9.9.9', '::1'])('%s stays on this machine', (host) => {
    expect(isLoopback(host)).toBe(true);
  });
  it.each(['0.0.0.0', '::', '10.0.0.1', '127.example.com', 'localhost.example.com'])('%s does not', (host) => {
    expect(isLoopback(host)).toBe(false);
  });
});
