export type { ShellContext } from './analyse.ts';
export { analyseCommand } from './analyse.ts';
export type { Effect, Flag, FlagCode, GitAction, ShellAnalysis } from './model.ts';
export { FLAG_CODES } from './model.ts';
