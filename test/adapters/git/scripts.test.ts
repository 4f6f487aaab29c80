import { execFile } from 'node:child_process';
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { HOOKS } from './checkout.ts';

const scripts = path.join(HOOKS, 'signalbox');
const root = path.resolve(HOOKS, '../../../..');

describe('the scripts', () => {
  it('are sound in types', async () => {
    const tsc = path.join(root, 'node_modules', '.bin', 'tsc');
    const { stdout } = await promisify(execFile)(tsc, ['-p', path.join(HOOKS, '..')], { cwd: root });
    expect(stdout.trim()).toBe('');
  });

  it('can be copied as they are: they import each other and Node, and git may execute them', async () => {
    for (const name of (await readdir(scripts)).filter((file) => file.endsWith('.mjs'))) {
      const source = await readFile(path.join(scripts, name), 'utf8');
      const imported = [...source.matchAll(/^(?:import|export)\b[^;]*?from '([^']+)';$/gm)].map((match) => match[1]);
      for (const specifier of imported) expect(specifier, name).toMatch(/^(node:|\.\/[\w-]+\.mjs$)/);
    }
    for (const hook of ['post-commit', 'pre-push', 'pre-receive']) {
      expect((await stat(path.join(HOOKS, hook))).mode & 0o111, hook).toBe(0o111);
    }
  });

  it.each([
    ['https://github.com/acme/shop.git', 'acme/shop'],
    ['https://token@forge.example:8443/group/deep/shop/', 'group/deep/shop'],
    ['git@github.com:acme/shop.git', 'acme/shop'],
    ['ssh://git@forge.example:22/acme/shop', 'acme/shop'],
    ['forge:acme/shop', 'acme/shop'],
    ['/srv/git/acme/shop.git', 'acme/shop'],
    ['file:///srv/git/acme/shop.git', 'acme/shop'],
    ['C:\\git\\acme\\shop', 'acme/shop'],
    ['../shop', null],
    ['shop', null],
    ['https://forge.example/shop.git', null],
    ['https://forge.example/a b/shop', null],
  ])('take %s for the repo %s', async (remote, repo) => {
    const config = (await import(pathToFileURL(path.join(scripts, 'config.mjs')).href)) as {
      repoOf(remote: string): string | null;
    };
    expect(config.repoOf(remote)).toBe(repo);
  });
});
