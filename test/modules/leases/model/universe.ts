/** Something that a request may want, with everything that it means spelled out by hand. */
export interface Claim {
  readonly kind: 'paths' | 'patterns' | 'resources';
  readonly text: string;
  /** All that it takes of the small world of the model: paths, and resources as `resource <name>`. */
  readonly points: readonly string[];
  /** Every path that it takes, of any world: a witness may lie outside the small one. */
  readonly accepts: RegExp;
}

const path = (text: string): Claim => ({ kind: 'paths', text, points: [text], accepts: exactly(text) });
const resource = (name: string): Claim => ({
  kind: 'resources',
  text: name,
  points: [`resource ${name}`],
  accepts: exactly(name),
});
const pattern = (text: string, accepts: RegExp, points: readonly string[]): Claim => ({
  kind: 'patterns',
  text,
  points,
  accepts,
});

function exactly(text: string): RegExp {
  return new RegExp(`^${text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)}$`);
}

/**
 * In the order in which an answer names them. Wherever two of them share any path at all, they share a point: that is
 * what makes comparing points as good as deciding overlap.
 */
export const MENU: readonly Claim[] = [
  path('src/a.ts'),
  path('src/b.ts'),
  path('docs/a.md'),
  // A file that is called like a resource is another thing.
  path('port:5432'),
  pattern('src/**', /^src\/.+$/, ['src/a.ts', 'src/b.ts', 'src/deep/c.ts', 'src/n.md']),
  pattern('src/*.ts', /^src\/[^/]*\.ts$/, ['src/a.ts', 'src/b.ts']),
  pattern('src/{a,x}.ts', /^src\/[ax]\.ts$/, ['src/a.ts']),
  pattern('**/*.md', /^(.*\/)?[^/]*\.md$/, ['docs/a.md', 'docs/deep/b.md', 'README.md', 'src/n.md']),
  pattern('*', /^[^/]+$/, ['README.md', 'port:5432']),
  resource('port:5432'),
  resource('migration:next'),
];

export const share = (a: Claim, b: Claim): boolean => a.points.some((point) => b.points.includes(point));

/**
 * Sure to hold all of it: a path by taking it, anything else by the same words, or as what lies in the one directory of which
 * all can be held. That is what the product says.
 */
export function holds(held: Claim, wanted: Claim): boolean {
  if (wanted.kind === 'paths') return share(held, wanted);
  if (held.kind !== wanted.kind) return false;
  return held.text === wanted.text || (held.text === 'src/**' && wanted.text.startsWith('src/'));
}
