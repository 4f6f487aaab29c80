import { mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { mayPass, parsePasswd } from '../../../src/platform/database/embedded/account.ts';
import { classify, parsePidFile, removeStalePidFile } from '../../../src/platform/database/embedded/postmaster.ts';
import { boundLog } from '../../../src/platform/database/embedded/server-log.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'signalbox-parts-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test('a pid file is read as far as it has been written', () => {
  const whole = '123\n/data\n1700000000\n5555\n\n127.0.0.1\n  1234  5\nready   \n';
  expect(parsePidFile(whole)).toEqual({ pid: 123, port: 5555, status: 'ready' });
  expect(parsePidFile('123\n/data\n1700000000\n')).toEqual({ pid: 123, port: null, status: null });
  for (const broken of ['', '\n', 'x\n', '-5\n']) expect(parsePidFile(broken)).toBeNull();
});

test('a pid file that is not the stale one any more stays', async () => {
  const file = path.join(directory, 'postmaster.pid');
  const stale = { pid: 11, port: null, status: null };
  await writeFile(file, '22\n/data\n');
  await removeStalePidFile(directory, stale);
  expect(await readFile(file, 'utf8')).toBe('22\n/data\n');
  await writeFile(file, '11\n/data\n');
  await removeStalePidFile(directory, stale);
  await expect(stat(file)).rejects.toMatchObject({ code: 'ENOENT' });
  await removeStalePidFile(directory, stale);
});

test.each([
  ['FATAL:  lock file "postmaster.pid" already exists', { outcome: 'occupied' }],
  ['FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use', { outcome: 'remnants' }],
  ['LOG:  could not bind IPv4 address\nFATAL:  could not create any TCP/IP sockets', { outcome: 'port-taken' }],
  ['2026 UTC [1] LOG:  x\n2026 UTC [1] FATAL:  no space\nDETAIL:  y\n', { outcome: 'failed', reason: 'no space' }],
  ['cannot load libfoo.so\n', { outcome: 'failed', reason: 'cannot load libfoo.so' }],
  ['', { outcome: 'failed', reason: 'it ended without a word' }],
])('what a postmaster that gave up said: %j', (log, expected) => {
  expect(classify(log)).toEqual(expected);
});

test('who may pass is decided by the first class that fits, as the system does', () => {
  const account = { uid: 5, gid: 6 };
  expect(mayPass({ uid: 5, gid: 6, mode: 0o40077 }, account)).toBe(false);
  expect(mayPass({ uid: 5, gid: 1, mode: 0o40100 }, account)).toBe(true);
  expect(mayPass({ uid: 0, gid: 6, mode: 0o40701 }, account)).toBe(false);
  expect(mayPass({ uid: 0, gid: 6, mode: 0o40710 }, account)).toBe(true);
  expect(mayPass({ uid: 0, gid: 0, mode: 0o40700 }, account)).toBe(false);
  expect(mayPass({ uid: 0, gid: 0, mode: 0o40701 }, account)).toBe(true);
});

test('accounts by name, whatever else stands in the file', () => {
  const accounts = parsePasswd('root:x:0:0:root:/root:/bin/sh\n# x\n+::::::\nnobody:x:65534:65533:n:/:/bin/false\n');
  expect([...accounts]).toEqual([
    ['root', { uid: 0, gid: 0 }],
    ['nobody', { uid: 65_534, gid: 65_533 }],
  ]);
});

test('the log is bounded while it is being written to', async () => {
  const file = path.join(directory, 'server.log');
  const writer = await open(file, 'a');
  try {
    await writer.write('a'.repeat(100));
    await boundLog(file, 100);
    expect((await stat(file)).size).toBe(100);
    await writer.write('b');
    await boundLog(file, 100);
    await writer.write('c');
    expect(await readFile(file, 'utf8')).toBe('c');
    expect((await stat(`${file}.1`)).size).toBe(101);
  } finally {
    await writer.close();
  }
  await boundLog(path.join(directory, 'missing.log'));
});
