import { type Claim, type ClaimLookup, claimLookup } from './claim.ts';

/** What is wanted in one repo. */
export interface WantedIn {
  readonly repoId: string;
  readonly matchers: readonly Claim[];
}

/** The parameters of the statements that look for candidates, and whether any of them looks in a range. */
export function lookupsOf(orgId: string, wanted: readonly WantedIn[]): { values: unknown[]; hasRange: boolean } {
  const lookups = new Lookups();
  for (const { repoId, matchers } of wanted) for (const matcher of matchers) lookups.add(repoId, claimLookup(matcher));
  const point = [...lookups.points.values()];
  const range = [...lookups.ranges.values()];
  const hasRange = range.length > 0;
  const values = [
    orgId,
    point.map(({ repoId }) => repoId),
    point.map(({ kind }) => kind),
    point.map(({ key }) => key),
    point.map(({ tail }) => tail),
    lookups.reposOfAllPatterns,
    ...(hasRange
      ? [
          range.map(({ repoId }) => repoId),
          range.map(({ from }) => from),
          range.map(({ below }) => below),
          range.map(({ tail }) => tail),
        ]
      : []),
  ];
  return { values, hasRange };
}

interface Point {
  readonly repoId: string;
  readonly kind: string;
  readonly key: string;
  readonly tail: string | null;
}

interface Range {
  readonly repoId: string;
  readonly from: string;
  readonly below: string | null;
  readonly tail: string | null;
}

/** Beginnings of paths in one repo under which patterns are looked for; instead of more, all of its patterns are read. */
const MOST_BEGINNINGS = 2000;

/** Where to look, each place once. */
class Lookups {
  readonly points = new Map<string, Point>();
  readonly ranges = new Map<string, Range>();
  readonly #beginnings = new Map<string, number>();

  get reposOfAllPatterns(): string[] {
    return [...this.#beginnings].flatMap(([repoId, count]) => (count > MOST_BEGINNINGS ? [repoId] : []));
  }

  add(repoId: string, { literals, patternPrefixes, resources, range, tail }: ClaimLookup): void {
    for (const key of literals) this.#add({ repoId, kind: 'literal', key, tail });
    for (const key of resources) this.#add({ repoId, kind: 'resource', key, tail });
    const before = this.#beginnings.get(repoId) ?? 0;
    if (before <= MOST_BEGINNINGS) {
      const added = patternPrefixes.filter((key) => this.#add({ repoId, kind: 'pattern', key, tail }));
      this.#beginnings.set(repoId, before + added.length);
    }
    if (range === null) return;
    const { from, below } = range;
    this.ranges.set(`${repoId}${from}\n${tail}`, { repoId, from, below, tail });
  }

  /** Whether it was not there before. */
  #add(point: Point): boolean {
    const place = `${point.repoId}${point.kind}${point.key}`;
    const known = this.points.get(place);
    // Two requests that want the same key under different tails: look under any.
    const tail = known === undefined || known.tail === point.tail ? point.tail : null;
    this.points.set(place, { ...point, tail });
    return known === undefined;
  }
}
