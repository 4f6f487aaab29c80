export { analyseCommand } from './analyse.ts';
export type { Effect, GitAction, ShellAnalysis } from './model.ts';
export { FLAG_CODES } from './model.ts';
