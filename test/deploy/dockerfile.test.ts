import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../support/server.ts';
import { fileText, instructionsOf, ROOT, stagesOf } from './files.ts';

const instructions = instructionsOf(fileText('deploy/Dockerfile'));
const stages = stagesOf(instructions);
const last = stages.at(-1)!;
const all = (name: string, among = instructions) => among.filter((one) => one.name === name).map(({ rest }) => rest);
const one = (name: string) => {
  const found = all(name, last);
  expect(found).toHaveLength(1);
  return found[0]!;
};

/** What the build context holds, as .dockerignore says: it lets nothing through but what it names. */
const [everything, ...admitted] = fileText('.dockerignore')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'));

describe('the image', () => {
  it('runs as nobody in particular, by number, and nothing takes that back', () => {
    expect(one('USER')).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    const after = last.slice(last.findIndex(({ name }) => name === 'USER')).map(({ name }) => name);
    expect(after).not.toContain('RUN');
    expect(after).not.toContain('COPY');
  });

  it('is given no secret when it is built', () => {
    const given = [...all('ARG'), ...all('ENV'), ...all('LABEL')].join('\n');
    expect(given).not.toMatch(/password|secret|token|key|database_url|sbx_/i);
    expect(all('ADD')).toEqual([]);
    expect(all('RUN').join('\n')).not.toMatch(/\$\{?\w+|curl|wget/);
  });

  it('stands on a base of a stated version, and on the lock file', () => {
    const [version] = all('ARG').map((rest) => /^NODE=node:(\d+\.\d+)-[a-z-]+$/.exec(rest)?.[1]);
    expect(version).toBe('20.20');
    expect(new Set(all('FROM').map((rest) => rest.split(' ')[0]))).toEqual(new Set(['${NODE}']));
    expect(all('RUN').filter((command) => command.includes('npm ci'))).toHaveLength(2);
    expect(all('RUN').join('\n')).not.toMatch(/npm (i|install)\b/);
  });

  it('has only what runs: no development dependency, no build of another stage but dist', () => {
    const copied = all('COPY', last).filter((rest) => rest.startsWith('--from='));
    expect(copied).toEqual(['--from=dependencies /app/node_modules node_modules', '--from=build /app/dist dist']);
    const dependencies = stages.find(([from]) => from!.rest.endsWith(' AS dependencies'))!;
    expect(all('RUN', dependencies)).toEqual([expect.stringContaining('--omit=dev --omit=optional')]);
  });

  it('starts what the build makes, to be ended by a signal that reaches it', () => {
    const command = JSON.parse(one('CMD')) as string[];
    expect(command[0]).toBe('node');
    const entry = command.at(-1)!;
    expect(existsSync(join(ROOT, entry.replace(/^dist\/(.*)\.js$/, 'src/$1.ts')))).toBe(true);
    expect(one('STOPSIGNAL')).toBe('SIGTERM');
    expect(all('ENTRYPOINT')).toEqual([]);
  });

  it('copies what is there and what .dockerignore lets through, and nothing else gets that far', () => {
    expect(everything).toBe('*');
    const names = admitted.map((line) => line.replace(/^!/, ''));
    expect(admitted.every((line) => line.startsWith('!'))).toBe(true);
    const sources = all('COPY')
      .filter((rest) => !rest.startsWith('--from='))
      .flatMap((rest) => rest.split(' ').slice(0, -1));
    expect(new Set(names)).toEqual(new Set(sources));
    for (const name of names) expect(existsSync(join(ROOT, name))).toBe(true);
  });
});

describe('the health check', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer();
  });
  afterAll(() => server.close());

  /** The exit code of the command as Docker would run it. */
  async function check(port: number): Promise<number> {
    const [program, ...args] = JSON.parse(/CMD (\[.*\])$/.exec(one('HEALTHCHECK'))![1]!) as string[];
    const env = { PATH: process.env['PATH'], PORT: String(port) };
    const done = promisify(execFile)(program!, args, { env, timeout: 10_000 });
    return done.then(
      () => 0,
      (error: unknown) => (error as { code: number }).code,
    );
  }

  it('is well with a server that is ready', async () => {
    expect(await check(Number(new URL(server.url).port))).toBe(0);
  });

  it('is not with one that is not, or with none', async () => {
    const busy = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.end('HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n'));
    });
    await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve));
    const { port } = busy.address() as { port: number };
    expect(await check(port)).toBe(1);
    await new Promise((resolve) => busy.close(resolve));
    expect(await check(port)).toBe(1);
  });
});
