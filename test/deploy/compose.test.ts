import { existsSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { temporaryFolder } from '../../faults/rig/folder.ts';
import { readConfig } from '../../src/platform/config.ts';
import { startEmbeddedPostgres } from '../../src/platform/database/embedded.ts';
import { type Running, start } from '../main/process.ts';
import { withClient } from '../support/database.ts';
import { fileText, ROOT } from './files.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 90_000 });

const service = z.strictObject({
  image: z.string(),
  build: z.strictObject({ context: z.string(), dockerfile: z.string() }).optional(),
  environment: z.record(z.string(), z.string()),
  ports: z.array(z.string()).default([]),
  networks: z.array(z.string()),
  depends_on: z.record(z.string(), z.strictObject({ condition: z.string() })).optional(),
  volumes: z.array(z.string()).default([]),
  healthcheck: z.looseObject({ test: z.array(z.string()) }).optional(),
  read_only: z.boolean().default(false),
  tmpfs: z.array(z.string()).default([]),
  cap_drop: z.array(z.string()).default([]),
  security_opt: z.array(z.string()).default([]),
  shm_size: z.string().optional(),
  stop_grace_period: z.string(),
  restart: z.string(),
});
const compose = z
  .strictObject({
    name: z.string(),
    services: z.strictObject({ server: service, postgres: service }),
    networks: z.record(z.string(), z.strictObject({ internal: z.boolean().optional() })),
    volumes: z.record(z.string(), z.strictObject({})),
  })
  .parse(parse(fileText('deploy/compose.yaml')));
const { server, postgres } = compose.services;
const both = [server, postgres];

/** Compose's own substitution, as far as the file uses it. */
function substitute(text: string, env: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\{(\w+)(?:(:[?-])([^}]*))?\}/g, (_all, name: string, kind: string, rest: string) => {
    if (env[name]) return env[name];
    if (kind === ':-') return rest;
    throw new Error(`${name} ${rest}`);
  });
}

const SECRETS = {
  POSTGRES_PASSWORD: 'a'.repeat(64),
  SIGNALBOX_DATABASE_PASSWORD: 'b'.repeat(64),
  SIGNALBOX_ROOT_KEY: 'c'.repeat(64),
};

describe('compose.yaml', () => {
  it('holds no secret, and starts nothing without one', () => {
    for (const { environment } of both) {
      for (const [name, value] of Object.entries(environment)) {
        if (!/PASSWORD|KEY|SECRET|TOKEN|DATABASE_URL/.test(name)) continue;
        expect(value).toMatch(/\$\{\w+:\?[^}]+\}/);
        // Nothing but the login's name and where the database is stands beside it.
        expect(value.replace(/\$\{\w+:\?[^}]+\}/, '')).toMatch(/^(postgres:\/\/signalbox:@postgres:5432\/signalbox)?$/);
      }
    }
    for (const missing of Object.keys(SECRETS) as (keyof typeof SECRETS)[]) {
      const { [missing]: _left, ...others } = SECRETS;
      const values = both.flatMap(({ environment }) => Object.values(environment));
      expect(() => values.map((value) => substitute(value, others))).toThrow(`${missing} is unset`);
    }
    expect(fileText('deploy/.gitignore').split('\n')).toContain('.env');
  });

  it('says how to make every secret that it asks for', () => {
    const [, told = ''] = /for name in ([A-Z_ ]+); do/.exec(fileText('deploy/compose.yaml')) ?? [];
    const asked = [...fileText('deploy/compose.yaml').matchAll(/\$\{(\w+):\?/g)].map(([, name]) => name);
    expect(new Set(told.split(' '))).toEqual(new Set(asked));
  });

  it('gives the server a configuration that it accepts', () => {
    const given = Object.entries(server.environment).map(([name, value]) => [name, substitute(value, SECRETS)]);
    const config = readConfig(Object.fromEntries(given) as Record<string, string>);
    expect(config).toMatchObject({ host: '0.0.0.0', port: 7317, rootKey: SECRETS.SIGNALBOX_ROOT_KEY });
    expect(config.databaseUrl).toContain(`:${SECRETS.SIGNALBOX_DATABASE_PASSWORD}@postgres:`);
  });

  it('is reached from this machine only, and PostgreSQL not even from there', () => {
    expect(server.ports).toEqual(['127.0.0.1:7317:7317']);
    expect(postgres.ports).toEqual([]);
    expect(postgres.networks).toEqual(['database']);
    expect(compose.networks['database']).toEqual({ internal: true });
    for (const network of both.flatMap(({ networks }) => networks)) expect(compose.networks).toHaveProperty(network);
  });

  it('knows of each whether it is well, and starts the server on a database that is', () => {
    expect(postgres.healthcheck?.test.slice(0, 2)).toEqual(['CMD', 'pg_isready']);
    expect(server.depends_on).toEqual({ postgres: { condition: 'service_healthy' } });
    // The image's own; the file must not put it off.
    expect(server.healthcheck).toBeUndefined();
    expect(fileText('deploy/Dockerfile')).toMatch(/^HEALTHCHECK /m);
  });

  it('gives nobody more than they need, and time to stop', () => {
    expect(server).toMatchObject({ read_only: true, cap_drop: ['ALL'], stop_grace_period: '30s' });
    for (const { security_opt } of both) expect(security_opt).toEqual(['no-new-privileges:true']);
    expect(postgres.image).toBe('postgres:18');
    // Where the image of 18 keeps its data, a folder for each major version: mounted deeper, they would be lost.
    expect(postgres.volumes).toContain('data:/var/lib/postgresql');
  });

  it('names files that are there', () => {
    const { context, dockerfile } = server.build!;
    expect(existsSync(join(ROOT, 'deploy', context, dockerfile))).toBe(true);
    const mounted = postgres.volumes.map((volume) => volume.split(':')[0]!).filter((source) => source.startsWith('.'));
    expect(mounted).toHaveLength(1);
    for (const file of mounted) expect(existsSync(join(ROOT, 'deploy', file))).toBe(true);
  });
});

describe('the login that the server gets', () => {
  const launched: Running[] = [];
  const cleanUp: (() => Promise<void>)[] = [];
  afterAll(async () => {
    for (const running of launched) running.signal('SIGKILL');
    await Promise.all(launched.map(({ exited }) => exited));
    for (const step of cleanUp.toReversed()) await step();
  });

  it('is enough for it on a new cluster, and no superuser', async () => {
    const folder = await temporaryFolder();
    cleanUp.push(() => folder.remove());
    const log = { info: () => {}, warn: () => {} };
    const cluster = await startEmbeddedPostgres({ dataDir: join(folder.path, 'data'), log, durable: false });
    cleanUp.push(() => cluster.stop());
    // Login and database go by other names here: the embedded cluster's superuser has this one.
    const statements = /<<'SQL'\n\\getenv .*\n([^]*)\nSQL\n/.exec(fileText('deploy/postgres-init.sh'))![1]!;
    const password = pg.escapeLiteral(SECRETS.SIGNALBOX_DATABASE_PASSWORD);
    for (const statement of statements.split('\n')) {
      const sql = statement.replaceAll('signalbox', 'the_server').replace(":'password'", password);
      await withClient(cluster.url, (client) => client.query(sql));
    }
    const url = new URL(cluster.url);
    Object.assign(url, {
      username: 'the_server',
      password: SECRETS.SIGNALBOX_DATABASE_PASSWORD,
      pathname: '/the_server',
    });
    const running = await start({ DATABASE_URL: url.href, SIGNALBOX_ROOT_KEY: SECRETS.SIGNALBOX_ROOT_KEY });
    launched.push(running);
    expect((await fetch(`${running.url}/readyz`)).status).toBe(200);
    const { rows } = await withClient(url.href, (client) =>
      client.query("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname IN ('the_server', 'signalbox_app')"),
    );
    expect(rows).toEqual([
      { rolsuper: false, rolbypassrls: false },
      { rolsuper: false, rolbypassrls: false },
    ]);
    running.signal('SIGTERM');
    expect(await running.exited).toEqual({ code: 0, signal: null });
  });
});
