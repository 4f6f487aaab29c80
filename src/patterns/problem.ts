/** Why a text is no path or no pattern: a stable snake_case code for programs, a sentence for people. */
export interface Problem {
  readonly code: string;
  readonly detail: string;
}

/** Unwinds the parser; never leaves this module. */
export class Refusal extends Error {
  readonly problem: Problem;

  constructor(code: string, detail: string) {
    super(detail);
    this.problem = { code, detail };
  }
}

/** The code point as a reader can recognise it in a message, whatever it does to a terminal. */
export function showPoint(point: number): string {
  return `U+${point.toString(16).toUpperCase().padStart(4, '0')}`;
}
