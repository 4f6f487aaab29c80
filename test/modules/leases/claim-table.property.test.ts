import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Claim, meet, parseResource } from '../../../src/modules/leases/claim.ts';
import { ClaimTable } from '../../../src/modules/leases/claim-table.ts';
import { parsePath, parsePattern } from '../../../src/patterns/index.ts';
import { pathText, patternText, RUNS } from '../../patterns/arbitraries.ts';

const resource = fc.constantFrom('a:b', 'port:1', 'port:2', 'env:a/b');
const claim: fc.Arbitrary<Claim> = fc.oneof(
  pathText.map((text): Claim => {
    const read = parsePath(text);
    if (!read.ok) throw new Error(text);
    return read.path;
  }),
  patternText.map((text): Claim => {
    const read = parsePattern(text);
    if (!read.ok) throw new Error(text);
    return read.pattern;
  }),
  resource.map((text): Claim => parseResource(text)!),
);

it('finds everybody whom a look at each pair would find, and nobody else, after some have gone', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(claim, { minLength: 1, maxLength: 3 }), { maxLength: 8 }),
      claim,
      fc.boolean(),
      fc.nat(7),
      (held, requested, caseSensitive, gone) => {
        const table = new ClaimTable<{ id: string; matchers: Claim[] }>({ caseSensitive });
        held.forEach((matchers, index) => table.add({ id: String(index), matchers }));
        table.remove(String(gone));
        const expected = held.flatMap((matchers, index) =>
          index !== gone && matchers.some((one) => meet(one, requested, { caseSensitive }) !== null)
            ? [String(index)]
            : [],
        );
        expect([...table.overlaps(requested)].map(({ by }) => by.id).toSorted()).toEqual(expected.toSorted());
      },
    ),
    RUNS,
  );
});
