import { describe, expect, it } from 'vitest';
import { repoOfRemote } from '../../../src/adapters/cli/repo-name.ts';

describe('the repo that a remote names', () => {
  it.each([
    ['git@github.com:acme/shop.git', 'acme/shop'],
    ['git@github.com:acme/shop', 'acme/shop'],
    ['git@github.com:/acme/shop.git', 'acme/shop'],
    ['github.com:acme/shop.git', 'acme/shop'],
    ['git@github-work:acme/shop.git', 'acme/shop'],
    ['git@[::1]:acme/shop.git', 'acme/shop'],
    ['https://github.com/acme/shop.git', 'acme/shop'],
    ['https://github.com/acme/shop/', 'acme/shop'],
    ['https://user:token@github.com/acme/shop', 'acme/shop'],
    ['https://gitlab.example.com:8443/group/sub/shop.git', 'group/sub/shop'],
    ['ssh://git@ssh.github.com:443/acme/shop.git', 'acme/shop'],
    ['git+ssh://git@github.com/acme/shop.git', 'acme/shop'],
    ['git://git.example.com/acme/shop.git\n', 'acme/shop'],
    ['https://github.com/acme/shop.js.git', 'acme/shop.js'],
  ])('%s', (remote, repo) => {
    expect(repoOfRemote(remote)).toBe(repo);
  });

  it.each([
    '/srv/git/acme/shop.git',
    '../acme/shop',
    './a:b/c',
    'file:///srv/git/acme/shop.git',
    'C:/code/acme/shop',
    'https://github.com/shop.git',
    'https://github.com/',
    'git@github.com:shop.git',
    'git@github.com:~acme/shop.git',
    'https://github.com/acme/a%20shop',
    'git@github.com:acme/..',
    'https://',
    '',
  ])('none: %s', (remote) => {
    expect(repoOfRemote(remote)).toBeNull();
  });
});
