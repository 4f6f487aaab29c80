import { z } from 'zod';
import { MAX_REPO_NAME, REPO_NAME } from '../../../platform/repo-name.ts';
import { MAX_USD, microsOfAmount } from './money.ts';

const NAME = /^[\p{L}\p{N}](?:[\p{L}\p{N} ._:@/+-]*[\p{L}\p{N}._:@/+-])?$/u;

export const countSchema = z
  .int({ error: 'must be a whole number' })
  .min(1, 'must be at least 1')
  .max(1_000_000, 'must be at most 1000000');

export const triggerSchema = z.looseObject({
  kind: z.enum(['cron', 'manual', 'event', 'interval', 'rrule', 'unknown']),
  /** As its kind writes it: a cron expression, an RRULE, a duration, an event's name; empty for manual. */
  expression: z.string().max(2000),
  timeZone: z.string().optional(),
});

export const budgetSchema = z.looseObject({
  usd: z
    .number({ error: 'must be an amount of USD' })
    .max(MAX_USD, { error: `must be at most ${MAX_USD} USD`, abort: true })
    .refine((usd) => microsOfAmount(usd) !== undefined, 'must be 0 or more, to the micro-dollar at the finest'),
  per: z.enum(['run', 'day', 'month'], { error: 'must be run, day or month' }),
});

export const haltConditionSchema = z.discriminatedUnion('kind', [
  z.looseObject({ kind: z.literal('no_progress'), rounds: countSchema }),
  z.looseObject({ kind: z.literal('unknown'), expression: z.string().max(2000) }),
]);

export const guardrailsSchema = z.looseObject({
  maxIterations: countSchema.optional(),
  /** At most one for each period. */
  budgets: z.array(budgetSchema).max(3).optional(),
  haltOn: z.array(haltConditionSchema).max(20, 'must be at most 20 conditions').optional(),
  maxDurationSeconds: z
    .int({ error: 'must be a duration such as 30m, 2h or PT90S, or whole seconds' })
    .min(1, 'must be at least a second')
    .max(31_536_000, 'must be at most a year')
    .optional(),
  maxParallelRuns: countSchema.optional(),
});

const LABEL_VALUE = 'must be a string of at most 256 characters (quote a number)';

/** A loop's definition in its one normal form. Unknown keys are kept at every level. */
export const loopDefinitionSchema = z.looseObject({
  name: z
    .string({ error: 'must be a string' })
    .max(100, { error: 'must be at most 100 characters', abort: true })
    .regex(NAME, 'must be letters, digits, spaces and . _ : @ / + -, and begin with a letter or a digit'),
  /** Absent when the one who registers the loop names its repo in another way. */
  repo: z
    .string({ error: 'must be a string' })
    .max(MAX_REPO_NAME, { error: `must be at most ${MAX_REPO_NAME} characters`, abort: true })
    .regex(REPO_NAME, 'must be a repository as its forge names it, such as acme/shop')
    .optional(),
  scope: z
    .array(z.string({ error: 'must be a string' }), { error: 'must be a pattern or a list of patterns' })
    .max(200, 'must be at most 200 patterns')
    .optional(),
  trigger: triggerSchema.optional(),
  isolation: z.string({ error: 'must be a string' }).max(100, 'must be at most 100 characters').optional(),
  steps: z.array(z.unknown(), { error: 'must be a list' }).optional(),
  guardrails: guardrailsSchema.optional(),
  team: z.string({ error: 'must be a string' }).min(1, 'must not be empty').max(100).optional(),
  labels: z
    .record(z.string().max(100), z.string({ error: LABEL_VALUE }).max(256, LABEL_VALUE), {
      error: 'must be a mapping of names to strings',
    })
    .optional(),
  description: z.string({ error: 'must be a string' }).max(10_000, 'must be at most 10000 characters').optional(),
});

export type LoopDefinition = z.infer<typeof loopDefinitionSchema>;
export type Trigger = z.infer<typeof triggerSchema>;
export type Budget = z.infer<typeof budgetSchema>;
export type HaltCondition = z.infer<typeof haltConditionSchema>;
export type Guardrails = z.infer<typeof guardrailsSchema>;
