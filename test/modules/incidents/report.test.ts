import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { code, plain, reportOf } from '../../../src/modules/incidents/report.ts';
import type { Suspects } from '../../../src/modules/incidents/suspect-views.ts';
import type { IncidentView } from '../../../src/modules/incidents/views.ts';

const incident: IncidentView = {
  id: '01a00000-0000-7000-8000-000000000000',
  title: 'No money',
  service: 'checkout',
  environment: null,
  startedAt: '2026-11-20T10:00:00.000Z',
  evidence: { traceIds: [], frames: [{ path: 'a.ts', line: 3, commit: null }], paths: [] },
  openedAt: '2026-11-20T10:05:00.000Z',
  openedBy: '01a00000-0000-7000-8000-000000000001',
};
const nobody: Suspects = {
  items: [],
  noneOfThese: 1,
  omitted: { count: 0, probability: 0 },
  window: { from: '2026-11-13T10:00:00.000Z', to: incident.startedAt, candidates: 0 },
  evidence: { paths: 1, tracesFound: [], tracesMissing: [] },
};

describe('text of others in a report', () => {
  it.each([
    ['# x', '\\# x'],
    ['<script>alert(1)</script>', '&lt;script&gt;alert\\(1\\)&lt;/script&gt;'],
    ['[x](javascript:alert(1))', '\\[x\\]\\(javascript:alert\\(1\\)\\)'],
    ['![x](http://evil)', '\\!\\[x\\]\\(http:&#47;&#47;evil\\)'],
    ['https://evil www.evil a@b.c', 'https:&#47;&#47;evil www&#46;evil a&#64;b.c'],
    ['a\n\n# b\r\n| c', 'a \\# b \\| c'],
    ['&lt;b&gt;', '&amp;lt;b&amp;gt;'],
    ['1. one', '1&#46; one'],
    ['a\u202eb\u0000c\u2028d', 'a b c d'],
  ])('%j becomes %j', (text, expected) => {
    expect(plain(text)).toBe(expected);
  });

  it.each([
    ['a.ts', '`a.ts`'],
    ['a`b', '`` a`b ``'],
    ['``', '``` `` ```'],
    ['a|b\nc', '`a¦b c`'],
  ])('%j as code becomes %j', (text, expected) => {
    expect(code(text)).toBe(expected);
  });

  it('never holds a tag, a link, a line of its own or an unescaped mark, whatever it is', () => {
    const marks = fc.constantFrom(...'<>&[]()!#`*_|\n\r\\~-+@:/'.split(''), 'www.', 'http://', '\u2028', '1. ');
    const hostile = fc.array(fc.oneof(marks, fc.string({ unit: 'grapheme', maxLength: 3 })), { maxLength: 30 });
    fc.assert(
      fc.property(hostile, (parts) => {
        const shown = plain(parts.join(''));
        expect(shown).not.toMatch(/[<>\p{Cc}\u2028\u2029]/u);
        // With every escaped pair and entity taken out, no mark is left.
        expect(shown.replaceAll(/\\(?:_|[^\w\s])/g, '').replaceAll(/&#?\w+;/g, '')).not.toMatch(/[[\]()`*_|!#~\\&@]/);
        expect(shown).not.toContain('://');
        expect(shown).not.toMatch(/www\./i);
      }),
    );
  });

  it('is cut', () => {
    expect([...plain('x'.repeat(5000))].length).toBeLessThan(400);
  });
});

describe('a report', () => {
  it('is the same every time, and says so where nobody is suspected', () => {
    expect(reportOf(incident, nobody)).toBe(`# Incident: No money

Started 2026-11-20T10:00:00.000Z, opened 2026-11-20T10:05:00.000Z, service \`checkout\`.
Id \`01a00000-0000-7000-8000-000000000000\`.

## Evidence

- frame \`a.ts:3\`

## Timeline

- 2026-11-20T10:00:00.000Z: **the incident began**
- 2026-11-20T10:05:00.000Z: the incident was opened

## Suspects

0 changes were deployed from 2026-11-13T10:00:00.000Z to 2026-11-20T10:00:00.000Z.

| | probability | score | commit | loop | deployed | intent |
| --- | --- | --- | --- | --- | --- | --- |
| | 100.0 % | | none of these | | | |

---

An edge is **exact** where a key on record ties the two, **inferred** where order, time or path do. Probabilities weigh only what is on record; they sum to 1 with “none of these”.
`);
  });
});
