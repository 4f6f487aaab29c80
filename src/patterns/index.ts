/** Paths and path patterns: no dependency, no I/O, and pure but for the count of what it costs. What they mean: README.md, "Paths and patterns". */
export { indexKey, type Lookup, lookup } from './index-key.ts';
export type { IndexKey } from './literal-key.ts';
export { type CaseMode, covers, type Matcher, matches, overlap } from './matcher.ts';
export { type Path, parsePath, storedPath } from './path.ts';
export {
  compilePattern,
  type Pattern,
  parsePattern,
  stepsToCompile,
  storedPattern,
} from './pattern.ts';
export { budgetOf, STEPS_A_TURN, spend, workDone } from './work.ts';
