import { z } from 'zod';
import { compilePattern, type Matcher, parsePath } from '../../patterns/index.ts';
import { invalid, type ProblemDetail } from '../../platform/errors.ts';
import { text } from '../../platform/http/schemas.ts';

export const LEASE_MODES = ['exclusive', 'shared'] as const;
export type LeaseMode = (typeof LEASE_MODES)[number];

/** Paths and patterns of one request, together: what one grant can lock at once. */
export const MAX_PATHS = 500;
const MIN_TTL_SECONDS = 5;
const MAX_TTL_SECONDS = 86_400;
export const DEFAULT_TTL_SECONDS = 900;

export const ttlSeconds = () => z.int().min(MIN_TTL_SECONDS).max(MAX_TTL_SECONDS);
/** As clients send them; each is read and refused by `parseWanted`, so that a bad one is named with its own code. */
export const pathTexts = () => z.array(z.string().max(8192)).max(MAX_PATHS);
export const purpose = () => text(500);

/** What a request wants of a repo: at least one matcher, without doubles. */
export interface Wanted {
  readonly matchers: readonly Matcher[];
  readonly mode: LeaseMode;
  readonly ttlSeconds: number;
  readonly purpose: string | null;
}

/**
 * Reads paths (always literal) and patterns.
 * @throws Problem 422 `paths_required`, `too_many_paths`, or the first refusal's own code with all refusals in `errors`.
 */
export function parseMatchers(paths: readonly string[], patterns: readonly string[]): Matcher[] {
  const count = paths.length + patterns.length;
  if (count === 0) throw invalid('paths_required', 'Name at least one path or pattern.');
  if (count > MAX_PATHS)
    throw invalid('too_many_paths', `At most ${MAX_PATHS} paths and patterns a request; this one has ${count}.`);
  const errors: (ProblemDetail & { code: string })[] = [];
  const matchers = new Map<string, Matcher>();
  paths.forEach((source, index) => {
    const read = parsePath(source);
    if (read.ok) matchers.set(`path ${read.path.text}`, read.path);
    else errors.push({ path: `body.paths[${index}]`, reason: read.problem.detail, code: read.problem.code });
  });
  patterns.forEach((source, index) => {
    const read = compilePattern(source);
    if (read.ok) matchers.set(`pattern ${read.pattern.text}`, read.pattern);
    else errors.push({ path: `body.patterns[${index}]`, reason: read.problem.detail, code: read.problem.code });
  });
  const [first] = errors;
  if (first !== undefined) throw invalid(first.code, `${first.path}: ${first.reason}`, errors);
  return [...matchers.values()];
}
