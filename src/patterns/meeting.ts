/** Where two automata stand once the literal text that both demand is consumed. */
export interface Meeting {
  readonly prefix: string;
  /** `prefix` as the pattern that demands all of it spells it. */
  readonly spelling: string;
  readonly starts: readonly (readonly [a: number, b: number])[];
}
