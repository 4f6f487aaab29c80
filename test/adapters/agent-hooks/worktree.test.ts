import { describe, expect, it } from 'vitest';
import { whereaboutsOf } from '../../../src/adapters/agent-hooks/whereabouts.ts';
import {
  locate,
  locatePattern,
  type Root,
  readHeader,
  stripAgentWorktree,
  type Whereabouts,
} from '../../../src/adapters/agent-hooks/worktree.ts';

const at = (roots: readonly string[], more: Partial<Whereabouts> = {}): Whereabouts => ({
  roots,
  alias: null,
  ownDirectories: [],
  ...more,
});
const inShop = at(['/home/dev/shop']);
const latin1 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

describe('where a path lies', () => {
  it.each([
    ['/home/dev/shop/src/a.ts', { kind: 'repo', path: 'src/a.ts' }],
    ['/home/dev/shop/./src/../lib/a.ts', { kind: 'repo', path: 'lib/a.ts' }],
    ['/home/dev/shop', { kind: 'root' }],
    ['/home/dev/shop2/src/a.ts', { kind: 'unexplained' }],
    ['/home/dev/shop/../other/a.ts', { kind: 'unexplained' }],
    ['/home/dev/shop/.claude/settings.json', { kind: 'repo', path: '.claude/settings.json' }],
    ['/home/dev/shop/.claude/worktrees/x/src/a.ts', { kind: 'repo', path: 'src/a.ts' }],
    ['/home/dev/shop/.claude/worktrees/x/.claude/worktrees/y/src/a.ts', { kind: 'repo', path: 'src/a.ts' }],
    ['/anywhere/.claude/worktrees/x/src/a.ts', { kind: 'repo', path: 'src/a.ts' }],
    ['/home/dev/shop/.claude/worktrees/x', { kind: 'elsewhere' }],
    ['/home/dev/shop/.claude/worktrees/../../src/a.ts', { kind: 'repo', path: 'src/a.ts' }],
    ['/dev/null', { kind: 'elsewhere' }],
    ['/dev/sda', { kind: 'unexplained' }],
    ['/tmp/x', { kind: 'elsewhere' }],
    ['/tmpx/x', { kind: 'unexplained' }],
    ['/tmp/../etc/passwd', { kind: 'unexplained' }],
  ] as const)('%s', (path, place) => {
    expect(locate(path, inShop)).toEqual(place);
  });

  it('a checkout in the temporary directory: another path there may be another checkout, but for the scratch space', () => {
    const where = at(['/tmp/ci/shop']);
    expect(locate('/tmp/ci/shop/a.ts', where)).toEqual({ kind: 'repo', path: 'a.ts' });
    expect(locate('/tmp/ci/other/a.ts', where)).toEqual({ kind: 'unexplained' });
    expect(locate('/tmp/claude-1000/x/scratch.md', where)).toEqual({ kind: 'elsewhere' });
  });

  it('a checkout at the root of the file system', () => {
    expect(locate('/src/a.ts', at(['/']))).toEqual({ kind: 'repo', path: 'src/a.ts' });
    expect(locatePattern('/src/*.ts', at(['/']))).toBe('src/*.ts');
  });

  it('patterns, with what is special in the checkout’s own name', () => {
    const where = at(['/home/dev/[shop]']);
    expect(locatePattern('/home/dev/\\[shop\\]/src/*.ts', where)).toBe('src/*.ts');
    expect(locatePattern('/home/dev/s/src/*.ts', where)).toBeNull();
    expect(locatePattern('/home/*/src/a.ts', where)).toBeNull();
    expect(locatePattern('/x/.claude/worktrees/y/src/*.ts', where)).toBe('src/*.ts');
  });
});

describe('what a header says', () => {
  const cwds = ['/home/dev/Größe-日本'];
  it.each([
    ['the start directory', '/home/dev/shop', ['/home/dev/shop'], { root: '/home/dev/shop', alias: null }],
    ['a directory above', '/home/dev/shop', ['/home/dev/shop/src'], { root: '/home/dev/shop', alias: null }],
    ['a worktree of an agent', '/s/.claude/worktrees/x', ['/s/.claude/worktrees/x/src'], { root: '/s', alias: null }],
    ['UTF-8, from curl', latin1('/home/dev/Größe-日本'), cwds, { root: '/home/dev/Größe-日本', alias: null }],
    ['Latin-1, from the client', '/home/dev/Größe', ['/home/dev/Größe'], { root: '/home/dev/Größe', alias: null }],
    ['letters dropped: an end', '/home/dev/Größe-', cwds, { root: null, alias: null }],
    ['letters dropped: a slash at the end', '/home/dev/', ['/home/dev/日本'], { root: null, alias: null }],
    ['letters dropped: an empty segment', '/home//shop', ['/home/日本/shop'], { root: null, alias: null }],
    ['an unset variable', '', ['/home/dev/shop'], { root: null, alias: null }],
    ['no absolute path', 'shop', ['/home/dev/shop'], { root: null, alias: null }],
    ['a variable that was not filled in', '$PWD', ['/home/dev/shop'], { root: null, alias: null }],
    ['a directory below', '/home/dev/shop/src', ['/home/dev/shop'], { root: null, alias: null }],
    [
      'a link',
      '/home/dev/link',
      ['/home/dev/shop'],
      { root: null, alias: { from: '/home/dev/link', to: '/home/dev/shop' } },
    ],
    [
      'a link, further down',
      '/home/dev/link/src',
      ['/home/dev/shop/src'],
      { root: null, alias: { from: '/home/dev/link', to: '/home/dev/shop' } },
    ],
    ['nothing to compare it with', '/home/dev/shop', [], { root: null, alias: null }],
  ] as const)('%s', (_name, header, known, expected) => {
    expect(readHeader(header, known)).toEqual(expected);
  });
});

describe('which roots hold', () => {
  const sighted = (known: Record<string, Root>, change: Partial<Parameters<typeof whereaboutsOf>[0]> = {}) =>
    whereaboutsOf({
      agentId: '',
      cwd: '/home/dev/shop/src',
      firstCwd: '/home/dev/shop/src',
      header: '/home/dev/shop/src',
      ownDirectories: [],
      known: new Map(Object.entries(known)),
      ...change,
    });

  it('the surest alone where others lie in it or around it', () => {
    const reported: Root = { path: '/home/dev/shop', source: 'reported' };
    expect(sighted({ '': reported }).where.roots).toEqual(['/home/dev/shop']);
    expect(sighted({ '': reported }, { firstCwd: '/home', cwd: '/home', header: '' }).where.roots).toEqual([
      '/home/dev/shop',
    ]);
    expect(sighted({}).notes).toEqual([{ agentId: '', root: { path: '/home/dev/shop/src', source: 'header' } }]);
  });

  it('a surer one that is known is not replaced by the header', () => {
    const reported: Root = { path: '/home/dev/shop', source: 'reported' };
    expect(sighted({ '': reported }).notes).toEqual([{ agentId: '', root: reported }]);
  });

  it('nothing is known of a session that says nothing', () => {
    expect(sighted({}, { cwd: null, firstCwd: null, header: '' })).toEqual({
      where: { roots: [], alias: null, ownDirectories: [] },
      notes: [],
    });
  });
});

it('worktrees of agents are stripped down to their checkout', () => {
  expect(stripAgentWorktree('/home/dev/shop/.claude/worktrees/x/src')).toBe('/home/dev/shop');
  expect(stripAgentWorktree('/.claude/worktrees/x')).toBe('/');
  expect(stripAgentWorktree('/home/dev/shop')).toBe('/home/dev/shop');
});
