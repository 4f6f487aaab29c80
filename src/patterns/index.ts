/** Paths and path patterns: pure, no dependency, no I/O. DESIGN.md, "Paths and patterns". */
export { indexKey, type Lookup, lookup } from './index-key.ts';
export type { IndexKey } from './literal-key.ts';
export { type CaseMode, covers, type Matcher, matches, overlap } from './matcher.ts';
export { type Path, parsePath, storedPath } from './path.ts';
export {
  compilePattern,
  type Pattern,
  parsePattern,
} from './pattern.ts';
export { lastSearchSize } from './product.ts';
