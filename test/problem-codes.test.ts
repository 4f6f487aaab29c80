import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { validatorCompiler } from 'fastify-type-provider-zod';
import { parseSync } from 'oxc-parser';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { openapiDocument } from '../scripts/generate/openapi.ts';
import { Refusal } from '../src/patterns/problem.ts';
import { conflict, forbidden, invalid, Problem } from '../src/platform/errors.ts';
import { toProblem } from '../src/platform/http/errors.ts';
import { PROBLEM_CODES } from '../src/platform/problem-codes.ts';

const src = join(import.meta.dirname, '../src');
const TABLE = 'platform/problem-codes.ts';

const entries = Object.entries(PROBLEM_CODES).flatMap(([status, codes]) =>
  Object.entries(codes).map(([code, meaning]) => ({ status: Number(status), code, meaning })),
);

/** The strings that a file has as values: those of types and comments say nothing about what it does. */
function stringsOf(file: string): Set<string> {
  const found = new Set<string>();
  const visit = (node: unknown): void => {
    if (node === null || typeof node !== 'object') return;
    const { type, value } = node as { type?: unknown; value?: unknown };
    if (type === 'TSLiteralType') return;
    if (type === 'Literal' && typeof value === 'string') found.add(value);
    for (const part of Object.values(node)) visit(part);
  };
  visit(parseSync(file, readFileSync(join(src, file), 'utf8')).program);
  return found;
}

describe('the table of problem codes', () => {
  it('has each code once, with one sentence that fits into a cell of a table', () => {
    const codes = entries.map(({ code }) => code);
    expect(codes.length).toBeGreaterThan(100);
    expect(codes.filter((code, index) => codes.indexOf(code) !== index)).toEqual([]);
    expect(codes.filter((code) => !/^[a-z]+(_[a-z]+)*$/.test(code))).toEqual([]);
    expect(entries.filter(({ meaning }) => !/^["A-Z][^|\n]{5,110}\.$/.test(meaning))).toEqual([]);
  });

  it('holds every code that can be answered: the types take no other, and none of another status', () => {
    // Each of these lines is an error of `tsc`, or `npm run check` fails.
    const refused = [
      // @ts-expect-error -- no code at all
      conflict('no_such_code', ''),
      // @ts-expect-error -- one of 422
      conflict('invalid_request', ''),
      // @ts-expect-error -- one of 409
      invalid('halted', ''),
      // @ts-expect-error -- one of 409
      forbidden('', 'halted'),
      // @ts-expect-error -- one of 409
      new Problem(404, 'halted', ''),
      // @ts-expect-error -- not one of the patterns
      new Refusal('pattern_unheard_of', ''),
    ];
    expect(refused).toHaveLength(6);
  });

  it('lets a schema give no other to its checks', () => {
    const refusalOf = (code: string) => {
      const schema = z.object({ a: z.number().refine(() => false, { params: { code } }) });
      const validate = validatorCompiler({ schema, method: 'POST', url: '/' });
      const { error: validation } = validate({ a: 1 }) as { error: unknown };
      return toProblem({ validation, validationContext: 'body' }).code;
    };
    expect(refusalOf('ttl_out_of_range')).toBe('ttl_out_of_range');
    expect(refusalOf('no_such_code')).toBe('invalid_request');
  });

  it('holds none that is answered nowhere', () => {
    const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).map((file) => file.replaceAll('\\', '/'));
    const used = new Set<string>();
    for (const file of files) {
      if (!file.endsWith('.ts') || file.startsWith('generated/') || file === TABLE) continue;
      for (const text of stringsOf(file)) used.add(text);
    }
    expect(entries.filter(({ code }) => !used.has(code)).map(({ code }) => code)).toEqual([]);
  });

  it('is in the document, for people and for programs', async () => {
    const document = JSON.parse(JSON.stringify(await openapiDocument()));
    const { code } = document.components.schemas.Problem.properties;
    expect(code['x-problem-codes']).toEqual(JSON.parse(JSON.stringify(PROBLEM_CODES)));
    for (const { status, code: name, meaning } of entries)
      expect(code.description).toContain(`| ${status} | \`${name}\` | ${meaning} |`);
  });
});
