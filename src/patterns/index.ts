/** Paths and path patterns: pure, no dependency, no I/O. DESIGN.md, "Paths and patterns". */
export { type IndexKey, indexKey, type Lookup, lookup } from './index-key.ts';
export { type CaseMode, covers, type Matcher, matches, overlap } from './matcher.ts';
export { PATH_BYTES_MAX, type Path, type PathResult, parsePath } from './path.ts';
export {
  compilePattern,
  PATTERN_LENGTH_MAX,
  type Pattern,
  type PatternResult,
  parsePattern,
} from './pattern.ts';
export type { Problem } from './problem.ts';
