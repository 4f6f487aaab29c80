import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readEvidencePath } from '../../../../src/modules/incidents/ranking/evidence-path.ts';
import { ANOMALIES, MODEL } from '../../../../src/modules/incidents/ranking/model.ts';
import { type Candidate, type EvidenceItem, rank } from '../../../../src/modules/incidents/ranking/rank.ts';

const runs = { numRuns: Number(process.env['SUSPECT_RUNS'] ?? 300) };

const at = (text: string, commit: string | null = null): EvidenceItem => ({
  text,
  path: readEvidencePath(text),
  commit,
});

const base: Candidate = {
  id: 'a',
  commit: 'commit-a',
  caseSensitive: true,
  files: ['src/a.ts'],
  fileCount: 1,
  hoursSinceDeploy: 1,
  sameService: true,
  rolledBack: false,
  anomalies: [],
  trace: null,
};
const candidate = (id: string, more: Partial<Candidate> = {}): Candidate => ({
  ...base,
  id,
  commit: `commit-${id}`,
  ...more,
});
const order = (evidence: EvidenceItem[], candidates: Candidate[]) =>
  rank(evidence, candidates).items.map(({ id }) => id);

const directory = fc.constantFrom('src', 'src/pay', 'src/cart', 'lib', 'docs');
const anyPath = fc.tuple(directory, fc.constantFrom('a.ts', 'b.ts', 'c.ts')).map(([dir, name]) => `${dir}/${name}`);
const anyEvidence = fc
  .array(
    fc.record({
      path: anyPath,
      prefix: fc.constantFrom('', '/app/'),
      author: fc.option(fc.nat({ max: 8 }), { nil: null }),
    }),
    { maxLength: 8 },
  )
  .map((items) =>
    items.map(({ path, prefix, author }) => at(`${prefix}${path}`, author === null ? null : `commit-c${author}`)),
  );
const anyCandidates = fc
  .array(
    fc.record({
      files: fc.uniqueArray(anyPath, { minLength: 1, maxLength: 6 }),
      more: fc.nat({ max: 5000 }),
      caseSensitive: fc.boolean(),
      hoursSinceDeploy: fc.double({ min: 0, max: 24 * 90, noNaN: true }),
      sameService: fc.option(fc.boolean(), { nil: null }),
      rolledBack: fc.boolean(),
      anomalies: fc.subarray([...ANOMALIES]),
      trace: fc.constantFrom(null, 'exact' as const, 'inferred' as const),
    }),
    { maxLength: 12 },
  )
  .map((all) =>
    all.map(({ more, ...one }, index) => candidate(`c${index}`, { ...one, fileCount: one.files.length + more })),
  );

describe('what comes first', () => {
  it('is nobody where nobody is', () => {
    expect(rank([at('src/a.ts')], [])).toEqual({ items: [], noneOfThese: 1 });
  });

  it('is, of equals, what was deployed last, and then the lower id', () => {
    const old = candidate('old', { hoursSinceDeploy: 9, trace: null });
    expect(order([], [candidate('b'), old, candidate('a')])).toEqual(['a', 'b', 'old']);
  });

  it('is without evidence of paths the newest', () => {
    const ages = [5, 1, 9].map((hoursSinceDeploy) => candidate(`h${hoursSinceDeploy}`, { hoursSinceDeploy }));
    expect(order([at('elsewhere/x')], ages)).toEqual(['h1', 'h5', 'h9']);
  });

  it('is rather the small change that matches than the large one', () => {
    const large = candidate('large', { fileCount: 400 });
    expect(order([at('src/a.ts')], [large, candidate('small')])).toEqual(['small', 'large']);
  });

  it('is the file itself before its neighbour, and a match of a day ago before a miss of now', () => {
    const neighbour = candidate('neighbour', { files: ['src/b.ts'] });
    const miss = candidate('miss', { files: ['docs/x.md'], hoursSinceDeploy: 0 });
    const hit = candidate('hit', { hoursSinceDeploy: 24 });
    expect(order([at('src/a.ts')], [neighbour, candidate('same')])).toEqual(['same', 'neighbour']);
    expect(order([at('src/a.ts')], [miss, hit])).toEqual(['hit', 'miss']);
  });

  it('is half as likely after each half-life', () => {
    const { items } = rank(
      [],
      [candidate('now', { hoursSinceDeploy: 0 }), candidate('then', { hoursSinceDeploy: MODEL.halfLifeHours })],
    );
    expect(items[0]!.probability / items[1]!.probability).toBeCloseTo(2, 10);
  });

  it('is not moved by anomalies alone above a file that matches', () => {
    const odd = candidate('odd', { files: ['docs/x.md'], anomalies: [...ANOMALIES] });
    expect(order([at('src/a.ts')], [odd, candidate('hit')])).toEqual(['hit', 'odd']);
  });

  it('counts frames in one file once', () => {
    const deep = Array.from({ length: 9 }, () => at('src/a.ts'));
    expect(rank(deep, [candidate('a')])).toEqual(rank([at('src/a.ts')], [candidate('a')]));
  });
});

describe('for any evidence and any changes', () => {
  it('probabilities are probabilities, sum to 1 with none of these, and fall with the score, which is the sum of its terms', () => {
    fc.assert(
      fc.property(anyEvidence, anyCandidates, (evidence, candidates) => {
        const { items, noneOfThese } = rank(evidence, candidates);
        expect(items.map(({ id }) => id).toSorted()).toEqual(candidates.map(({ id }) => id).toSorted());
        const all = [noneOfThese, ...items.map(({ probability }) => probability)];
        for (const one of all) expect(one >= 0 && one <= 1).toBe(true);
        expect(all.reduce((sum, one) => sum + one, 0)).toBeCloseTo(1, 9);
        for (const [index, { score, probability, terms }] of items.entries()) {
          expect(Object.values(terms).reduce((sum, { logOdds }) => sum + logOdds, 0)).toBeCloseTo(score, 9);
          for (const { value } of [terms.path, terms.time, terms.churn, terms.live])
            expect(value! >= 0 && value! <= 1).toBe(true);
          const next = items[index + 1];
          if (next === undefined) continue;
          expect(score >= next.score && probability >= next.probability).toBe(true);
        }
      }),
      runs,
    );
  });

  it('a frame that matches one change and no other never lowers its rank or raises none of these', () => {
    fc.assert(
      fc.property(anyEvidence, anyCandidates, fc.nat(), (evidence, candidates, pick) => {
        fc.pre(candidates.length > 0);
        const chosen = candidates[pick % candidates.length]!;
        const own = 'only/this/one.ts';
        const all = candidates.map((one) => (one === chosen ? { ...one, files: [...one.files, own] } : one));
        const before = rank(evidence, all);
        const after = rank([...evidence, at(own)], all);
        const place = ({ items }: typeof before) => items.findIndex(({ id }) => id === chosen.id);
        expect(place(after)).toBeLessThanOrEqual(place(before));
        // Compared with no paths at all, a path brings in what is added for matching none.
        if (evidence.length > 0) expect(after.noneOfThese).toBeLessThanOrEqual(before.noneOfThese + 1e-12);
      }),
      runs,
    );
  });

  it('a later deploy, fewer files or one more anomaly never lowers the rank', () => {
    fc.assert(
      fc.property(
        anyEvidence,
        anyCandidates,
        fc.nat(),
        fc.constantFrom('time', 'churn', 'anomalies'),
        (evidence, candidates, pick, what) => {
          fc.pre(candidates.length > 0);
          const chosen = candidates[pick % candidates.length]!;
          const more = {
            time: { hoursSinceDeploy: chosen.hoursSinceDeploy / 2 },
            churn: { fileCount: chosen.files.length },
            anomalies: { anomalies: [...ANOMALIES] },
          }[what];
          const place = (all: Candidate[]) => order(evidence, all).indexOf(chosen.id);
          const better = candidates.map((one) => (one === chosen ? { ...one, ...more } : one));
          expect(place(better)).toBeLessThanOrEqual(place(candidates));
        },
      ),
      runs,
    );
  });

  it('the order in which candidates and evidence come does not matter', () => {
    fc.assert(
      fc.property(anyEvidence, anyCandidates, (evidence, candidates) => {
        const turned = rank(evidence.toReversed(), candidates.toReversed());
        const straight = rank(evidence, candidates);
        expect(turned.noneOfThese).toBeCloseTo(straight.noneOfThese, 12);
        for (const { id, score } of straight.items)
          expect(turned.items.find((one) => one.id === id)!.score).toBeCloseTo(score, 9);
      }),
      runs,
    );
  });
});
