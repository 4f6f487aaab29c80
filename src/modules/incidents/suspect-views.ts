import { z } from 'zod';
import { time, uuid } from '../../platform/http/schemas.ts';
import { ANOMALIES } from './ranking/model.ts';
import { EDGES } from './views.ts';

export const CHAIN_KINDS = [
  'incident',
  'deploy',
  'change',
  'run',
  'loop',
  'lease',
  'decision',
  'approval',
  'trace',
] as const;
export type ChainKind = (typeof CHAIN_KINDS)[number];

const term = (meaning: string) =>
  z
    .object({
      value: z.number().nullable().describe('Null: nothing is known, and nothing follows.'),
      logOdds: z.number(),
      note: z.string().optional(),
    })
    .describe(meaning);

const termsView = z.object({
  path: term('1 − ∏(1 − strength / 2) over the paths of the evidence that the change matches.').extend({
    matches: z.array(
      z.object({
        evidence: z.string(),
        file: z.string(),
        relation: z.enum(['same', 'ends_alike', 'same_directory', 'near']),
        strength: z.number(),
      }),
    ),
  }),
  line: term('As path, over lines that this very commit wrote.'),
  time: term('0.5 ^ (hours since the deploy / half-life).').extend({ hoursSinceDeploy: z.number() }),
  churn: term('1 / files ^ 0.7: takes back of the path term what a change of that size would match by chance.').extend({
    files: z.int(),
  }),
  anomalies: term('How many, each with what it adds.').extend({
    found: z.array(z.object({ kind: z.enum(ANOMALIES), logOdds: z.number() })),
  }),
  trace: term('1 a trace of the evidence names its run, by a key that may; 0.5 by its own word; 0 it does not.'),
  service: term('1 the incident’s service, 0 another.'),
  live: term('1 still out when it began, 0 rolled back before.'),
});

export const linkView = z
  .looseObject({
    kind: z.enum(CHAIN_KINDS),
    id: z.string(),
    edge: z.enum(EDGES).describe('How it is tied to `from`: by a key on record, or by order, time or path.'),
    from: z
      .object({ kind: z.enum(CHAIN_KINDS), id: z.string() })
      .nullable()
      .describe('Null: the chain begins here.'),
    because: z.string(),
    at: time().nullable(),
  })
  .meta({ id: 'ChainLink' });
export type ChainLink = z.output<typeof linkView>;

export const suspectView = z
  .object({
    change: z.object({
      id: uuid(),
      commit: z.string(),
      repo: z.string(),
      intent: z.string().nullable(),
      at: time(),
      fileCount: z.int(),
    }),
    loop: z
      .object({ id: uuid(), name: z.string(), owner: z.object({ kind: z.string(), id: uuid(), name: z.string() }) })
      .nullable(),
    run: z.object({ id: uuid(), status: z.string(), outcome: z.string().nullable() }).nullable(),
    deploy: z.object({ id: uuid(), service: z.string(), environment: z.string(), commit: z.string(), at: time() }),
    score: z
      .number()
      .describe('The sum of the terms’ log-odds, against a change that just went out and that nothing points at.'),
    probability: z.number(),
    terms: termsView,
    chain: z
      .array(linkView)
      .describe('incident → deploy → change → run → lease → decision → approval, and run → trace.'),
  })
  .meta({ id: 'Suspect' });
export type Suspect = z.output<typeof suspectView>;

export const suspectsView = z
  .object({
    items: z.array(suspectView).describe('The likeliest first.'),
    noneOfThese: z.number().describe('The probability that none of them is the cause. All probabilities sum to 1.'),
    omitted: z.object({ count: z.int(), probability: z.number() }).describe('Ranked, but beyond `limit`.'),
    window: z.object({
      from: time(),
      to: time(),
      candidates: z.int().describe('Changes deployed in it. The 500 that went out last are ranked.'),
    }),
    evidence: z.object({
      paths: z.int().describe('Paths that were compared, those of traces included.'),
      tracesFound: z.array(z.string()),
      tracesMissing: z.array(z.string()).describe('No span of them is stored.'),
    }),
  })
  .meta({ id: 'Suspects' });
export type Suspects = z.output<typeof suspectsView>;
