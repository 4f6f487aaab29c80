import type { Random } from '../random.ts';

/** What is fought over: repos, and in each of them files, patterns and named resources. */
export const REPOS: readonly string[] = ['acme/shop', 'acme/site'];

const sources = ['src/a.ts', 'src/b.ts', 'src/c.ts', 'src/d.ts'];
const api = ['src/api/x.ts', 'src/api/y.ts', 'src/api/notes.md'];
const docs = ['docs/a.md', 'docs/b.md', 'docs/map.png'];
const lib = ['lib/one.go', 'lib/two.go', 'lib/notes.md'];

/** Every literal path that is fought over. */
export const PATHS: readonly string[] = [...sources, 'src/notes.md', ...api, ...docs, ...lib, 'README.md'];

/**
 * Every pattern that is ever asked for, with those of PATHS that it matches: written down here, not computed, so that
 * the checker does not believe the code that it checks. Any two that overlap at all do so in one of PATHS.
 */
export const PATTERNS: Readonly<Record<string, readonly string[]>> = {
  'src/**': [...sources, 'src/notes.md', ...api],
  'src/*.ts': sources,
  'src/api/': api,
  '**/*.md': ['src/notes.md', 'src/api/notes.md', 'docs/a.md', 'docs/b.md', 'lib/notes.md', 'README.md'],
  'docs/': docs,
  '{src,lib}/*': [...sources, 'src/notes.md', ...lib],
};

export const RESOURCES: readonly string[] = ['port:5432', 'port:8080', 'migration:next'];

export interface Wish {
  readonly repo: string;
  readonly paths: readonly string[];
  readonly patterns: readonly string[];
  readonly resources: readonly string[];
}

/** What a wish or a lease touches, as names that are the same exactly where it is the same thing. */
export function touched({ repo, paths, patterns, resources }: Wish): string[] {
  const literal = [...paths, ...patterns.flatMap((pattern) => PATTERNS[pattern] ?? [`unknown pattern ${pattern}`])];
  return [...new Set([...literal.map((path) => `${repo} ${path}`), ...resources.map((name) => `${repo} #${name}`)])];
}

/** What everybody wants at once: who is first there, races show. */
const HOT_SPOT = { repo: 'acme/shop', paths: ['src/a.ts'], patterns: [], resources: [] };

/** Paths that no pattern matches, so many that hardly anybody is in anybody's way. */
export const QUIET: readonly string[] = Array.from({ length: 40 }, (_, index) => `quiet/${index + 1}.txt`);

export function quietWish(random: Random): Wish {
  return { repo: random.pick(REPOS), paths: [random.pick(QUIET)], patterns: [], resources: [] };
}

const SHAPES = { hot: 2, file: 4, files: 3, pattern: 2, both: 1, resource: 1 };

export function randomWish(random: Random): Wish {
  const shape = random.weighted(SHAPES);
  if (shape === 'hot') return HOT_SPOT;
  const repo = random.pick(REPOS);
  const wish = { repo, paths: [] as string[], patterns: [] as string[], resources: [] as string[] };
  if (shape === 'resource') return { ...wish, resources: [random.pick(RESOURCES)] };
  if (shape !== 'pattern') wish.paths.push(random.pick(PATHS));
  if (shape === 'files') wish.paths.push(...random.shuffled(PATHS).slice(0, random.between(1, 3)));
  if (shape === 'pattern' || shape === 'both') wish.patterns.push(random.pick(Object.keys(PATTERNS)));
  return { ...wish, paths: [...new Set(wish.paths)] };
}
