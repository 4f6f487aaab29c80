import { z } from 'zod';
import { compilePattern, parsePath, STEPS_A_TURN, workDone } from '../../patterns/index.ts';
import { invalid, type ProblemDetail } from '../../platform/errors.ts';
import { text } from '../../platform/http/schemas.ts';
import { PacedWork } from '../../platform/paced-work.ts';
import type { CodeOf } from '../../platform/problem-codes.ts';
import { epochNumber } from '../loops/index.ts';
import { type Claim, parseResource } from './claim.ts';

export const LEASE_MODES = ['exclusive', 'shared'] as const;
export type LeaseMode = (typeof LEASE_MODES)[number];

/** Paths, patterns and resources of one request, together: what one grant can lock at once. */
export const MAX_PATHS = 500;
const MIN_TTL_SECONDS = 5;
const MAX_TTL_SECONDS = 86_400;
export const DEFAULT_TTL_SECONDS = 900;
const MAX_WAIT_SECONDS = 3600;

/** A number within bounds, refused under a code of its own: a client tells this mistake from a malformed request. */
const bounded = (min: number, max: number, code: CodeOf<422>) =>
  z
    .number()
    .meta({ minimum: min, maximum: max })
    .refine((value) => value >= min && value <= max, {
      error: `must be ${min} to ${max}`,
      params: { code },
    });

export const ttlSeconds = () =>
  bounded(MIN_TTL_SECONDS, MAX_TTL_SECONDS, 'ttl_out_of_range').refine(Number.isInteger, {
    error: 'must be a whole number of seconds',
  });
/** How long the request may be held open. */
export const waitSeconds = () => bounded(0, MAX_WAIT_SECONDS, 'wait_out_of_range').default(0);
/** As clients send them; each is read and refused by `parseClaims`, so that a bad one is named with its own code. */
export const pathTexts = () => z.array(z.string().max(8192)).meta({ maxItems: MAX_PATHS });
export const purpose = () => text(500);
export const speakingEpoch = () =>
  epochNumber()
    .optional()
    .describe('Of the run: a process that a resume has replaced is refused, if it says which it is.');

/** What a request wants of a repo: at least one claim, without doubles. */
export interface Wanted {
  readonly matchers: readonly Claim[];
  readonly mode: LeaseMode;
  readonly ttlSeconds: number;
  readonly purpose: string | null;
}

type Refused = ProblemDetail & { code: CodeOf<422> };

/** Compiles patterns that `parseClaims` will ask for, and lets others' requests go on meanwhile. */
export async function compileFairly(patterns: readonly string[]): Promise<void> {
  // More are refused unread.
  if (patterns.length > MAX_PATHS) return;
  await new PacedWork(workDone, STEPS_A_TURN).each(patterns, compilePattern);
}

/**
 * Reads paths (always literal), patterns and resources.
 * @throws Problem 422 `paths_required`, `too_many_paths`, or the first refusal's own code with all refusals in `errors`.
 */
export function parseClaims(
  paths: readonly string[],
  patterns: readonly string[],
  resources: readonly string[] = [],
): Claim[] {
  const count = paths.length + patterns.length + resources.length;
  if (count === 0) throw invalid('paths_required', 'Name at least one path, pattern or resource.');
  if (count > MAX_PATHS)
    throw invalid('too_many_paths', `At most ${MAX_PATHS} paths, patterns and resources a request; this has ${count}.`);
  const errors: Refused[] = [];
  const claims = new Map<string, Claim>();
  const add = (claim: Claim) => claims.set(`${claim.kind} ${claim.text}`, claim);
  paths.forEach((source, index) => {
    const read = parsePath(source);
    if (read.ok) add(read.path);
    else errors.push({ path: `body.paths[${index}]`, reason: read.problem.detail, code: read.problem.code });
  });
  patterns.forEach((source, index) => {
    const read = compilePattern(source);
    if (read.ok) add(read.pattern);
    else errors.push({ path: `body.patterns[${index}]`, reason: read.problem.detail, code: read.problem.code });
  });
  resources.forEach((source, index) => {
    const read = parseResource(source);
    if (read !== null) add(read);
    else errors.push({ path: `body.resources[${index}]`, reason: RESOURCE_HELP, code: 'resource_invalid' });
  });
  const [first] = errors;
  if (first !== undefined) throw invalid(first.code, `${first.path}: ${first.reason}`, errors);
  return [...claims.values()];
}

const RESOURCE_HELP = 'expected kind:name without spaces, such as port:5432 or migration:next';
