/** What can be wrong with a text. They are answered: `platform/problem-codes.ts` has each, with what it says. */
export type RefusalCode =
  | 'path_absolute'
  | 'path_control_character'
  | 'path_dot_segment'
  | 'path_empty'
  | 'path_empty_segment'
  | 'path_lone_surrogate'
  | 'path_too_long'
  | 'path_too_many_marks'
  | 'pattern_absolute'
  | 'pattern_brace_range'
  | 'pattern_brace_unbalanced'
  | 'pattern_class_empty'
  | 'pattern_class_posix'
  | 'pattern_class_range'
  | 'pattern_class_unterminated'
  | 'pattern_control_character'
  | 'pattern_dot_segment'
  | 'pattern_empty'
  | 'pattern_empty_segment'
  | 'pattern_escape_dangling'
  | 'pattern_globstar_misplaced'
  | 'pattern_lone_surrogate'
  | 'pattern_matches_nothing'
  | 'pattern_negation'
  | 'pattern_too_complex'
  | 'pattern_too_deep'
  | 'pattern_too_long'
  | 'pattern_too_many_expansions'
  | 'pattern_too_many_marks';

/** Why a text is no path or no pattern: a stable snake_case code for programs, a sentence for people. */
export interface Problem {
  readonly code: RefusalCode;
  readonly detail: string;
}

/** Unwinds the parser; never leaves this module. */
export class Refusal extends Error {
  readonly problem: Problem;

  constructor(code: RefusalCode, detail: string) {
    super(detail);
    this.problem = { code, detail };
  }
}

/** The code point as a reader can recognise it in a message, whatever it does to a terminal. */
export function showPoint(point: number): string {
  return `U+${point.toString(16).toUpperCase().padStart(4, '0')}`;
}
