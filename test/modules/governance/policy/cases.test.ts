import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import {
  ACTION_NAMES,
  compilePolicySet,
  type Evaluation,
  evaluate,
  parsePolicyDocument,
} from '../../../../src/modules/governance/policy/index.ts';
import { documentOf } from './support.ts';

const POLICIES = new URL('../../../../policies/', import.meta.url);
const CASES = new URL('cases/', POLICIES);

const outcome = z.enum(['allow', 'deny', 'require_approval']);
const loop = z.strictObject({ id: z.string(), name: z.string(), labels: z.array(z.string()) });

/** A file of cases: policies by file name or documents in place, then requests and what must come of them. */
const caseFile = z.strictObject({
  policies: z.array(z.string()).default([]),
  documents: z.array(z.unknown()).default([]),
  cases: z.array(
    z.strictObject({
      name: z.string(),
      request: z.strictObject({
        action: z.enum(ACTION_NAMES),
        subjects: z.array(z.record(z.string(), z.unknown())),
        actor: z
          .strictObject({
            principalId: z.string().default('principal-1'),
            role: z.string().default('member'),
            loop: loop.exactOptional(),
            owner: z.string().exactOptional(),
            teams: z.array(z.string()).default([]),
          })
          .prefault({}),
        run: z.strictObject({ id: z.string(), iteration: z.int(), status: z.string() }).exactOptional(),
        at: z.iso.datetime({ offset: true }).default('2026-11-20T12:00:00Z'),
        caseSensitive: z.boolean().default(true),
      }),
      expect: z.strictObject({
        outcome,
        rules: z.array(z.string()),
        ungoverned: z.boolean().default(false),
        missing: z.array(z.string()).default([]),
        requirements: z.array(z.string()).exactOptional(),
        shadow: z.strictObject({ outcome, rules: z.array(z.string()) }).exactOptional(),
      }),
    }),
  ),
});

function readPolicy(name: string): unknown {
  const parsed = parsePolicyDocument(readFileSync(new URL(`${name}.yaml`, POLICIES), 'utf8'), 'yaml');
  if (!parsed.ok) throw new Error(`${name}: ${JSON.stringify(parsed.errors)}`);
  return parsed.document;
}

function summaryOf(evaluation: Evaluation) {
  return {
    outcome: evaluation.outcome,
    rules: evaluation.rules.map(({ id }) => id),
    ungoverned: evaluation.ungoverned,
    missing: evaluation.missing,
    requirements: evaluation.requirements.map(({ team, count }) => `${team ?? 'anyone'} x${count}`),
    shadow: { outcome: evaluation.shadow.outcome, rules: evaluation.shadow.rules.map(({ id }) => id) },
  };
}

const files = readdirSync(CASES).filter((file) => file.endsWith('.yaml'));

it('every example policy has a file of cases', () => {
  const examples = readdirSync(POLICIES).filter((file) => file.endsWith('.yaml') && file !== 'roles.yaml');
  expect(examples.length).toBeGreaterThan(0);
  expect(files).toEqual(expect.arrayContaining(examples));
});

describe.each(files)('%s', (file) => {
  const { policies, documents, cases } = caseFile.parse(parse(readFileSync(new URL(file, CASES), 'utf8')));
  const published = [...policies.map(readPolicy), ...documents].map(documentOf);
  const set = compilePolicySet(published.map((document) => ({ name: document.name, version: 1, document })));

  it.each(cases)('$name', ({ request, expect: expected }) => {
    const summary = summaryOf(evaluate(set, { ...request, at: new Date(request.at) }));
    expect(summary).toMatchObject(expected);
    expect(new Set(summary.rules)).toEqual(new Set(expected.rules));
  });
});
