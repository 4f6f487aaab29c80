import { z } from 'zod';
import type { ActionName } from './actions.ts';

export const EFFECTS = ['allow', 'deny', 'require_approval'] as const;
export type Effect = (typeof EFFECTS)[number];

export const MODES = ['enforce', 'shadow'] as const;
export type RuleMode = (typeof MODES)[number];

export interface Approvers {
  /** Name of the team whose members vote; without it, any member or admin. */
  readonly team?: string;
  /** Votes needed. */
  readonly count: number;
}

/** A condition as it is written: field or logical operator to what it must be. See conditions.ts. */
export type Where = { readonly [key: string]: unknown };

export interface PolicyRule {
  readonly id: string;
  readonly effect: Effect;
  readonly mode: RuleMode;
  readonly actions: readonly ActionName[];
  readonly where?: Where;
  readonly approvers?: Approvers;
  readonly reason?: string;
}

/** A checked document with its defaults filled in. Plain JSON: it survives a database and parses again as it is. */
export interface PolicyDocument {
  readonly name: string;
  readonly description?: string;
  readonly defaults: { readonly [A in ActionName]?: Effect };
  readonly rules: readonly PolicyRule[];
}

/** One thing to say about a document. Lines and columns count from 1; null where the text has no place for it. */
export interface DocumentIssue {
  readonly line: number | null;
  readonly column: number | null;
  /** e.g. `rules[1].where.path.$glob` */
  readonly path: string;
  readonly reason: string;
}

/** Largest document, in bytes of UTF-8. */
export const MAX_DOCUMENT_BYTES = 262_144;
const MAX_RULES = 1_000;
const MAX_APPROVERS = 20;

const name = z
  .string()
  .max(100)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'takes letters, digits, ".", "_" and "-", and starts with a letter or digit');

const approvers = z.strictObject({
  team: z.string().min(1).max(100).optional(),
  count: z.int().min(1).max(MAX_APPROVERS).default(1),
});

const rule = z.strictObject({
  id: name,
  effect: z.enum(EFFECTS),
  mode: z.enum(MODES).default('enforce'),
  // Names of actions and everything in `where` are checked one by one, so that each error can say what was meant.
  actions: z.array(z.string()).min(1),
  where: z.record(z.string(), z.unknown()).optional(),
  approvers: approvers.optional(),
  reason: z.string().min(1).max(1_000).optional(),
});

/** The shape of a document; what its parts mean is checked in parse.ts. */
export const documentShape = z.strictObject({
  name,
  description: z.string().max(2_000).optional(),
  defaults: z.record(z.string(), z.enum(EFFECTS)).default({}),
  rules: z.array(rule).max(MAX_RULES).default([]),
});

export const DOCUMENT_KEYS = Object.keys(documentShape.shape);
export const RULE_KEYS = Object.keys(rule.shape);
export const APPROVERS_KEYS = Object.keys(approvers.shape);
